//! What layers bring: where programs and native code find it, and how it is seen in a sandbox.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use aloft_function::Version;
use aloft_sandbox::Mount;

/// Where layers are.
pub(super) const LAYERS: &str = "/opt";
/// Files and folders at the top of layers that are seen beside something else in `/opt`.
const LAYER_PARTS: usize = 64;

/// Where native code is looked for: in Lambda's folders of the code and of layers.
pub(super) fn libraries(task: &Path, layers: Option<&Path>) -> OsString {
    let mut folders = vec![task.to_owned(), task.join("lib")];
    folders.extend(layers.map(|layers| layers.join("lib")));
    joined(&folders)
}

fn joined(folders: &[PathBuf]) -> OsString {
    let folders: Vec<&OsStr> = folders.iter().map(|folder| folder.as_os_str()).collect();
    folders.join(OsStr::new(":"))
}

/// Where programs find what layers bring: Lambda's folders in `/opt`.
pub(super) fn of_layers(
    layers: &Path,
    version: &Version,
    sdk: Option<&OsString>,
) -> Vec<(OsString, OsString)> {
    let mut variables = vec![("ALOFT_LAYERS".into(), layers.into())];
    if let Some(interpreter) = version.program.node() {
        let major = interpreter
            .runtime
            .trim_end_matches(".x")
            .replace("nodejs", "node");
        let nodejs = layers.join("nodejs");
        let (own, any) = (
            nodejs.join(major).join("node_modules"),
            nodejs.join("node_modules"),
        );
        let mut path = joined(&[own, any]);
        if let Some(sdk) = sdk {
            path.push(":");
            path.push(sdk);
        }
        variables.push(("NODE_PATH".into(), path));
    }
    variables
}

/// Layers at their place. Where something else of the host is seen below it (an interpreter that lies in `/opt`), each part of them is
/// mounted beside that: nothing can be placed in a folder that is read-only.
pub(super) fn mounts_of_layers(folder: &Path, others: &[Mount]) -> Vec<Mount> {
    if others.iter().all(|mount| !mount.target().starts_with(LAYERS)) {
        return vec![Mount::read_only(folder, LAYERS)];
    }
    let parts = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let parts = parts.take(LAYER_PARTS);
    parts
        .map(|part| Mount::read_only(part.path(), Path::new(LAYERS).join(part.file_name())))
        .collect()
}
