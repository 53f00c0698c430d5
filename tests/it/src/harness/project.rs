//! Projects of a test's own, in a temporary folder with a data folder beside them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Platform;
use super::platform::Dev;
use super::store::{Engine, Store};

/// A project and its data: the folder, and what of it lies in a database.
pub(crate) struct Project {
    place: TempDir,
    store: Store,
}

impl Project {
    /// A project of these files, over the engine of this run.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self::over(Engine::of_this_run(), files)
    }

    /// The same over an engine that the test is about. A comment there says why.
    pub(crate) fn over(engine: Engine, files: &[(&str, &str)]) -> Self {
        let project = Self {
            place: TempDir::with_prefix("aloft-it-").unwrap(),
            store: Store::new(engine),
        };
        std::fs::create_dir(project.folder()).unwrap();
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    /// A copy of an example, to be changed at will.
    pub(crate) fn example(name: &str) -> Self {
        Self::example_over(Engine::of_this_run(), name)
    }

    /// The same over an engine that the test is about.
    pub(crate) fn example_over(engine: Engine, name: &str) -> Self {
        let project = Self::over(engine, &[]);
        copy(&super::example(name), &project.folder());
        project
    }

    /// Where its state lies.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Where `aloft.toml` lies.
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.path().join("project")
    }

    /// Where the platform keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// Writes a file in place, as `cat >` does.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.folder().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Writes a file beside and renames it, as editors do.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let beside = format!("{name}.new");
        self.write(&beside, text);
        std::fs::rename(self.folder().join(beside), self.folder().join(name)).unwrap();
    }

    /// `aloft dev` on it.
    pub(crate) fn dev(&self) -> Dev {
        self.dev_on(&self.data())
    }

    /// `aloft dev` on it with another data folder. What lies in a database stays where it is.
    pub(crate) fn dev_on(&self, data: &Path) -> Dev {
        let dev = Dev::new(&self.folder(), data);
        match self.store.url() {
            Some(url) => dev.with(&["--store", url]),
            None => dev,
        }
    }

    /// Starts it.
    pub(crate) fn start(&self) -> Platform {
        self.dev().start()
    }
}

/// Copies a folder; what earlier runs left in it stays behind.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if name == ".aloft" || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
