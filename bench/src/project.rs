//! Folders of a benchmark: the project, the data, what the platform prints, all gone at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::Platform;

/// The handler that the platform and its peer both run.
pub const HELLO: &str = include_str!("../peers/hello.py");

/// A project in a temporary folder.
pub struct Project {
    place: TempDir,
}

impl Project {
    /// A project of these files, with its data under `parent`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(parent: &Path, files: &[(&str, &str)]) -> Result<Self> {
        let place = tempfile::Builder::new()
            .prefix("aloft-bench-")
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        let project = Self { place };
        std::fs::create_dir(project.folder())?;
        for (name, text) in files {
            let file = project.folder().join(name);
            std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
            std::fs::write(&file, text)?;
        }
        Ok(project)
    }

    /// A function called hello under `GET /hello`, with room for as many instances as there are connections.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn hello(parent: &Path) -> Result<Self> {
        let definition = "[project]\nname = \"hello\"\n\n[functions.hello]\nruntime = \"python3\"\n\
            source = \"functions\"\nhandler = \"hello.handler\"\n\n[routes]\n\"GET /hello\" = \"hello\"\n";
        Self::new(
            parent,
            &[("aloft.toml", definition), ("functions/hello.py", HELLO)],
        )
    }

    /// Where `aloft.toml` lies.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join("project")
    }

    /// A folder beside it, for whatever the benchmark keeps itself.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Starts the platform on it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<Platform> {
        self.start_on(&self.folder())
    }

    /// Starts the platform on another project, with the data here.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_on(&self, folder: &Path) -> Result<Platform> {
        Platform::start(folder, &self.place.path().join("data"), self.place.path())
    }
}
