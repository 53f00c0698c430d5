//! The embedded engine passes the contract's suite, and what only it can be asked: one process at a time, one sync for a
//! group, what it counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aloft_base::{ManualClock, Timestamp};
use aloft_store::engine::{Ground, Write};
use aloft_store::suite::Subject;
use aloft_store::{Batch, BatchId, Error, Key, Store};
use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::folder::Folder;
use crate::{Config, Embedded};

struct InFolder {
    clock: Arc<ManualClock>,
    folder: TempDir,
    store: Option<Arc<Embedded>>,
}

impl InFolder {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let mut new = Self {
            clock,
            folder: tempfile::tempdir().unwrap(),
            store: None,
        };
        new.open();
        new
    }

    /// Small buffers, so that tables are written and compacted while the suite runs.
    fn open(&mut self) {
        let config = Config {
            buffer_bytes: 64 << 10,
            ..Config::default()
        };
        let store = Embedded::open(self.folder.path(), &config, self.clock.clone()).unwrap();
        self.store = Some(Arc::new(store));
    }
}

#[async_trait]
impl Subject for InFolder {
    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    async fn restart(&mut self, clean: bool) {
        let store = Arc::into_inner(self.store.take().unwrap()).expect("nobody else holds the store");
        if clean {
            store.close().await.unwrap();
        } else {
            store.abandon();
        }
        self.open();
    }

    async fn take_over(&mut self) -> Option<Arc<dyn Store>> {
        None
    }
}

mod suite {
    use super::*;

    aloft_store::suite!(InFolder::new());
}

fn put(number: u64) -> Batch {
    Batch::new(BatchId(number.into())).put(Key::new(number.to_be_bytes().to_vec()).unwrap(), "value")
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_holder() {
    let subject = InFolder::new();
    let Err(refused) = Embedded::open(subject.folder.path(), &Config::default(), subject.clock.clone())
    else {
        panic!("two hold one folder");
    };
    assert!(
        matches!(&refused, Error::InUse { holder, .. } if *holder == std::process::id().to_string()),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains(&subject.folder.path().display().to_string())
    );
    subject.store().commit(put(1)).await.unwrap().committed().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_costs_one_sync() {
    let subject = InFolder::new();
    let store = subject.store.clone().unwrap();
    let counters = store.counters();
    let before = (
        counters.engine.applies.load(Ordering::Relaxed),
        counters.disk.syncs.load(Ordering::Relaxed),
    );
    for number in 0..20 {
        assert!(store.commit(put(number)).await.unwrap().is_committed());
    }
    let applies = counters.engine.applies.load(Ordering::Relaxed) - before.0;
    let syncs = counters.disk.syncs.load(Ordering::Relaxed) - before.1;
    assert_eq!(
        (applies, syncs),
        (20, 20),
        "one after another, each waits for its own"
    );

    let mut all = tokio::task::JoinSet::new();
    for number in 100..400 {
        let store = store.clone();
        all.spawn(async move { store.commit(put(number)).await.unwrap().is_committed() });
    }
    assert!(all.join_all().await.into_iter().all(|committed| committed));
    let groups = counters.engine.applies.load(Ordering::Relaxed) - before.0 - 20;
    let syncs = counters.disk.syncs.load(Ordering::Relaxed) - before.1 - 20;
    assert_eq!(groups, syncs, "a group is one sync, however many share it");
    assert!(groups < 300, "300 at once share syncs, and took {groups}");
    assert_eq!(counters.engine.commits.load(Ordering::Relaxed), 320);
    assert_eq!(counters.queue.length.load(Ordering::Relaxed), 0);
    assert!(counters.queue.longest.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn after_the_end_nothing_is_accepted() {
    let subject = InFolder::new();
    let store = subject.store.clone().unwrap();
    store.commit(put(1)).await.unwrap().committed().unwrap();
    drop(subject.store);
    let folder = subject.folder;
    Arc::into_inner(store).unwrap().close().await.unwrap();
    let store = Embedded::open(folder.path(), &Config::default(), subject.clock.clone()).unwrap();
    assert!(
        store
            .get(&Key::new(1u64.to_be_bytes().to_vec()).unwrap())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn an_unfinished_tree_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("tree.new/keyspaces")).unwrap();
    std::fs::write(folder.path().join("tree.new/0.jnl"), "half").unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1)));
    let store = Embedded::open(folder.path(), &Config::default(), clock).unwrap();
    store.commit(put(1)).await.unwrap().committed().unwrap();
    assert!(!folder.path().join("tree.new").exists());
}

/// Every file below a folder but the lock, which is written by whoever looks.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// What a newer release wrote is left as it is, for that release.
#[tokio::test]
async fn a_newer_level_is_refused_and_left_as_it_is() {
    let mut subject = InFolder::new();
    subject.store().commit(put(1)).await.unwrap().committed().unwrap();
    subject.store.take();
    let (folder, config) = (subject.folder.path(), Config::default());
    {
        // The fact "level", as the form in `store` has it, and its value 2.
        let disk = Disk::open(Folder::take(folder).unwrap(), &config).unwrap();
        let level = [&[0, b'l'][..], &[1, 1, 1, 2][..]].map(Bytes::from_static);
        let [key, value] = level;
        assert_eq!(
            Ground::get(&disk, &key).unwrap().as_deref(),
            Some(&[1, 1, 1, 1][..]),
            "level 1 lies there"
        );
        disk.apply(vec![Write::Put(key, value)]).unwrap();
    }
    let before = files(folder);
    assert!(before.values().any(|bytes| !bytes.is_empty()));
    for _ in 0..2 {
        let Err(refused) = Embedded::open(folder, &config, subject.clock.clone()) else {
            panic!("a newer level is opened")
        };
        assert!(matches!(refused, Error::Level { found: 2, .. }), "{refused}");
        let message = refused.to_string();
        assert!(
            message.contains(&folder.display().to_string()) && message.contains("level 2"),
            "{message}"
        );
    }
    let after = files(folder);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (path, bytes) in before {
        assert!(after.get(&path) == Some(&bytes), "{} is changed", path.display());
    }
}
