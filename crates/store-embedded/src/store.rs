//! The embedded engine: the shared engine over the disk, writing through the committer's thread.
//!
//! Reads run on the caller's thread. A read of what is in memory takes microseconds, and one block from the disk less than
//! the hand-over to another thread and back under load; a long scan is cut into pages of at most 4 MiB.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Timestamp};
use aloft_store::engine::{self, Engine, Request};
use aloft_store::{
    Batch, Claim, Entry, Epoch, Error, Key, Lane, Lease, LogId, Outcome, Partition, Position, Record, Shard,
    Snapshot, Store, Token, Wake,
};
use async_trait::async_trait;

use crate::Config;
use crate::committer::{Committer, QueueCounters};
use crate::disk::{Disk, DiskCounters};
use crate::folder::Folder;

/// A store in a directory. Dropping it finishes what was handed over and ends cleanly, like [`close`](Self::close), but
/// blocks for it and only logs a failure.
pub struct Embedded {
    committer: Committer,
    engine: Arc<Engine<Disk>>,
}

/// What is counted, since the store was opened.
#[derive(Debug, Clone, Copy)]
pub struct Counters<'a> {
    /// Groups, commits, bytes.
    pub engine: &'a engine::Counters,
    /// The queue before the committer.
    pub queue: &'a QueueCounters,
    /// The disk.
    pub disk: &'a DiskCounters,
}

impl Embedded {
    /// Opens the store in `folder`, creating it if there is none. Blocks while it reads the journal.
    pub fn open(folder: &Path, config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let folder = Folder::take(folder)?;
        let name = folder.name();
        let engine = Arc::new(Engine::open(Disk::open(folder, config)?, clock, &name)?);
        Ok(Self {
            committer: Committer::start(engine.clone())?,
            engine,
        })
    }

    /// Takes no more requests, finishes those handed over, and ends cleanly, so that the next opening charges no task.
    pub async fn close(self) -> Result<(), Error> {
        let close = move || {
            self.committer.stop();
            self.engine.close()
        };
        tokio::task::spawn_blocking(close)
            .await
            .unwrap_or(Err(Error::Closed))
    }

    /// Ends without the mark of a clean end, as a crash would, but with the folder free afterwards. For tests.
    pub fn abandon(self) {
        self.committer.stop();
        self.engine.abandon();
    }

    /// What was counted.
    pub fn counters(&self) -> Counters<'_> {
        Counters {
            engine: self.engine.counters(),
            queue: self.committer.counters(),
            disk: &self.engine.ground().counters,
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.committer.stop();
        if let Err(error) = self.engine.close() {
            tracing::error!(%error, "the store did not end cleanly");
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Ok(self.engine.snapshot())
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.engine.row(key)
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome, Error> {
        // Before it takes room in the queue, which is sized for what keeps the bounds.
        batch.check()?;
        self.committer.ask(Request::Commit(batch)).await?.outcome()
    }

    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        self.engine.read_log(log, shard, after, max_records, max_bytes)
    }

    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error> {
        while self
            .committer
            .ask(Request::Trim(log, shard, through))
            .await?
            .more()?
        {}
        Ok(())
    }

    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error> {
        self.engine.receive(lane, max, visible_for)
    }

    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        self.engine.next_due(lane)
    }

    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
        self.engine.extend(token, visible_for)
    }

    async fn release(&self, token: Token) -> Result<Lease, Error> {
        Ok(self.engine.release(&token))
    }

    async fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        self.committer.ask(Request::TakeOver(partition)).await?.epoch()
    }

    fn wake(&self) -> &Wake {
        self.engine.wake()
    }

    async fn broken(&self) -> Error {
        self.engine.broken().await
    }
}
