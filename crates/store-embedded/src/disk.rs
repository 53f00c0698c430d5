//! The ground on fjall: one tree, one durable batch for each group. fjall writes the batch to its journal, syncs it, and
//! only then shows it to readers, so a view never shows what is not durable.
//!
//! One tree for everything, rather than one for rows, log and tasks each: they share one write buffer, and a group is one
//! write to one journal either way.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use aloft_store::engine::{Ground, View, Visit, Write};
use aloft_store::{Direction, Error};
use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::Config;
use crate::folder::Folder;
use crate::journal::{self, MARK_KEY, Mark};

const TREE: &str = "main";

/// What the disk's part counts, since it was opened.
#[derive(Debug, Default)]
pub struct DiskCounters {
    /// `fdatasync` calls for groups; the tree's own background work is not among them.
    pub syncs: AtomicU64,
}

/// The tree. Fields drop in order: the folder's lock is the last to go.
pub(crate) struct Disk {
    tree: Keyspace,
    database: Database,
    sync: bool,
    mark: Mark,
    pub(crate) counters: DiskCounters,
    _folder: Folder,
}

pub(crate) struct DiskView {
    snapshot: Snapshot,
    tree: Keyspace,
}

impl Disk {
    /// Opens the tree of a folder, creating it if there is none.
    pub(crate) fn open(folder: Folder, config: &Config) -> Result<Self, Error> {
        let config = config.bounded();
        let path = folder.tree(|new| open(new, &config).map(drop))?;
        let mark = folder.mark()?;
        journal::cut_torn_end(&path, &mark)?;
        let (database, tree) = open(&path, &config)?;
        Ok(Self {
            tree,
            database,
            sync: config.sync,
            mark,
            counters: DiskCounters::default(),
            _folder: folder,
        })
    }
}

fn open(path: &Path, config: &Config) -> Result<(Database, Keyspace), Error> {
    let failed = wrap(format!("cannot open the tree {}", path.display()));
    let builder = Database::builder(path)
        .cache_size(config.cache_bytes)
        .worker_threads(config.workers);
    let opened = builder.open().and_then(|database| {
        // Below the first level a table's index and filter are read in parts of 4 KiB. As wholes, which is fjall's choice for the
        // upper levels, they are hundreds of KiB each and drive one another out of the cache: with 10 million rows of 200 bytes
        // and 16 MiB of cache a read took 55 µs so, and takes 11.5 µs in parts. What fjall was told at first stays with a folder.
        let parts = || PartitioningPolicy::new([false, true]);
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(config.buffer_bytes)
                .index_block_partitioning_policy(parts())
                .filter_block_partitioning_policy(parts())
        };
        let tree = database.keyspace(TREE, options)?;
        Ok((database, tree))
    });
    opened.map_err(failed)
}

impl Ground for Disk {
    type View = DiskView;

    fn view(&self) -> DiskView {
        DiskView {
            snapshot: self.database.snapshot(),
            tree: self.tree.clone(),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.tree.get(key).map_err(wrap("cannot read a key"))?;
        Ok(value.map(Bytes::from))
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), Error> {
        let mode = if self.sync {
            PersistMode::SyncData
        } else {
            PersistMode::Buffer
        };
        let mut batch = self.database.batch().durability(Some(mode));
        batch.insert(&self.tree, MARK_KEY, self.mark);
        for write in writes {
            match write {
                Write::Put(key, value) => batch.insert(&self.tree, key, value),
                Write::Delete(key) => batch.remove(&self.tree, key),
            }
        }
        batch.commit().map_err(wrap("cannot write a group"))?;
        self.counters
            .syncs
            .fetch_add(u64::from(self.sync), Ordering::Relaxed);
        Ok(())
    }
}

impl View for DiskView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self
            .snapshot
            .get(&self.tree, key)
            .map_err(wrap("cannot read a key"))?;
        Ok(value.map(Bytes::from))
    }

    fn scan(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let mut pairs = self.snapshot.range::<&[u8], _>(&self.tree, (from, to));
        loop {
            let pair = match direction {
                Direction::Forward => pairs.next(),
                Direction::Backward => pairs.next_back(),
            };
            let Some(pair) = pair else {
                return Ok(());
            };
            let (key, value) = pair.into_inner().map_err(wrap("cannot scan"))?;
            if !visit(Bytes::from(key), Bytes::from(value))? {
                return Ok(());
            }
        }
    }
}

fn wrap(what: impl Into<String>) -> impl FnOnce(fjall::Error) -> Error {
    |error| Error::Io {
        what: what.into(),
        reason: match error {
            fjall::Error::Io(error) => error.to_string(),
            // Of what failed in its background fjall keeps the cause to itself.
            fjall::Error::Poisoned => {
                "the tree's background work failed before, as on a full or failing disk".to_owned()
            }
            fjall::Error::Locked => "another process has it open".to_owned(),
            other => format!("{other:?}"),
        },
    }
}
