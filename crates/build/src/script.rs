//! JavaScript and TypeScript to a WebAssembly component: bundled by esbuild, and put into a component with an engine by componentize-js.
//!
//! The script answers `fetch` events, as a service worker does. The engine has an HTTP interface of its own, so the world only says that it
//! is there; its description comes with componentize-js, in another patch version than the engine was built with, and the two must be called
//! the same.

use std::ffi::OsString;
use std::path::PathBuf;

use aloft_function::Program;
use aloft_sandbox::Mount;

use crate::Error;
use crate::builder::Builder;
use crate::source::{LOCK, MODULES, Source, let_see, show};
use crate::workshop::Job;

/// componentize-js, with the hashes of all its packages.
const COMPONENTIZE: [(&str, &str); 2] = [
    ("package.json", include_str!("tools/componentize/package.json")),
    (LOCK, include_str!("tools/componentize/package-lock.json")),
];
/// Where its packages are seen: Node.js finds one from another only in a folder of this name.
const TOOL: &str = "/componentize/node_modules";
/// The versions of WASI: that of the description, and that of the engine.
const DESCRIBED: &str = "0.2.12";
const ENGINE: &str = "0.2.10";
/// What a component's script ends with.
const ENDS: [&str; 2] = ["js", "ts"];

/// The script of a component that is not there yet: the handler's name with another end.
pub(crate) fn entry(source: &Source) -> Option<PathBuf> {
    let files = ENDS.map(|end| PathBuf::from(&source.handler).with_extension(end));
    files.into_iter().find(|file| source.folder.join(file).is_file())
}

impl Builder {
    /// The folder with the component of a script.
    pub(crate) async fn script(
        &self,
        source: &Source,
        entry: PathBuf,
        program: &Program,
    ) -> Result<PathBuf, Error> {
        let what = format!("componentize-js {}", entry.display());
        let Some(node) = &source.node else {
            return Err(Error::Lacks {
                what,
                why: "it takes Node.js, and there is none on this machine".to_owned(),
            });
        };
        let modules = match source.folder.join(LOCK).is_file() {
            true => Some(self.modules(&source.folder, Some(node), false).await?),
            false => None,
        };
        let esbuild = self.esbuild(modules.as_deref(), Some(node), &what).await?;
        let tool = self.tool("componentize-js", &COMPONENTIZE, Some(node)).await?;
        let packages = format!("{TOOL}/@bytecodealliance");
        let script = format!(
            "/esbuild \"$ENTRY\" --bundle --format=esm --platform=neutral --main-fields=module,main --conditions=worker,import \
             --outfile=/tmp/bundle.js --log-level=warning --legal-comments=none\n\
             mkdir /tmp/wit\ncp -R {packages}/jco/lib/wit/builtin/{DESCRIBED} /tmp/wit/deps\n\
             find /tmp/wit -name '*.wit' -exec sed -i 's/@{DESCRIBED}/@{ENGINE}/g' {{}} +\n\
             echo 'package aloft:function; world function {{ export wasi:http/incoming-handler@{ENGINE}; }}' > /tmp/wit/world.wit\n\
             mkdir -p \"/tmp/output/$(dirname \"$HANDLER\")\"\n\
             node {TOOL}/.bin/componentize-js /tmp/bundle.js --wit /tmp/wit --world-name function --out \"/tmp/output/$HANDLER\"\n\
             cd /tmp/output"
        );
        let mut job = Job::new(what, script);
        job.environment = vec![
            ("ENTRY", entry.into_os_string()),
            ("HANDLER", OsString::from(&source.handler)),
        ];
        job.mounts.push(Mount::read_only(esbuild, "/esbuild"));
        job.mounts.push(Mount::read_only(tool.join(MODULES), TOOL));
        show(&mut job, node, "node");
        if let Some(modules) = &modules {
            let_see(&mut job, modules);
        }
        self.make_in_workshop(source, job, program).await
    }
}
