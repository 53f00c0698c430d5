//! What is true of this tree, read from the tree: cargo's metadata, and its files without what git ignores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// A dependency as its manifest declares it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) dev: bool,
}

/// The workspace's packages, by name.
pub(crate) fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    metadata
        .packages
        .into_iter()
        .map(|package| (package.name.to_string(), package))
        .collect()
}

/// Everything that a workspace's package depends on.
pub(crate) fn edges() -> Vec<Edge> {
    let mut edges = Vec::new();
    for (from, package) in packages() {
        for dependency in package.dependencies {
            let dev = dependency.kind == DependencyKind::Development;
            edges.push(Edge {
                from: from.clone(),
                to: dependency.name,
                dev,
            });
        }
    }
    edges
}

/// Every file of the tree with this extension, relative to the root, sorted. Folders that builds and runs make are
/// not the tree's.
pub(crate) fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), extension, &mut found);
    let root = root();
    let mut found: Vec<PathBuf> = found
        .into_iter()
        .map(|file| file.strip_prefix(&root).unwrap().to_path_buf())
        .collect();
    found.sort();
    assert!(
        !found.is_empty(),
        "no .{extension} file found: this function is broken"
    );
    found
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let made = (name.starts_with('.') && name != ".ci") || name == "__pycache__" || name == "target";
        if path.is_dir() && !made && !path.join("CACHEDIR.TAG").exists() {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// A file of the tree.
pub(crate) fn read(file: &Path) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
