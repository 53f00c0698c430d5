//! What engines that lie in a local folder share: they make it durably, hold it alone, and tell errors of the system in one way.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::Error;

const LOCK: &str = "lock";

/// Creates a folder and its parents, each synced into its parent, readable by nobody else.
///
/// # Errors
/// [`Error::Io`].
pub fn create(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    create(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io("create the folder", path)(error)),
        _ => sync(parent),
    }
}

/// Holds a folder for as long as the file that is returned is open: the kernel's lock of `lock` in it, with the process's id as text.
///
/// # Errors
/// [`Error::InUse`] with the holder, [`Error::Io`].
pub fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options.open(&path).map_err(io("open the lock", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The lock is held whether or not its text can be read; without it the holder is only less well named.
            let _ = (&mut file).take(32).read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "unknown",
                holder => holder,
            };
            return Err(Error::InUse {
                path: folder.display().to_string(),
                holder: holder.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
    }
    let id = std::process::id().to_string();
    let written = file.set_len(0).and_then(|()| file.write_all(id.as_bytes()));
    written.map_err(io("write the lock", &path))?;
    Ok(file)
}

/// Syncs one file or folder.
///
/// # Errors
/// [`Error::Io`].
pub fn sync(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(io("sync", path))
}

/// Makes an error of the system one of the store: what was tried, with which path.
pub fn io(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let what = format!("cannot {what} {}", path.display());
    |error| Error::Io {
        what,
        reason: error.to_string(),
    }
}
