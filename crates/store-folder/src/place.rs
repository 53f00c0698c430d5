//! How bytes get a name that is trusted later: written under another name, synced, renamed, and the name synced. Whoever finds the
//! name needs to look at nothing else. It works for files and for whole folders, such as what a build made.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Up to so many files and folders are synced one by one.
const FEW: usize = 64;

/// Why something could not be placed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct PlaceError {
    /// What was tried.
    pub doing: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

impl PlaceError {
    pub(crate) fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { doing, path, source }
    }
}

/// Gives the file or folder `new` the name `place`, on the same file system, once all of it is on the disk; when this returns, so is the
/// name. Answers `false` when a folder was there already, which stays; then `new` is left to the caller. Blocks.
///
/// # Errors
/// When something cannot be read, synced or renamed. Then `new` is left to the caller.
pub fn place(new: &Path, place: &Path) -> Result<bool, PlaceError> {
    sync_whole(new)?;
    let is_first = match fs::rename(new, place) {
        Ok(()) => true,
        // Whoever was first may not have come to sync the name.
        Err(_) if place.is_dir() => false,
        Err(error) => return Err(PlaceError::of("rename to", place)(error)),
    };
    sync_name(place).map(|()| is_first)
}

/// Syncs the folder that holds a name.
pub(crate) fn sync_name(place: &Path) -> Result<(), PlaceError> {
    place.parent().map_or(Ok(()), sync)
}

/// Syncs one file or folder.
pub(crate) fn sync(path: &Path) -> Result<(), PlaceError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(PlaceError::of("sync", path))
}

/// Syncs a file, or a folder with all that is in it: one by one where there is little, as in most sources; the whole file system
/// where thousands of files would each wait for the disk.
fn sync_whole(path: &Path) -> Result<(), PlaceError> {
    let (mut folders, mut all) = (Vec::new(), Vec::new());
    if path.is_dir() {
        folders.push(path.to_owned());
    } else {
        all.push(path.to_owned());
    }
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(PlaceError::of("read", &next))? {
            let entry = entry.map_err(PlaceError::of("read", &next))?;
            let kind = entry.file_type();
            let kind = kind.map_err(PlaceError::of("look at", &entry.path()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                all.push(entry.path());
            }
        }
        all.push(next);
    }
    if all.len() > FEW {
        let opened = File::open(path).map_err(PlaceError::of("open", path))?;
        let synced = rustix::fs::syncfs(opened).map_err(io::Error::from);
        return synced.map_err(PlaceError::of("sync", path));
    }
    all.iter().try_for_each(|path| sync(path))
}
