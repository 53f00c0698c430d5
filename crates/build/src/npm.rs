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
    let npm = find(search).ok_or_else(|| Error::Requirements {
        list: list(),
        tool: "npm".to_owned(),
        output: "there is no npm on the PATH: install it, or bring the packages in node_modules".to_owned(),
    })?;
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

/// npm's program: the real file, which is JavaScript, since its first line would look for a `node` by itself.
pub(crate) fn find(search: &[PathBuf]) -> Option<PathBuf> {
    search
        .iter()
        .find_map(|folder| std::fs::canonicalize(folder.join("npm")).ok())
        .filter(|npm| npm.extension().is_some_and(|end| end == "js"))
}

/// Its version, as its own description says it.
pub(crate) fn version(npm: &Path) -> Vec<u8> {
    let about = npm.parent().and_then(Path::parent);
    about
        .and_then(|folder| std::fs::read(folder.join("package.json")).ok())
        .unwrap_or_default()
}

/// Installs into `folder/node_modules` exactly what the lock file in the folder says, each package held against its hash. No script of a package runs.
pub(crate) async fn ci(
    (interpreter, npm): (&Interpreter, &Path),
    folder: &Path,
    list: &Path,
    arguments: &[OsString],
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    let mut command = python::python(interpreter);
    command
        .current_dir(folder)
        .arg(npm)
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel",
            "error",
        ])
        .args(arguments);
    let output = python::run(&mut command, "npm ci", progress).await?;
    output.map_err(|output| Error::Requirements {
        list: list.to_owned(),
        tool: "npm ci".to_owned(),
        output,
    })
}

/// A cache of npm's with the packages of a folder, from which it takes by their hashes what a lock file says.
pub(crate) async fn cache(
    (interpreter, npm): (&Interpreter, &Path),
    packages: &Path,
    place: &Path,
    list: &Path,
) -> Result<PathBuf, Error> {
    let entries = std::fs::read_dir(packages).map_err(Error::io("read the folder", packages))?;
    let is_package = |path: &PathBuf| path.extension().is_some_and(|end| end == "tgz");
    let files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_package)
        .collect();
    std::fs::create_dir_all(place).map_err(Error::io("make the folder", place))?;
    if files.is_empty() {
        return Ok(place.to_owned());
    }
    let mut command = python::python(interpreter);
    command
        .arg(npm)
        .args(["cache", "add", "--offline", "--loglevel", "error", "--cache"])
        .arg(place)
        .args(files);
    let output = python::run(&mut command, "npm cache add", &|_| {}).await?;
    output.map_err(|output| Error::Requirements {
        list: list.to_owned(),
        tool: "npm cache add".to_owned(),
        output,
    })?;
    Ok(place.to_owned())
}
