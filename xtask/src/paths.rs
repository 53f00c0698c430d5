//! Where things are: the repository's root, the target folder, and the folder for fetched tools in it.

use std::path::{Path, PathBuf};

/// The repository's root: this crate lies one folder below it, wherever the clone is.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder; `CARGO_TARGET_DIR` is relative to where cargo was called, as cargo itself reads it.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
        _ => root().join("target"),
    }
}

/// Where fetched tools are kept between runs.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
