//! The directory: who holds it, and that it appears whole. Inside lie `lock` (held by `flock` for as long as the process lives,
//! with its id as text), `mark` (see `journal`) and `tree` (the LSM tree).
//!
//! fjall 3.1.13 creates the folders of its trees (`keyspaces/0`, `keyspaces/1`) without syncing them into `keyspaces`: by the
//! letter of POSIX a power cut may take them, and with them every commit so far (the test `crash` shows it). So a new tree is built as `tree.new`, every directory of it is synced, and a rename
//! (synced too) makes it the tree. What a crash leaves of `tree.new` is removed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aloft_base::{Chance, SystemChance};
use aloft_store::Error;
use aloft_store::folder::{create, io, lock, sync};

use crate::journal::Mark;

const TREE: &str = "tree";
const NEW_TREE: &str = "tree.new";
const MARK: &str = "mark";
const NEW_MARK: &str = "mark.new";

/// A directory that this process holds.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the directory if need be and takes it, or names who has it.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(io("find the data folder", path))?;
        create(&path)?;
        let lock = lock(&path)?;
        let new = path.join(NEW_TREE);
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io("remove the unfinished", &new))?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// The tree's directory; where there is none, `create` makes one in the place it is given.
    pub(crate) fn tree(&self, create: impl FnOnce(&Path) -> Result<(), Error>) -> Result<PathBuf, Error> {
        let tree = self.path.join(TREE);
        if !tree.exists() {
            let new = self.path.join(NEW_TREE);
            create(&new)?;
            sync_tree(&new)?;
            fs::rename(&new, &tree).map_err(io("rename the new tree to", &tree))?;
            sync(&self.path)?;
        }
        Ok(tree)
    }

    /// What the folder's groups begin with: see `journal`. Made once, durably, and readable by nobody else.
    pub(crate) fn mark(&self) -> Result<Mark, Error> {
        let (path, new) = (self.path.join(MARK), self.path.join(NEW_MARK));
        if !path.exists() {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mark = SystemChance.next_u128().to_le_bytes();
            let write = || {
                let mut file = options.open(&new)?;
                file.write_all(&mark)?;
                file.sync_all()?;
                fs::rename(&new, &path)
            };
            write().map_err(io("write the mark", &path))?;
            sync(&self.path)?;
        }
        let bytes = fs::read(&path).map_err(io("read the mark", &path))?;
        let length = bytes.len();
        bytes.try_into().map_err(|_| {
            let reason = format!("it has {length} bytes instead of 16; restore it from a copy");
            Error::corrupt(path.display().to_string(), reason)
        })
    }

    /// For errors.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Syncs every file and directory under `path`, and the directory itself.
fn sync_tree(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(io("read the folder", path))? {
        let entry = entry.map_err(io("read the folder", path))?;
        if entry.file_type().map_err(io("look at", path))?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            sync(&entry.path())?;
        }
    }
    sync(path)
}
