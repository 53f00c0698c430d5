//! Folders of a benchmark: the project, the data, what the platform prints, all gone at the end.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::Platform;

/// In what a handler is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The newest Python 3 that the platform finds.
    Python,
    /// The newest Node.js that it finds.
    Node,
}

impl Language {
    /// The handler that the platform and its peer both run: the file's name and its text.
    pub fn hello(self) -> (&'static str, &'static str) {
        match self {
            Self::Python => ("hello.py", include_str!("../peers/hello.py")),
            Self::Node => ("hello.js", include_str!("../peers/hello.js")),
        }
    }

    /// The peer that imports that handler, in `peers/`.
    pub fn peer(self) -> &'static str {
        match self {
            Self::Python => "loop.py",
            Self::Node => "loop.js",
        }
    }

    /// What the definition calls it.
    pub fn runtime(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Node => "nodejs",
        }
    }
}

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
    pub fn hello(parent: &Path, language: Language) -> Result<Self> {
        Self::one(parent, language.runtime(), language.hello(), "")
    }

    /// A function called hello under `GET /hello`, of one file; `more` are further keys of it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn one(parent: &Path, runtime: &str, (file, text): (&str, &str), more: &str) -> Result<Self> {
        let definition = format!(
            "[project]\nname = \"hello\"\n\n[functions.hello]\nruntime = \"{runtime}\"\nsource = \"functions\"\n\
             handler = \"hello.handler\"\n{more}\n[routes]\n\"GET /hello\" = \"hello\"\n"
        );
        let place = format!("functions/{file}");
        Self::new(parent, &[("aloft.toml", &definition), (&place, text)])
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

    /// Starts the platform by this command, which has no arguments yet.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_by(&self, program: Command) -> Result<Platform> {
        let place = self.place.path();
        Platform::start_by(program, &self.folder(), &place.join("data"), place)
    }

    /// Starts the platform on another project, with the data here.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_on(&self, folder: &Path) -> Result<Platform> {
        Platform::start(folder, &self.place.path().join("data"), self.place.path())
    }
}
