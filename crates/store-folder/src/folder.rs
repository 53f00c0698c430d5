//! The folder: its lock, its names, and what is counted.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aloft_base::{Chance, Clock, Timestamp};
use aloft_store::Error;
use aloft_store::blobs::{Blob, BlobId, Blobs, Listed, MAX_UPLOADS, Upload};
use aloft_store::folder::{create, io, lock};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::form::content_of;
use crate::place::{PlaceError, sync, sync_name};
use crate::read;
use crate::upload::Writing;

/// Where uploads are written.
const NEW: &str = "new";
/// How much of a blob's name is the name of its folder: the kind and two digits.
const PREFIX: usize = 3;

/// Blobs in a folder. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Folder(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    uploads: Arc<Semaphore>,
    /// The folders that are there for certain. The lock is also held while a name is given, dated or removed, so that the removal of
    /// what is old never meets a renewal; nothing is synced under it but a new folder's name.
    names: Mutex<HashSet<String>>,
    /// Why nothing more is taken.
    broken: OnceLock<String>,
    pub(crate) counters: Counters,
    _lock: File,
}

/// What is counted, since the folder was opened.
#[derive(Debug, Default)]
pub struct Counters {
    uploads: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    removed: AtomicU64,
}

impl Counters {
    /// Uploads that were finished, and the bytes of their contents.
    pub fn uploads(&self) -> (u64, u64) {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (read(&self.uploads), read(&self.bytes))
    }

    /// Syncs of files and folders.
    pub fn syncs_made(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Blobs that were removed.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    pub(crate) fn syncs(&self, more: u64) {
        self.syncs.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn finished(&self, bytes: u64) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Folder {
    /// Opens the folder, creating it if there is none, and removes what uploads of a dead process have left. Blocks.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it open, [`Error::Io`] when it cannot be read or written.
    pub fn open(root: &Path, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Result<Self, Error> {
        let root = &std::path::absolute(root).map_err(io("find", root))?;
        create(root)?;
        let lock = lock(root)?;
        let new = root.join(NEW);
        create(&new)?;
        for entry in fs::read_dir(&new).map_err(io("read the folder", &new))? {
            let left = entry.map_err(io("read the folder", &new))?.path();
            fs::remove_file(&left).map_err(io("remove", &left))?;
        }
        let counters = Counters::default();
        Ok(Self(Arc::new(Inner {
            root: root.to_owned(),
            clock,
            chance,
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
            names: Mutex::default(),
            broken: OnceLock::new(),
            counters,
            _lock: lock,
        })))
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

#[async_trait]
impl Blobs for Folder {
    async fn begin(&self) -> Result<Box<dyn Upload>, Error> {
        let place = self.0.uploads.clone().acquire_owned().await;
        let place = place.map_err(|_| Error::Closed)?;
        Ok(Box::new(Writing::begin(self.0.clone(), place).await?))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn Blob>, Error> {
        let path = self.0.path(id);
        Ok(Box::new(blocking(move || read::open(id, path)).await?))
    }

    async fn renew(&self, id: BlobId) -> Result<bool, Error> {
        let inner = self.0.clone();
        blocking(move || inner.renew(id)).await
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
        let inner = self.0.clone();
        blocking(move || inner.list(after, limit)).await
    }

    async fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error> {
        let inner = self.0.clone();
        blocking(move || inner.remove(id, unless_since)).await
    }
}

impl Inner {
    /// Whether anything is taken.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.broken
            .get()
            .map_or(Ok(()), |why| Err(Error::Poisoned(why.clone())))
    }

    /// A name for an upload.
    pub(crate) fn new_name(&self) -> PathBuf {
        let name = format!("{:032x}", self.chance.next_u128());
        self.root.join(NEW).join(name)
    }

    /// Now, as files are dated.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.now().as_millis())
    }

    /// Gives a synced file its name. If the name cannot be synced, nobody knows whether it is on the disk, and nothing more is taken.
    pub(crate) fn name(&self, new: &Path, id: BlobId) -> Result<(), Error> {
        self.check()?;
        self.make_folder(id)?;
        let place = self.path(id);
        {
            let _names = self.names();
            fs::rename(new, &place).map_err(io("rename to", &place))?;
        }
        self.counters.syncs(1);
        sync_name(&place).map_err(|error| self.break_off(&error))
    }

    fn make_folder(&self, id: BlobId) -> Result<(), Error> {
        let prefix = prefix(id);
        let mut known = self.names();
        if known.contains(&prefix) {
            return Ok(());
        }
        let folder = self.root.join(&prefix);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(io("create the folder", &folder)(error));
            }
            // Also the name of one that is there may not be on the disk yet.
            _ => sync(&self.root).map_err(|error| self.break_off(&error))?,
        }
        self.counters.syncs(1);
        known.insert(prefix);
        Ok(())
    }

    pub(crate) fn break_off(&self, error: &PlaceError) -> Error {
        let why = self.broken.get_or_init(|| error.to_string());
        tracing::error!(%error, folder = %self.root.display(), "no more blobs are taken until the node is started again");
        Error::Poisoned(why.clone())
    }

    fn renew(&self, id: BlobId) -> Result<bool, Error> {
        self.check()?;
        let (path, _names) = (self.path(id), self.names());
        let dated = OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(self.now()));
        match dated {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            dated => dated.map(|()| true).map_err(io("set the time of", &path)),
        }
    }

    fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error> {
        let (path, _names) = (self.path(id), self.names());
        match look(id, &path)? {
            Some(found) if found.renewed < unless_since => {
                fs::remove_file(&path).map_err(io("remove", &path))?;
                self.counters.removed.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
        let from = after.map(prefix).unwrap_or_default();
        let mut folders = names_in(&self.root)?;
        folders.retain(|name| name.len() == PREFIX && name != NEW && *name >= from);
        folders.sort_unstable();
        let mut listed = Vec::new();
        for folder in folders {
            let folder = self.root.join(folder);
            let names = names_in(&folder)?;
            let mut ids: Vec<BlobId> = names.iter().filter_map(|name| name.parse().ok()).collect();
            if ids.len() < names.len() {
                let foreign = names.len() - ids.len();
                tracing::warn!(folder = %folder.display(), foreign, "files are no blobs; they are left alone");
            }
            ids.retain(|id| after.is_none_or(|after| *id > after));
            ids.sort_unstable();
            for id in ids {
                if listed.len() >= limit {
                    return Ok(listed);
                }
                listed.extend(look(id, &self.path(id))?);
            }
        }
        Ok(listed)
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.root.join(prefix(id)).join(id.to_string())
    }

    fn names(&self) -> MutexGuard<'_, HashSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of a blob.
fn prefix(id: BlobId) -> String {
    id.to_string().chars().take(PREFIX).collect()
}

/// What a list tells of a blob; `None` if there is none.
fn look(id: BlobId, path: &Path) -> Result<Option<Listed>, Error> {
    let about = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        about => about.map_err(io("look at", path))?,
    };
    let modified = about.modified().map_err(io("look at", path))?;
    let since = modified
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Some(Listed {
        id,
        // One that was damaged to less than any blob is still listed, so that it can be removed.
        bytes: content_of(about.len()).unwrap_or(0),
        renewed: Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
    }))
}

fn names_in(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(folder).map_err(io("read the folder", folder))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(io("read the folder", folder))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// Runs what may wait for the disk apart from the threads that answer requests.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Error::Closed))
}
