//! From a source to its artifact: what is to be done with its files, and the doing.
//!
//! What runs where: packages are *fetched* by the package manager of this machine, in a process of the platform's user that is told to
//! run nothing of them (`npm ci --ignore-scripts`, pip for wheels only, `cargo vendor`), and are kept by their lock file. What *runs* code of the project or of packages
//! (a bundler, make, a command line, cargo with its build scripts and macros) runs in the [`Workshop`](crate::workshop), which has no network.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aloft_definition::Build;
use aloft_function::{Code, Interpreter, Program};
use aloft_sandbox::Mount;

use crate::ahead::language;
use crate::artifact::{Content, Root, hash_of};
use crate::builder::{Builder, lock};
use crate::throttle::Throttle;
use crate::workshop::{DEPS, Job, unpack};
use crate::{Built, Error, npm, script};

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The function's name.
    pub name: String,
    /// The folder with the code.
    pub folder: PathBuf,
    /// The file that lists what it requires.
    pub requirements: Option<PathBuf>,
    /// The handler, by which a bundler knows where to begin.
    pub handler: String,
    /// How it is built.
    pub build: Build,
    /// The Node.js of this machine, if the program has none and the build takes one.
    pub node: Option<Interpreter>,
}

impl Source {
    /// Whether its build takes a Node.js, though it does not run in one.
    pub fn takes_node(&self, program: &Program) -> bool {
        matches!(plan(self, program), Plan::Script(_))
    }
}

/// What is to be done with a source.
enum Plan {
    /// It is the code.
    Copy,
    /// It is the code, with the packages of its lock file.
    Packages,
    /// The handler's file is bundled with what it imports.
    Bundle(PathBuf),
    /// A crate of Rust becomes a component.
    Crate,
    /// A script becomes one.
    Script(PathBuf),
    Make,
    Line(String, Option<PathBuf>),
}

/// Changes with the way in which something is built.
const FORM: &[u8] = b"1";
pub(crate) const LOCK: &str = "package-lock.json";
pub(crate) const MODULES: &str = "node_modules";
/// What a handler in TypeScript ends with.
const TYPESCRIPT: [&str; 2] = ["ts", "mts"];
/// The bundler for projects that have none of their own, with the hashes of its packages.
const ESBUILD: [(&str, &str); 2] = [
    ("package.json", include_str!("tools/esbuild/package.json")),
    (LOCK, include_str!("tools/esbuild/package-lock.json")),
];

fn plan(source: &Source, program: &Program) -> Plan {
    let has = |name: &str| source.folder.join(name).is_file();
    match &source.build {
        Build::None => Plan::Copy,
        Build::Make => Plan::Make,
        Build::Command { line, output } => Plan::Line(line.clone(), output.clone()),
        Build::Auto => {
            if let (Program::Node(_), Some(entry)) = (program, typescript(source)) {
                return Plan::Bundle(entry);
            }
            // A component that is there was built by somebody else.
            if matches!(program, Program::Wasm) && !has(&source.handler) {
                return match script::entry(source) {
                    Some(entry) => Plan::Script(entry),
                    None if has("Cargo.toml") => Plan::Crate,
                    None => Plan::Copy,
                };
            }
            match program.node().is_some() && has("package.json") && has(LOCK) {
                true => Plan::Packages,
                false => Plan::Copy,
            }
        }
    }
}

/// The handler's file, if it is in TypeScript.
fn typescript(source: &Source) -> Option<PathBuf> {
    let (folder, name) = source.handler.rsplit_once('/').unwrap_or(("", &source.handler));
    let file = Path::new(folder).join(name.split('.').next()?);
    let is_there = |end: &&str| source.folder.join(file.with_extension(end)).is_file();
    if ["js", "mjs", "cjs"].iter().any(is_there) {
        return None;
    }
    let end = TYPESCRIPT.iter().find(|end| is_there(end))?;
    Some(file.with_extension(end))
}

impl Builder {
    /// Builds a source, or finds what was built of it.
    pub async fn build(&self, source: &Source, program: &Program) -> Result<Built, Error> {
        let requirements = match (&source.requirements, program.python()) {
            (Some(list), Some(interpreter)) => Some(self.require(list, interpreter).await?),
            (None, Some(interpreter)) if source.build != Build::None => {
                self.locked(&source.folder, interpreter).await?
            }
            _ => None,
        };
        let content = self.content(source, program).await?;
        self.packed(source, content, requirements, program).await
    }

    /// What becomes the code.
    async fn content(&self, source: &Source, program: &Program) -> Result<Content, Error> {
        let folder = source.folder.clone();
        let made = match plan(source, program) {
            Plan::Copy => folder,
            Plan::Packages => {
                let modules = self.modules(&folder, program.node(), true).await?.join(MODULES);
                return self
                    .blocking(move || {
                        let own = Root {
                            without: &[MODULES],
                            ..Root::code(&folder)
                        };
                        let packages = Root {
                            prefix: MODULES,
                            ..Root::code(&modules)
                        };
                        // A project whose lock file lists nothing gets no folder.
                        let roots = [own, packages];
                        let roots = roots.get(..if modules.is_dir() { 2 } else { 1 });
                        Content::of(roots.unwrap_or_default())
                    })
                    .await;
            }
            Plan::Crate => self.rust(source, program).await?,
            Plan::Script(entry) => self.script(source, entry, program).await?,
            Plan::Bundle(entry) => self.bundle(source, &entry, program).await?,
            Plan::Make => {
                let what = format!("make build-{}", source.name);
                let script = "mkdir /tmp/output\nmake \"build-$NAME\"\ncd /tmp/output";
                let mut job = Job::new(what, script.to_owned());
                let name = source.name.clone().into();
                job.environment = vec![("NAME", name), ("ARTIFACTS_DIR", "/tmp/output".into())];
                self.own(source, job, program).await?
            }
            Plan::Line(line, output) => {
                let mut job = Job::new(line.clone(), "sh -e -c \"$LINE\"\ncd \"./$OUTPUT\"".to_owned());
                let output = output.unwrap_or_default().into();
                job.environment = vec![("LINE", line.into()), ("OUTPUT", output)];
                self.own(source, job, program).await?
            }
        };
        self.blocking(move || Content::read(&made)).await
    }

    /// Does what a project itself says, with its packages and its interpreter at hand.
    async fn own(&self, source: &Source, mut job: Job, program: &Program) -> Result<PathBuf, Error> {
        if let Some(interpreter) = program.interpreter() {
            let name = match program.node() {
                Some(_) => "node",
                None => "python3",
            };
            show(&mut job, interpreter, name);
        }
        let has = |name: &str| source.folder.join(name).is_file();
        if program.node().is_some() {
            // npm runs the scripts of a package.json, and is seen with what it consists of.
            if let Some(npm) = npm::find(self.search()) {
                let about = npm.parent().and_then(Path::parent).map(Path::to_owned);
                job.mounts
                    .extend(about.filter(|folder| !is_seen(folder)).map(Mount::same));
                job.programs.push(("npm", npm));
            }
            if has(LOCK) {
                let modules = self.modules(&source.folder, program.node(), false).await?;
                let_see(&mut job, &modules);
            }
        }
        self.make_in_workshop(source, job, program).await
    }

    /// Bundles a handler's file with esbuild: the project's own, else a pinned one.
    async fn bundle(&self, source: &Source, entry: &Path, program: &Program) -> Result<PathBuf, Error> {
        let what = format!("esbuild {}", entry.display());
        let modules = match source.folder.join(LOCK).is_file() {
            true => Some(self.modules(&source.folder, program.node(), false).await?),
            false => None,
        };
        let esbuild = self.esbuild(modules.as_deref(), program.node(), &what).await?;
        let is_module = entry.extension().is_some_and(|end| end == "mts") || is_module(&source.folder);
        let (format, end) = if is_module { ("esm", "mjs") } else { ("cjs", "cjs") };
        let mut script = format!(
            "/esbuild \"$ENTRY\" --bundle --platform=node --target=\"$TARGET\" --format={format} --outfile=\"/tmp/output/$OUTPUT\" \
             --log-level=warning --legal-comments=none"
        );
        if is_module {
            // What was written for `require` expects to find it.
            script.push_str(
                " --banner:js=\"import { createRequire as createRequireOfNode } from 'node:module'; \
                 const require = createRequireOfNode(import.meta.url);\"",
            );
        }
        let brings_sdk = |folder: &PathBuf| folder.join(MODULES).join("@aws-sdk").is_dir();
        if !modules.as_ref().is_some_and(brings_sdk) {
            script.push_str(" '--external:@aws-sdk/*'");
        }
        script.push_str("\ncd /tmp/output");
        let mut job = Job::new(what.clone(), script);
        let major = language(program)
            .trim_start_matches("nodejs")
            .trim_end_matches(".x");
        job.environment = vec![
            ("ENTRY", entry.as_os_str().to_owned()),
            ("OUTPUT", entry.with_extension(end).into()),
            ("TARGET", format!("node{major}").into()),
        ];
        job.mounts.push(Mount::read_only(esbuild, "/esbuild"));
        if let Some(modules) = &modules {
            let_see(&mut job, modules);
        }
        self.make_in_workshop(source, job, program).await
    }

    /// esbuild's program: the project's own, else the pinned one.
    pub(crate) async fn esbuild(
        &self,
        modules: Option<&Path>,
        node: Option<&Interpreter>,
        what: &str,
    ) -> Result<PathBuf, Error> {
        let platform = match std::env::consts::ARCH {
            "aarch64" => "@esbuild/linux-arm64",
            _ => "@esbuild/linux-x64",
        };
        let program_of = |folder: &Path| folder.join(MODULES).join(platform).join("bin/esbuild");
        let own = modules.map(program_of).filter(|esbuild| esbuild.is_file());
        let esbuild = match own {
            Some(own) => own,
            None => program_of(&self.tool("esbuild", &ESBUILD, node).await?),
        };
        esbuild.is_file().then_some(esbuild).ok_or_else(|| Error::Lacks {
            what: what.to_owned(),
            why: "there is no esbuild for this machine".to_owned(),
        })
    }

    /// The folder with the packages that a lock file says, fetched if this machine has not done so yet.
    pub(crate) async fn modules(
        &self,
        folder: &Path,
        node: Option<&Interpreter>,
        only_production: bool,
    ) -> Result<PathBuf, Error> {
        let mut files = Vec::new();
        for name in ["package.json", LOCK, ".npmrc"] {
            let place = folder.join(name);
            match tokio::fs::read(&place).await {
                Ok(text) => files.push((name, text)),
                Err(error) if name == ".npmrc" && error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &place)(error)),
            }
        }
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (*name, text.as_slice()))
            .collect();
        let more: &[OsString] = match only_production {
            true => &["--omit=dev".into()],
            false => &["--include=dev".into()],
        };
        self.fetched(&folder.join(LOCK), &files, node, more).await
    }

    /// The folder with a tool of npm's registry that the platform itself needs.
    pub(crate) async fn tool(
        &self,
        name: &str,
        files: &[(&str, &str)],
        node: Option<&Interpreter>,
    ) -> Result<PathBuf, Error> {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, text)| (*name, text.as_bytes()))
            .collect();
        self.fetched(Path::new(name), &files, node, &[]).await
    }

    async fn fetched(
        &self,
        list: &Path,
        files: &[(&str, &[u8])],
        node: Option<&Interpreter>,
        arguments: &[OsString],
    ) -> Result<PathBuf, Error> {
        let lacks = |why: &str| Error::Lacks {
            what: list.display().to_string(),
            why: why.to_owned(),
        };
        let node = node.ok_or_else(|| lacks("there is no Node.js to install its packages with"))?;
        let npm = npm::find(self.search()).ok_or_else(|| lacks("there is no npm on the PATH"))?;
        let version = npm::version(&npm);
        let mut parts: Vec<&[u8]> = vec![FORM, b"npm", &version, node.runtime.as_bytes()];
        parts.push(std::env::consts::ARCH.as_bytes());
        parts.extend(arguments.iter().map(|argument| argument.as_encoded_bytes()));
        for (name, text) in files {
            parts.extend([name.as_bytes(), text]);
        }
        let place = self.cached(&hash_of(&parts));
        let _one = self.making.lock().await;
        if place.is_dir() {
            return Ok(place);
        }
        let began = self.now();
        let throttle = Throttle::default();
        let subject = list.display().to_string();
        let progress = |line| self.tell_some(&throttle, &subject, line, began);
        self.tell(
            subject.clone(),
            format!("fetching the packages of {subject}"),
            began,
        );
        let new = self.beside(&place);
        let installed = async {
            fs::create_dir_all(&new).map_err(Error::io("make the folder", &new))?;
            for (name, text) in files {
                fs::write(new.join(name), text).map_err(Error::io("write", &new))?;
            }
            let mut arguments = arguments.to_vec();
            let offline = match &self.packages {
                Some(packages) => {
                    Some(npm::cache((node, &npm), packages, &new.with_extension("npm.new"), list).await?)
                }
                None => None,
            };
            if let Some(cache) = &offline {
                arguments.extend(["--offline".into(), "--cache".into(), cache.into()]);
            }
            let installed = npm::ci((node, &npm), &new, list, &arguments, &progress).await;
            if let Some(cache) = offline {
                // What is left is removed by a sweep.
                let _ = tokio::fs::remove_dir_all(cache).await;
            }
            installed
        };
        let installed = installed.await;
        self.counted_requirements(installed.is_ok(), began);
        if let Err(error) = installed {
            let _ = tokio::fs::remove_dir_all(&new).await;
            return Err(error);
        }
        self.finish(&new, &place).await?;
        Ok(place)
    }

    /// The folder with what a job makes of a source, or made of it before.
    pub(crate) async fn make_in_workshop(
        &self,
        source: &Source,
        job: Job,
        program: &Program,
    ) -> Result<PathBuf, Error> {
        let workshop = self.workshop().ok_or_else(|| Error::NoSandbox {
            what: job.what.clone(),
        })?;
        let folder = source.folder.clone();
        let input = self
            .blocking(move || {
                Content::of(&[Root {
                    without: &[MODULES, "target", ".venv"],
                    dots: true,
                    ..Root::code(&folder)
                }])
            })
            .await?;
        let place = self.place_of_build(&key(&input, &job, program));
        // One at a time: each may use what a build may use.
        let _one = self.making.lock().await;
        let owner = (source.folder.clone(), source.name.clone());
        lock(&self.current).insert(owner, place.clone());
        if place.is_dir() {
            return Ok(place);
        }
        let began = self.now();
        let throttle = Throttle::default();
        let progress = |line| self.tell_some(&throttle, &source.name, line, began);
        self.tell(source.name.clone(), format!("running `{}`", job.what), began);
        let new = self.beside(&place);
        let (archive, made) = (new.with_extension("source.new"), new.with_extension("made.new"));
        let ran = async {
            let (input, to) = (Arc::new(input), archive.clone());
            self.blocking(move || {
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
                }
                input.write(&to)
            })
            .await?;
            workshop.run(&job, &archive, &made, &progress).await?;
            let (from, to, what) = (made.clone(), new.clone(), job.what.clone());
            self.blocking(move || unpack(&from, &to, &what)).await
        };
        let ran = ran.await;
        for file in [&archive, &made] {
            // There may be nothing yet to remove.
            let _ = tokio::fs::remove_file(file).await;
        }
        self.counted_code(ran.is_ok(), began);
        if let Err(error) = ran {
            let _ = tokio::fs::remove_dir_all(&new).await;
            return Err(error);
        }
        self.finish(&new, &place).await?;
        self.tell(source.name.clone(), format!("`{}` is done", job.what), began);
        Ok(place)
    }

    /// Packs and unpacks what the code is.
    async fn packed(
        &self,
        source: &Source,
        content: Content,
        requirements: Option<PathBuf>,
        program: &Program,
    ) -> Result<Built, Error> {
        let artifact = content.id;
        // Compiled code depends on the interpreter.
        let hash = hash_of(&[artifact.to_string().as_bytes(), language(program).as_bytes()]);
        let task = self.place_of_artifact(&hash);
        let is_stored = self.is_stored(artifact).await?;
        if !is_stored || !task.is_dir() {
            let began = self.now();
            let made = self.make(Arc::new(content), is_stored, program, &task).await;
            self.counted_code(made.is_ok(), began);
            made?;
            let message = format!("{} is ready for {}", source.folder.display(), program.runtime());
            self.tell(source.folder.display().to_string(), message, began);
        }
        let list = requirements
            .as_ref()
            .map(|folder| folder.as_os_str().as_encoded_bytes())
            .unwrap_or_default();
        let version = hash_of(&[hash.as_bytes(), list]);
        let code = Code {
            task,
            requirements,
            layers: None,
            sdk: None,
        };
        let sdk = self.sdk(&code, program).await;
        Ok(Built {
            code: Code { sdk, ..code },
            hash: version,
            artifact,
        })
    }
}

/// What a build depends on.
fn key(input: &Content, job: &Job, program: &Program) -> String {
    let input = input.id.to_string();
    let mounts = format!("{:?} {:?} {:?}", job.mounts, job.programs, job.path);
    let mut parts: Vec<&[u8]> = vec![FORM, input.as_bytes(), job.script.as_bytes(), mounts.as_bytes()];
    parts.extend([language(program).as_bytes(), std::env::consts::ARCH.as_bytes()]);
    for (name, value) in &job.environment {
        parts.extend([name.as_bytes(), value.as_encoded_bytes()]);
    }
    hash_of(&parts)
}

/// Lets a job see packages: their own place is out of the source, which is not there yet when a sandbox begins.
pub(crate) fn let_see(job: &mut Job, modules: &Path) {
    let place = Path::new(DEPS).join(MODULES);
    job.mounts
        .push(Mount::read_only(modules.join(MODULES), place.clone()));
    job.path.push(place.join(".bin"));
    job.script = format!("ln -s {} {MODULES}\n{}", place.display(), job.script);
}

/// Lets a job run an interpreter.
pub(crate) fn show(job: &mut Job, interpreter: &Interpreter, name: &'static str) {
    job.mounts.extend(interpreter.needs.iter().map(Mount::same));
    job.programs.push((name, interpreter.executable.clone()));
}

/// Whether every sandbox sees it anyway.
pub(crate) fn is_seen(folder: &Path) -> bool {
    folder.starts_with("/usr") && !folder.starts_with("/usr/local")
}

/// Whether a project's files are ECMAScript modules unless they say otherwise.
fn is_module(folder: &Path) -> bool {
    let text = fs::read(folder.join("package.json")).unwrap_or_default();
    let about: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    about.get("type").is_some_and(|kind| kind == "module")
}
