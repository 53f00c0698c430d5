//! Installing packages of npm's registry with the npm of this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aloft_function::Interpreter;

use crate::{Error, python};

/// Installs packages into `target/node_modules`. None of their scripts runs: they are strangers' code, for which there is no sandbox here.
pub(crate) async fn install(
    interpreter: &Interpreter,
    search: &[PathBuf],
    packages: &[&str],
    target: &Path,
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    let list = || PathBuf::from(packages.join(" "));
    // The real file, which is JavaScript: its first line would look for a `node` by itself.
    let npm = search
        .iter()
        .find_map(|folder| std::fs::canonicalize(folder.join("npm")).ok())
        .filter(|npm| npm.extension().is_some_and(|end| end == "js"));
    let Some(npm) = npm else {
        return Err(Error::Requirements {
            list: list(),
            tool: "npm".to_owned(),
            output: "there is no npm on the PATH: install it, or bring the packages in node_modules"
                .to_owned(),
        });
    };
    std::fs::create_dir_all(target).map_err(Error::io("make the folder", target))?;
    let mut command = python::python(interpreter);
    let arguments: [OsString; 4] = [npm.into(), "install".into(), "--prefix".into(), target.into()];
    command
        .args(arguments)
        .args(["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"])
        .args(["--loglevel", "error"])
        .args(packages);
    let output = python::run(&mut command, "npm", progress).await?;
    output.map_err(|output| Error::Requirements {
        list: list(),
        tool: "npm".to_owned(),
        output,
    })
}
