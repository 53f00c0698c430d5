//! Watching a project's files. The kernel queues a notice in the same system call that changes a file, so a look at the
//! queue tells for sure whether anything has changed before a request: the `notify` crate's threads would tell it a moment
//! too late. Folders that appear are watched with the next look.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Error;

/// Watched folders, at most; a project with more is still watched in the first ones.
const FOLDERS: usize = 2_000;
/// Names that are told, at most.
const NAMES: usize = 20;

/// Watches folders and tells which files in them have changed.
pub(crate) struct Watch {
    queue: AsyncFd<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which folder a number of the kernel's stands for.
    folders: BTreeMap<i32, PathBuf>,
    changed: BTreeSet<String>,
}

impl Watch {
    pub(crate) fn new(root: &Path) -> Result<Self, Error> {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| Error::io("watch", root)(error.into()))?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe because a descriptor may be closed while it is watched; an OwnedFd is not"
        )]
        let queue = AsyncFd::with_interest(queue, Interest::READABLE).map_err(Error::io("watch", root))?;
        Ok(Self {
            queue,
            state: Mutex::default(),
        })
    }

    /// Watches the root's own files, and these folders with everything below them.
    pub(crate) fn follow(&self, root: &Path, folders: &BTreeSet<PathBuf>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.add(&mut state, root, root);
        for folder in folders {
            self.add_below(&mut state, root, folder);
        }
    }

    /// The files that have changed since the last look, relative to the root.
    pub(crate) fn changed(&self, root: &Path) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [MaybeUninit::uninit(); 4_096];
        let mut reader = Reader::new(self.queue.get_ref(), &mut buffer);
        let mut appeared = Vec::new();
        // The queue is empty when reading would block; any other failure is an empty queue, too.
        while let Ok(event) = reader.next() {
            let name = event
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let Some(folder) = state.folders.get(&event.wd()).cloned() else {
                // The kernel's queue has overflowed: anything may have changed.
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    state.changed.insert("many files".to_owned());
                }
                continue;
            };
            if name.is_empty() || is_left_behind(&name) {
                continue;
            }
            let path = folder.join(&name);
            if event.events().contains(ReadFlags::ISDIR) {
                appeared.push(path.clone());
            }
            if state.changed.len() < NAMES {
                state
                    .changed
                    .insert(path.strip_prefix(root).unwrap_or(&path).display().to_string());
            }
        }
        for folder in appeared {
            // Only below what is watched as a tree; the root is watched without its folders.
            if folder.parent() != Some(root) {
                self.add_below(&mut state, root, &folder);
            }
        }
        std::mem::take(&mut state.changed).into_iter().collect()
    }

    /// Waits until there is something to look at. Safe to cancel.
    pub(crate) async fn stirred(&self) {
        if let Ok(mut ready) = self.queue.readable().await {
            ready.clear_ready();
        }
    }

    fn add_below(&self, state: &mut State, root: &Path, folder: &Path) {
        self.add(state, root, folder);
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !is_left_behind(&entry.file_name().to_string_lossy()) {
                self.add_below(state, root, &entry.path());
            }
        }
    }

    fn add(&self, state: &mut State, root: &Path, folder: &Path) {
        if state.folders.len() >= FOLDERS {
            return;
        }
        let what = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(self.queue.get_ref(), folder, what) {
            Ok(number) => {
                state.folders.insert(number, folder.to_owned());
            }
            Err(error) => {
                let (folder, root) = (folder.display(), root.display());
                tracing::warn!(%error, %folder, %root, "a folder cannot be watched; changes in it need a restart");
            }
        }
    }
}

/// What tools leave behind is no change of the project.
fn is_left_behind(name: &str) -> bool {
    name.starts_with('.') || name == "__pycache__" || name.ends_with('~') || name.ends_with(".pyc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_seen_at_once_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("functions")).unwrap();
        std::fs::create_dir(root.join("other")).unwrap();
        let watch = Watch::new(root).unwrap();
        watch.follow(root, &BTreeSet::from([root.join("functions")]));
        assert!(watch.changed(root).is_empty());
        std::fs::write(root.join("functions/a.py"), "1").unwrap();
        assert_eq!(watch.changed(root), ["functions/a.py"]);
        assert!(watch.changed(root).is_empty());
        std::fs::write(root.join("aloft.toml"), "1").unwrap();
        std::fs::write(root.join("other/x"), "1").unwrap();
        std::fs::write(root.join("functions/.hidden"), "1").unwrap();
        assert_eq!(watch.changed(root), ["aloft.toml"]);
        std::fs::create_dir(root.join("functions/sub")).unwrap();
        assert_eq!(watch.changed(root), ["functions/sub"]);
        std::fs::write(root.join("functions/sub/b.py"), "1").unwrap();
        assert_eq!(watch.changed(root), ["functions/sub/b.py"]);
    }
}
