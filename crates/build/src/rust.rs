//! Rust to a WebAssembly component.
//!
//! `cargo vendor` fetches what the lock file says, each package held against its hash, and runs nothing of it; the project's own settings
//! for cargo, which can name programs, are not there when it does. `cargo build`, which runs build scripts and macros, happens in the
//! workshop, without a network.
//!
//! With rustup the target `wasm32-wasip2` makes a component. A toolchain without it, but with the library's sources (`rust-src`), builds the
//! standard library, too, for `wasm32-unknown-unknown`, and the module becomes a component by [`encode`](crate::encode): so it is on machines that reach
//! package registries only.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use aloft_function::Program;
use aloft_sandbox::Mount;
use tokio::process::Command;

use crate::artifact::{Content, Root, hash_of};
use crate::builder::Builder;
use crate::source::{Source, is_seen};
use crate::throttle::Throttle;
use crate::workshop::{DEPS, Job, unpack};
use crate::{Error, encode, python};

const TARGET: &str = "wasm32-wasip2";
const BARE: &str = "wasm32-unknown-unknown";
const LOCK: &str = "Cargo.lock";
/// Where this program is seen when it makes a component.
const ALOFT: &str = "/aloft";
/// Changes with the way in which packages are kept.
const FORM: &[u8] = b"1";

/// What compiles Rust on this machine.
struct Toolchain {
    /// The folder of `cargo` and `rustc`.
    bin: PathBuf,
    sysroot: PathBuf,
    /// What it says of itself.
    version: String,
    /// The sources of its library, if it has no [`TARGET`].
    library: Option<PathBuf>,
}

impl Toolchain {
    /// The one that the search path has.
    ///
    /// # Errors
    /// What is missing, and what to do.
    async fn find(search: &[PathBuf]) -> Result<Self, String> {
        let find = |name: &str| {
            search
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        };
        let (Some(cargo), Some(rustc)) = (find("cargo"), find("rustc")) else {
            return Err("there is no cargo on the PATH: install Rust, as https://rustup.rs says".to_owned());
        };
        let sysroot = said(&rustc, &["--print", "sysroot"]).await?;
        let version = said(&rustc, &["-vV"]).await?;
        let sysroot = PathBuf::from(sysroot.trim());
        let real = fs::canonicalize(&cargo).unwrap_or(cargo);
        // rustup's is a program that looks for the real one.
        let bin = match real.file_name().is_some_and(|name| name == "rustup") {
            true => sysroot.join("bin"),
            false => real.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let libraries = sysroot.join("lib/rustlib");
        let source = libraries.join("src/rust/library");
        let library = if libraries.join(TARGET).join("lib").is_dir() {
            None
        } else if source.join("Cargo.lock").is_file() {
            Some(fs::canonicalize(&source).unwrap_or(source))
        } else {
            return Err(format!(
                "the Rust in {} has no {TARGET}: run `rustup target add {TARGET}`",
                sysroot.display()
            ));
        };
        Ok(Self {
            bin,
            sysroot,
            version,
            library,
        })
    }
}

async fn said(program: &Path, arguments: &[&str]) -> Result<String, String> {
    // In the root folder no project says which toolchain is meant.
    let output = Command::new(program).args(arguments).current_dir("/").output();
    let failed = |why: &dyn std::fmt::Display| format!("{} does not run: {why}", program.display());
    let output = tokio::time::timeout(python::PATIENCE, output)
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}

impl Builder {
    /// The folder with the component of a crate.
    pub(crate) async fn rust(&self, source: &Source, program: &Program) -> Result<PathBuf, Error> {
        let lacks = |why: String| Error::Lacks {
            what: source.folder.join("Cargo.toml").display().to_string(),
            why,
        };
        if !source.folder.join(LOCK).is_file() {
            return Err(lacks(format!(
                "there is no {LOCK}, by which a build is the same each time: run `cargo generate-lockfile` there"
            )));
        }
        let toolchain = Toolchain::find(self.search()).await.map_err(lacks)?;
        let crates = self.crates(&source.folder, &toolchain).await?;
        let is_bare = toolchain.library.is_some();
        let (target, more, put) = match is_bare {
            false => (TARGET, "", "cp \"$made\" \"$HANDLER\"".to_owned()),
            true => (
                BARE,
                " -Zbuild-std=std,panic_abort",
                format!("{ALOFT} {} < \"$made\" > \"$HANDLER\"", encode::WORD),
            ),
        };
        let script = format!(
            "cargo build --release --offline --locked --config {DEPS}/config.toml --target {target}{more}\n\
             made=\"/tmp/target/{target}/release/${{HANDLER##*/}}\"\n\
             if [ ! -f \"$made\" ]; then\n\
             echo \"error: cargo made no ${{HANDLER##*/}}; it made $(cd \"${{made%/*}}\" && echo *.wasm): let the handler be called so\"\n\
             exit 1\nfi\n\
             mkdir -p \"/tmp/output/$(dirname \"$HANDLER\")\"\ncd /tmp/output\n{put}"
        );
        let mut job = Job::new(format!("cargo build --target {target}"), script);
        let text = |text: &str| OsString::from(text);
        job.environment = vec![
            ("HANDLER", text(&source.handler)),
            ("CARGO_HOME", text("/tmp/cargo")),
            ("CARGO_TARGET_DIR", text("/tmp/target")),
            ("CARGO_TERM_PROGRESS_WHEN", text("never")),
            ("RUSTC", toolchain.bin.join("rustc").into()),
            // A part of the key under which it is kept.
            ("TOOLCHAIN", text(&toolchain.version)),
        ];
        if is_bare {
            job.environment.push(("RUSTC_BOOTSTRAP", text("1")));
            let linker = toolchain.bin.join("wasm-ld");
            if linker.is_file() {
                job.environment
                    .push(("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.into()));
            }
            let this =
                std::env::current_exe().map_err(Error::io("find the program in", Path::new("/proc/self")))?;
            job.mounts.push(Mount::read_only(this, ALOFT));
        }
        // One may lie in another, and be seen with it.
        let folders = [
            Some(&toolchain.bin),
            Some(&toolchain.sysroot),
            toolchain.library.as_ref(),
        ];
        let folders: Vec<&PathBuf> = folders.into_iter().flatten().collect();
        let is_within = |folder: &&&PathBuf| {
            is_seen(folder)
                || folders
                    .iter()
                    .any(|other| other != *folder && folder.starts_with(other))
        };
        job.mounts.extend(
            folders
                .iter()
                .filter(|folder| !is_within(folder))
                .map(Mount::same),
        );
        job.mounts.push(Mount::read_only(crates, DEPS));
        job.path.push(toolchain.bin.clone());
        self.make_in_workshop(source, job, program).await
    }

    /// The folder with the packages of a lock file, fetched if this machine has not done so yet: `vendor` and a `config.toml` that leads there.
    async fn crates(&self, folder: &Path, toolchain: &Toolchain) -> Result<PathBuf, Error> {
        let lock = folder.join(LOCK);
        let text = tokio::fs::read(&lock).await.map_err(Error::io("read", &lock))?;
        let library = toolchain.library.as_ref();
        let library_lock = library
            .and_then(|library| fs::read(library.join(LOCK)).ok())
            .unwrap_or_default();
        let parts: [&[u8]; 5] = [FORM, b"cargo", toolchain.version.as_bytes(), &text, &library_lock];
        let place = self.cached(&hash_of(&parts));
        let _one = self.making.lock().await;
        if place.is_dir() {
            return Ok(place);
        }
        let (began, subject) = (self.now(), lock.display().to_string());
        let throttle = Throttle::default();
        let progress = |line| self.tell_some(&throttle, &subject, line, began);
        self.tell(
            subject.clone(),
            format!("fetching the packages of {subject}"),
            began,
        );
        let new = self.beside(&place);
        let (project, archive) = (new.with_extension("source.new"), new.with_extension("tar.new"));
        let fetched = async {
            let (from, to, through, vendor) = (
                folder.to_owned(),
                project.clone(),
                archive.clone(),
                new.join("vendor"),
            );
            self.blocking(move || {
                fs::create_dir_all(&vendor).map_err(Error::io("make the folder", &vendor))?;
                let source = Content::of(&[Root {
                    without: &["target", "rust-toolchain", "rust-toolchain.toml"],
                    ..Root::code(&from)
                }])?;
                source.write(&through)?;
                unpack(&through, &to, "the source")
            })
            .await?;
            let mut command = Command::new("/bin/sh");
            command
                .current_dir(&project)
                .env("RUSTC", toolchain.bin.join("rustc"))
                .args(["-c", "config=$1; shift; exec \"$@\" > \"$config\"", "sh"])
                .arg(new.join("config.toml"))
                .arg(toolchain.bin.join("cargo"))
                .args(["vendor", "--locked", "--versioned-dirs"]);
            if let Some(library) = library {
                command.arg("--sync").arg(library.join("Cargo.toml"));
            }
            let output = python::run(command.arg(new.join("vendor")), "cargo vendor", &progress).await?;
            output.map_err(|output| Error::Requirements {
                list: lock.clone(),
                tool: "cargo vendor".to_owned(),
                output,
            })?;
            // It says where the packages are, which will be elsewhere.
            let config = new.join("config.toml");
            let text = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
            let text = text.replace(&new.display().to_string(), DEPS);
            fs::write(&config, text).map_err(Error::io("write", &config))
        };
        let fetched = fetched.await;
        self.counted_requirements(fetched.is_ok(), began);
        // There may be nothing yet to remove.
        let _ = tokio::fs::remove_file(&archive).await;
        let _ = tokio::fs::remove_dir_all(&project).await;
        if let Err(error) = fetched {
            let _ = tokio::fs::remove_dir_all(&new).await;
            return Err(error);
        }
        self.finish(&new, &place).await?;
        Ok(place)
    }
}
