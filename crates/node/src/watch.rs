//! Watching a project's files. The kernel queues a notice in the same system call that changes a file, so a look at the
//! queue tells for sure whether anything has changed before a request: the `notify` crate's threads would tell it a moment
//! too late.
//!
//! Watched are the root's own files, each source folder with everything below it, and the folders on the way from the root
//! to a source, so that a source that is removed or renamed and made again is noticed. Folders that appear are watched with
//! the next look, and those that go are forgotten: the kernel ends the watch of a removed folder by itself and says so,
//! that of a moved one is ended here, because its path stands for something else now.

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
    root: PathBuf,
    queue: AsyncFd<OwnedFd>,
    state: Mutex<State>,
    /// The bound of watched folders.
    most: usize,
}

#[derive(Default)]
struct State {
    /// Which folder a number of the kernel's stands for. The kernel does not give a number twice.
    folders: BTreeMap<i32, PathBuf>,
    /// The source folders.
    sources: BTreeSet<PathBuf>,
    changed: BTreeSet<String>,
    /// Whether it has been told that there are more folders than are watched.
    is_full: bool,
}

impl State {
    /// Whether a folder is a source or lies in one.
    fn is_inside(&self, folder: &Path) -> bool {
        self.sources.iter().any(|source| folder.starts_with(source))
    }

    /// Whether a folder lies on the way to a source, or is one.
    fn is_on_the_way(&self, folder: &Path) -> bool {
        self.sources.iter().any(|source| source.starts_with(folder))
    }
}

impl Watch {
    /// Watches the root's own files from now on.
    pub(crate) fn new(root: &Path) -> Result<Self, Error> {
        let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| Error::io("watch", root)(error.into()))?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe because a descriptor may be closed while it is watched; an OwnedFd is not"
        )]
        let queue = AsyncFd::with_interest(queue, Interest::READABLE).map_err(Error::io("watch", root))?;
        let watch = Self {
            root: root.to_owned(),
            queue,
            state: Mutex::default(),
            most: FOLDERS,
        };
        watch.follow(BTreeSet::new());
        Ok(watch)
    }

    /// Watches these folders with everything below them, and no others any more.
    pub(crate) fn follow(&self, sources: BTreeSet<PathBuf>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sources = sources;
        let unwanted: Vec<i32> = state
            .folders
            .iter()
            .filter(|(_, folder)| !self.is_wanted(&state, folder))
            .map(|(number, _)| *number)
            .collect();
        self.forget(&mut state, &unwanted);
        self.add_all(&mut state);
    }

    /// The files that have changed since the last look, relative to the root.
    pub(crate) fn changed(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [MaybeUninit::uninit(); 4_096];
        let mut reader = Reader::new(self.queue.get_ref(), &mut buffer);
        let mut appeared = Vec::new();
        // The queue is empty when reading would block; any other failure is an empty queue, too.
        while let Ok(event) = reader.next() {
            let (number, events) = (event.wd(), event.events());
            if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Anything may have changed, also which folders there are.
                state.changed.insert("many files".to_owned());
                let all: Vec<i32> = state.folders.keys().copied().collect();
                self.forget(&mut state, &all);
                appeared.push(self.root.clone());
                continue;
            }
            if events.contains(ReadFlags::IGNORED) {
                state.folders.remove(&number);
                continue;
            }
            let Some(folder) = state.folders.get(&number).cloned() else {
                continue;
            };
            if events.contains(ReadFlags::MOVE_SELF) {
                self.moved(&mut state, &folder);
                continue;
            }
            let name = event.file_name().map(|name| name.to_string_lossy().into_owned());
            let Some(name) = name.filter(|name| !is_left_behind(name)) else {
                continue;
            };
            let path = folder.join(&name);
            // On the way to a source only the way counts.
            if folder != self.root && !state.is_inside(&folder) && !state.is_on_the_way(&path) {
                continue;
            }
            if state.changed.len() < NAMES {
                let name = path
                    .strip_prefix(&self.root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                state.changed.insert(name);
            }
            if events.contains(ReadFlags::ISDIR) {
                appeared.push(path);
            }
        }
        for folder in appeared {
            if state.is_inside(&folder) {
                self.add_below(&mut state, &folder);
            } else if state.is_on_the_way(&folder) {
                self.add_all(&mut state);
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

    fn is_wanted(&self, state: &State, folder: &Path) -> bool {
        folder == self.root || state.is_inside(folder) || state.is_on_the_way(folder)
    }

    /// Forgets a folder that has another name now, with what lies below it. What has come to a place that is watched is
    /// told by that place. The root keeps its watch: whoever moves it away may move it back.
    fn moved(&self, state: &mut State, folder: &Path) {
        if folder == self.root {
            return;
        }
        let gone: Vec<i32> = state
            .folders
            .iter()
            .filter(|(_, watched)| watched.starts_with(folder))
            .map(|(number, _)| *number)
            .collect();
        self.forget(state, &gone);
    }

    fn forget(&self, state: &mut State, numbers: &[i32]) {
        for number in numbers {
            state.folders.remove(number);
            // The folder may be gone meanwhile, and its watch with it.
            let _ = inotify::remove_watch(self.queue.get_ref(), *number);
        }
    }

    fn add_all(&self, state: &mut State) {
        self.add(state, &self.root);
        for source in state.sources.clone() {
            // From the root down, so that what is made in between is seen by the folder above it.
            let mut way: Vec<&Path> = source
                .ancestors()
                .skip(1)
                .take_while(|folder| *folder != self.root && folder.starts_with(&self.root))
                .collect();
            way.reverse();
            for folder in way.into_iter().filter(|folder| folder.is_dir()) {
                self.add(state, folder);
            }
            self.add_below(state, &source);
        }
    }

    fn add_below(&self, state: &mut State, folder: &Path) {
        if !folder.is_dir() || !self.add(state, folder) {
            return;
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !is_left_behind(&entry.file_name().to_string_lossy()) {
                self.add_below(state, &entry.path());
            }
        }
    }

    /// Watches one folder, unless there are too many already.
    fn add(&self, state: &mut State, folder: &Path) -> bool {
        if state.folders.len() >= self.most {
            if !std::mem::replace(&mut state.is_full, true) {
                let (folder, most) = (folder.display(), self.most);
                tracing::warn!(%folder, most, "the project has more folders than are watched; changes in the rest need a restart");
            }
            return false;
        }
        let what = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(self.queue.get_ref(), folder, what) {
            Ok(number) => {
                state.folders.insert(number, folder.to_owned());
                true
            }
            Err(error) => {
                let folder = folder.display();
                tracing::warn!(%error, %folder, "a folder cannot be watched; changes in it need a restart");
                false
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
    use std::fs;

    use super::*;

    fn watch(root: &Path, sources: &[&str]) -> Watch {
        for source in sources {
            fs::create_dir_all(root.join(source)).unwrap();
        }
        let watch = Watch::new(root).unwrap();
        watch.follow(sources.iter().map(|source| root.join(source)).collect());
        assert!(watch.changed().is_empty());
        watch
    }

    fn watched(watch: &Watch) -> BTreeSet<String> {
        let state = watch.state.lock().unwrap();
        let names = state
            .folders
            .values()
            .map(|folder| folder.strip_prefix(&watch.root).unwrap());
        names.map(|name| name.display().to_string()).collect()
    }

    #[tokio::test]
    async fn a_change_is_seen_at_once_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("other")).unwrap();
        let watch = watch(root, &["functions"]);
        fs::write(root.join("functions/a.py"), "1").unwrap();
        assert_eq!(watch.changed(), ["functions/a.py"]);
        assert!(watch.changed().is_empty());
        fs::write(root.join("aloft.toml"), "1").unwrap();
        fs::write(root.join("other/x"), "1").unwrap();
        fs::write(root.join("functions/.hidden"), "1").unwrap();
        assert_eq!(watch.changed(), ["aloft.toml"]);
        fs::create_dir(root.join("functions/sub")).unwrap();
        assert_eq!(watch.changed(), ["functions/sub"]);
        fs::write(root.join("functions/sub/b.py"), "1").unwrap();
        assert_eq!(watch.changed(), ["functions/sub/b.py"]);
    }

    #[tokio::test]
    async fn a_removed_folder_is_forgotten_and_its_room_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut watch = watch(root, &["functions"]);
        watch.most = 3;
        for round in 0..5 {
            let sub = root.join(format!("functions/sub{round}"));
            fs::create_dir(&sub).unwrap();
            watch.changed();
            fs::write(sub.join("a.py"), "1").unwrap();
            assert_eq!(watch.changed(), [format!("functions/sub{round}/a.py")]);
            fs::remove_dir_all(&sub).unwrap();
            watch.changed();
            assert_eq!(watched(&watch), ["", "functions"].map(str::to_owned).into());
        }
    }

    #[tokio::test]
    async fn a_folder_beyond_the_bound_is_watched_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut watch = watch(root, &["functions"]);
        watch.most = 3;
        fs::create_dir(root.join("functions/first")).unwrap();
        fs::create_dir(root.join("functions/second")).unwrap();
        watch.changed();
        fs::write(root.join("functions/second/a.py"), "1").unwrap();
        assert!(watch.changed().is_empty());
        fs::remove_dir(root.join("functions/first")).unwrap();
        watch.changed();
        watch.follow(BTreeSet::from([root.join("functions")]));
        fs::write(root.join("functions/second/a.py"), "2").unwrap();
        assert_eq!(watch.changed(), ["functions/second/a.py"]);
    }

    #[tokio::test]
    async fn a_moved_folder_goes_by_its_new_name_or_by_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let watch = watch(root, &["functions/old/deep"]);
        watch.follow(BTreeSet::from([root.join("functions")]));
        fs::rename(root.join("functions/old"), root.join("functions/new")).unwrap();
        assert_eq!(watch.changed(), ["functions/new", "functions/old"]);
        fs::write(root.join("functions/new/deep/a.py"), "1").unwrap();
        assert_eq!(watch.changed(), ["functions/new/deep/a.py"]);
        fs::rename(root.join("functions/new"), root.join("elsewhere")).unwrap();
        watch.changed();
        fs::write(root.join("elsewhere/deep/a.py"), "2").unwrap();
        assert!(watch.changed().is_empty());
        assert_eq!(watched(&watch), ["", "functions"].map(str::to_owned).into());
    }

    #[tokio::test]
    async fn a_nested_source_that_goes_and_comes_back_is_noticed_and_watched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let watch = watch(root, &["services/orders/functions"]);
        // First the source itself, then a folder above it; what lies beside the way is nobody's.
        for gone in ["services/orders/functions", "services/orders", "services"] {
            fs::remove_dir_all(root.join(gone)).unwrap();
            assert!(watch.changed().contains(&gone.to_owned()), "{gone} went");
            fs::create_dir_all(root.join("services/orders/functions")).unwrap();
            assert!(watch.changed().contains(&gone.to_owned()), "{gone} came back");
            fs::write(root.join("services/orders/functions/a.py"), "1").unwrap();
            assert_eq!(watch.changed(), ["services/orders/functions/a.py"], "{gone}");
            fs::write(root.join("services/orders/notes.txt"), "1").unwrap();
            assert!(watch.changed().is_empty(), "{gone}");
        }
        let (away, back) = (root.join("away"), root.join("services/orders/functions"));
        fs::rename(&back, &away).unwrap();
        fs::rename(&away, &back).unwrap();
        watch.changed();
        fs::write(back.join("a.py"), "2").unwrap();
        assert_eq!(watch.changed(), ["services/orders/functions/a.py"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_no_source_any_more_is_not_watched() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let watch = watch(root, &["first/a", "second"]);
        watch.follow(BTreeSet::from([root.join("second")]));
        assert_eq!(watched(&watch), ["", "second"].map(str::to_owned).into());
        fs::write(root.join("first/a/a.py"), "1").unwrap();
        assert!(watch.changed().is_empty());
    }

    #[tokio::test]
    async fn the_root_itself_may_be_the_source() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let watch = watch(root, &["."]);
        fs::create_dir(root.join("sub")).unwrap();
        assert_eq!(watch.changed(), ["sub"]);
        fs::write(root.join("sub/a.py"), "1").unwrap();
        assert_eq!(watch.changed(), ["sub/a.py"]);
    }
}
