//! The store in memory, for tests and the simulation. It is the shared engine over a map that keeps old values for as long
//! as a view may want them; a crash and a clean end can be acted out, and what was "durable" then survives.
//!
//! A copy of the map for each view would be simpler, and make each commit under an open snapshot cost the whole map.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{Clock, Timestamp};
use async_trait::async_trait;
use bytes::Bytes;

use crate::engine::{Answer, Counters, Engine, Ground, Request, View, Visit, Write};
use crate::{
    Batch, Claim, Direction, Entry, Epoch, Error, Key, Lane, Lease, LogId, Outcome, Partition, Position,
    Record, Shard, Snapshot, Store, Token, Wake,
};

/// The in-memory engine.
pub struct Memory {
    engine: Engine<Map>,
    clock: Arc<dyn Clock>,
}

impl Memory {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        // A map in memory fails in nothing, so opening cannot either; a failure would show as a refused commit.
        match Self::open(Map::default(), clock.clone()) {
            Ok(memory) => memory,
            Err(error) => {
                tracing::error!(%error, "an empty map could not be opened");
                std::process::abort()
            }
        }
    }

    /// Acts out a crash: a store with all that was committed, for which all tokens are lost and due tasks were charged. The
    /// old one is like a process that died: it accepts nothing more.
    pub fn crash(&self) -> Result<Self, Error> {
        let map = self.engine.ground().part();
        Self::open(map, self.clock.clone())
    }

    /// Acts out a clean restart.
    pub fn restart(&self) -> Result<Self, Error> {
        self.engine.close()?;
        self.crash()
    }

    /// Acts out a full disk: the next write fails, after it was made or before it was. The engine then accepts nothing more
    /// until the store is opened anew by [`crash`](Self::crash), which finds what was made.
    pub fn fail_next_write(&self, is_made: bool) {
        self.engine.ground().versions().fails = Some(is_made);
    }

    /// What the engine counted.
    pub fn counters(&self) -> &Counters {
        self.engine.counters()
    }

    /// How many keys and ranges were read: each would be a round trip in an engine that lies elsewhere.
    pub fn reads(&self) -> u64 {
        self.engine.ground().versions().reads
    }

    fn open(map: Map, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self {
            engine: Engine::open(map, clock.clone(), "memory")?,
            clock,
        })
    }

    fn ask(&self, request: Request) -> Result<Answer, Error> {
        self.engine
            .group(vec![request])
            .pop()
            .unwrap_or(Err(Error::Closed))
    }
}

#[async_trait]
impl Store for Memory {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Ok(self.engine.snapshot())
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        self.engine.row(key)
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome, Error> {
        self.ask(Request::Commit(batch))?.outcome()
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
        while self.ask(Request::Trim(log, shard, through))?.more()? {}
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
        self.ask(Request::TakeOver(partition))?.epoch()
    }

    fn wake(&self) -> &Wake {
        self.engine.wake()
    }

    async fn broken(&self) -> Error {
        self.engine.broken().await
    }
}

/// The map. Clones are the same map.
#[derive(Clone, Default)]
pub(crate) struct Map(Arc<Mutex<Versions>>);

#[derive(Default)]
struct Versions {
    now: u64,
    /// Each key's values, oldest first, with the write that made them; no value is a removal.
    rows: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
    /// What may be cleaned once no view is older than the write.
    stale: VecDeque<(u64, Bytes)>,
    views: BTreeMap<u64, usize>,
    /// The map was parted: this one belongs to a process that is acted as dead.
    dead: bool,
    /// The next write fails, after it was made or before.
    fails: Option<bool>,
    /// Keys and ranges that were read.
    reads: u64,
}

pub(crate) struct MapView {
    map: Map,
    at: u64,
}

impl Map {
    /// A map of its own with the same content; this one takes no more writes.
    fn part(&self) -> Self {
        let mut versions = self.versions();
        versions.dead = true;
        let (rows, stale, now) = (versions.rows.clone(), versions.stale.clone(), versions.now);
        let (views, dead, fails, reads) = (BTreeMap::new(), false, None, 0);
        Self(Arc::new(Mutex::new(Versions {
            now,
            rows,
            stale,
            views,
            dead,
            fails,
            reads,
        })))
    }

    /// How many points in time are being viewed.
    #[cfg(test)]
    pub(crate) fn views(&self) -> usize {
        self.versions().views.len()
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    fn get(&mut self, key: &[u8], at: u64) -> Option<Bytes> {
        self.reads += 1;
        value_at(self.rows.get(key)?, at)
    }

    fn clean(&mut self) {
        let oldest = self.views.keys().next().copied().unwrap_or(self.now);
        while self.stale.front().is_some_and(|(at, _)| *at <= oldest) {
            let Some((_, key)) = self.stale.pop_front() else {
                return;
            };
            if let Some(values) = self.rows.get_mut(&key) {
                let kept = values.iter().rposition(|(at, _)| *at <= oldest).unwrap_or(0);
                values.drain(..kept);
                if matches!(values.as_slice(), [(at, None)] if *at <= oldest) {
                    self.rows.remove(&key);
                }
            }
        }
    }
}

fn value_at(values: &[(u64, Option<Bytes>)], at: u64) -> Option<Bytes> {
    values
        .iter()
        .rfind(|(made, _)| *made <= at)
        .and_then(|(_, value)| value.clone())
}

impl Ground for Map {
    type View = MapView;

    fn view(&self) -> MapView {
        let mut versions = self.versions();
        let at = versions.now;
        *versions.views.entry(at).or_insert(0) += 1;
        MapView {
            map: self.clone(),
            at,
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let mut versions = self.versions();
        let now = versions.now;
        Ok(versions.get(key, now))
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), Error> {
        let mut versions = self.versions();
        if versions.dead {
            return Err(Error::Closed);
        }
        let fails = versions.fails.take();
        if fails == Some(false) {
            return Err(full());
        }
        versions.now += 1;
        let now = versions.now;
        for write in writes {
            let (key, value) = match write {
                Write::Put(key, value) => (key, Some(value)),
                Write::Delete(key) => (key, None),
            };
            let stale = value.is_none() || versions.rows.contains_key(&key);
            versions.rows.entry(key.clone()).or_default().push((now, value));
            if stale {
                versions.stale.push_back((now, key));
            }
        }
        versions.clean();
        match fails {
            Some(_) => Err(full()),
            None => Ok(()),
        }
    }
}

fn full() -> Error {
    Error::Io {
        what: "write to the store in memory".to_owned(),
        reason: "no space left on device, as it was told to act out".to_owned(),
    }
}

impl View for MapView {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.map.versions().get(key, self.at))
    }

    fn scan(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        let mut versions = self.map.versions();
        versions.reads += 1;
        let range = versions.rows.range::<[u8], _>((from, to));
        let mut seen = |(key, values): (&Bytes, &Vec<_>)| match value_at(values, self.at) {
            Some(value) => visit(key.clone(), value),
            None => Ok(true),
        };
        match direction {
            Direction::Forward => {
                for pair in range {
                    if !seen(pair)? {
                        break;
                    }
                }
            }
            Direction::Backward => {
                for pair in range.rev() {
                    if !seen(pair)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for MapView {
    fn drop(&mut self) {
        let mut versions = self.map.versions();
        if let Some(count) = versions.views.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                versions.views.remove(&self.at);
            }
        }
    }
}
