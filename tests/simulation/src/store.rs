//! The store as one node has it: the memory engine behind a wire on which everything may go wrong, and in front of a disk that
//! may be full. Each operation is an effect: a node may end before it, and after it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aloft_base::{Chance, Clock, Timestamp};
use aloft_store::{
    Batch, BatchId, Claim, Committed, Direction, Entry, Epoch, Error, Key, KeyRange, Lane, Lease, LogId,
    Memory, Operation, Outcome, Page, Partition, Position, Record, Shard, Snapshot, Store, Token, Topic,
    Version, Wake,
};
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::clock::NodeClock;
use crate::fault::Fault;
use crate::lease;
use crate::lie::{self, Lie};
use crate::machine::Gate;
use crate::shared::Shared;

pub(crate) type Act<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// See the file's head.
pub(crate) struct NodeStore {
    pub(crate) wire: Arc<Wire>,
    wake: Wake,
    /// Under which epoch the node owns the store, where that is asked of it.
    own: OnceLock<Epoch>,
    /// Told once another has taken it over.
    lost: Notify,
    /// What reads gave before, for a store that lies.
    former: Mutex<BTreeMap<Key, Option<Entry>>>,
}

/// One node's way to the store.
pub(crate) struct Wire {
    pub(crate) shared: Arc<Shared>,
    gate: Arc<Gate>,
    clock: Arc<NodeClock>,
    node: usize,
}

impl NodeStore {
    pub(crate) fn new(
        shared: Arc<Shared>,
        gate: Arc<Gate>,
        clock: Arc<NodeClock>,
        (node, wake): (usize, Wake),
    ) -> Self {
        let wire = Arc::new(Wire {
            shared,
            gate,
            clock,
            node,
        });
        Self {
            wire,
            wake,
            own: OnceLock::new(),
            lost: Notify::new(),
            former: Mutex::default(),
        }
    }
}

impl Wire {
    /// One operation. `is_write` says whether it may change something.
    pub(crate) async fn effect<T: Send>(
        &self,
        (kind, is_write): (&'static str, bool),
        act: impl FnOnce(Arc<Memory>) -> Act<T> + Send,
        tell: impl Fn(&T) -> String + Send + Sync,
    ) -> Result<T, Error> {
        let number = self.shared.before(&self.gate).await;
        self.latency().await;
        if self.shared.strikes(Fault::Refuse) {
            self.note(number, kind, "refused");
            return Err(failed(
                kind,
                "the connection was refused, as the simulation wants it",
            ));
        }
        let memory = self.reach(is_write);
        let result = act(memory).await;
        let line = match &result {
            Ok(done) => tell(done),
            Err(error) => error.to_string(),
        };
        self.note(number, kind, &line);
        if let Err(Error::Poisoned(_)) = &result {
            self.shared.state().is_full = true;
        }
        self.shared.after(&self.gate, number).await;
        self.latency().await;
        if result.is_ok() && self.shared.strikes(Fault::LoseReply) {
            return Err(failed(
                kind,
                "the connection was reset, as the simulation wants it",
            ));
        }
        result
    }

    /// The engine, at this moment of simulated time.
    fn reach(&self, is_write: bool) -> Arc<Memory> {
        let now = self.clock.world_ms();
        self.shared.clock.reach(now);
        let memory = self.shared.state().memory.clone();
        if is_write {
            if self.shared.strikes(Fault::Full) {
                memory.fail_next_write(false);
            } else if self.shared.strikes(Fault::FullWritten) {
                memory.fail_next_write(true);
            }
        }
        let mut state = self.shared.state();
        if is_write {
            state.last_ms = state.last_ms.max(now);
        }
        if let Some((effects, writes)) = state.counts.get_mut(self.node) {
            *effects += 1;
            *writes += u64::from(is_write);
        }
        memory
    }

    /// Most operations take no time, some let others run first, few take long.
    async fn latency(&self) {
        if self.shared.strikes(Fault::Slow) {
            let bound = if self.shared.chance.below(20) == 0 {
                45_000
            } else {
                2_000
            };
            tokio::time::sleep(self.shared.millis(bound)).await;
        }
        match self.shared.chance.below(8) {
            0 => tokio::time::sleep(self.shared.millis(3)).await,
            1 | 2 => tokio::task::yield_now().await,
            _ => {}
        }
        self.gate.pass().await;
    }

    fn note(&self, number: u64, kind: &str, line: &str) {
        let (life, now) = (self.gate.life, self.clock.world_ms());
        let mut state = self.shared.state();
        state
            .trace
            .note(now, format_args!("life {life} effect {number} {kind}: {line}"));
    }
}

fn failed(what: &str, reason: &str) -> Error {
    Error::Io {
        what: what.to_owned(),
        reason: reason.to_owned(),
    }
}

fn topics(batch: &Batch) -> Vec<Topic> {
    let topics = batch.operations().iter().filter_map(|operation| match operation {
        Operation::Append { log, .. } => Some(Topic::Log(*log)),
        Operation::Enqueue(task) => Some(Topic::Lane(task.lane)),
        _ => None,
    });
    topics.collect()
}

fn entry(entry: &Option<Entry>) -> String {
    match entry {
        Some(entry) => format!(
            "version {} of {} bytes",
            entry.version.to_u64(),
            entry.value.len()
        ),
        None => "nothing".to_owned(),
    }
}

impl NodeStore {
    /// From now on every commit is fenced by this epoch.
    pub(crate) fn owns(&self, epoch: Epoch) {
        // A life takes the store once, when it begins.
        let _ = self.own.set(epoch);
    }

    /// The epoch that [`owns`](Self::owns) was told.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.own.get().copied()
    }

    /// Another has taken the store over: the node is to end.
    pub(crate) fn superseded(&self) {
        self.lost.notify_one();
    }

    /// What the engine makes of a commit: once, twice, or not what was asked, if it lies.
    async fn made(shared: &Shared, memory: &Memory, batch: Batch) -> Result<Outcome, Error> {
        let is_change = lie::is_change(&batch);
        let batch = match shared.lie {
            Some(Lie::Acknowledge) if is_change && shared.lies(Lie::Acknowledge) => {
                return Ok(Outcome::Committed(Committed {
                    position: Position::START,
                    version: Version::from_u64(u64::MAX),
                    tokens: Vec::new(),
                }));
            }
            Some(Lie::DropRecord) if is_change && shared.lies(Lie::DropRecord) => {
                lie::without(&batch, |operation| matches!(operation, Operation::Append { .. }))
            }
            Some(Lie::DropRow) if is_change && shared.lies(Lie::DropRow) => {
                lie::without(&batch, |operation| {
                    matches!(
                        operation,
                        Operation::Put(..) | Operation::Delete(_) | Operation::Expect(..)
                    )
                })
            }
            Some(Lie::KeepTask) if has_settle(&batch) && shared.lies(Lie::KeepTask) => {
                lie::without(&batch, |operation| matches!(operation, Operation::Settle(_)))
            }
            Some(Lie::LoseTask) if has_enqueue(&batch) && shared.lies(Lie::LoseTask) => {
                lie::without(&batch, |operation| matches!(operation, Operation::Enqueue(_)))
            }
            Some(Lie::IgnoreFence) if has_fence(&batch) && shared.lies(Lie::IgnoreFence) => {
                lie::without(&batch, |operation| matches!(operation, Operation::Fence(..)))
            }
            Some(Lie::IgnoreExpect) if lie::is_decided(&batch) && shared.lies(Lie::IgnoreExpect) => {
                lie::without(&batch, |operation| matches!(operation, Operation::Expect(..)))
            }
            Some(Lie::HalfBatch) if lie::is_decided(&batch) => match lie::half(&batch) {
                Some(half) if shared.lies(Lie::HalfBatch) => half,
                _ => batch,
            },
            _ => batch,
        };
        let mut first = memory.commit(batch.clone()).await?;
        if let Outcome::Committed(committed) = &mut first
            && shared.lies(Lie::OldPosition)
        {
            committed.position = Position::START;
        }
        if !shared.strikes(Fault::Repeat) && shared.lie != Some(Lie::ForgetBatch) {
            return Ok(first);
        }
        let again = if is_change && shared.lies(Lie::ForgetBatch) {
            lie::renamed(&batch, BatchId::draw(&shared.chance))
        } else {
            batch
        };
        memory.commit(again).await
    }
}

fn has(batch: &Batch, wanted: fn(&Operation) -> bool) -> bool {
    batch.operations().iter().any(wanted)
}

fn has_settle(batch: &Batch) -> bool {
    has(batch, |operation| matches!(operation, Operation::Settle(_)))
        && has(batch, |operation| matches!(operation, Operation::Append { .. }))
}

fn has_enqueue(batch: &Batch) -> bool {
    has(batch, |operation| matches!(operation, Operation::Enqueue(_)))
}

fn has_fence(batch: &Batch) -> bool {
    has(batch, |operation| matches!(operation, Operation::Fence(..)))
}

#[async_trait]
impl Store for NodeStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        let act = |memory: Arc<Memory>| -> Act<_> { Box::pin(async move { memory.snapshot().await }) };
        let opened = self
            .wire
            .effect(("snapshot", false), act, |_| "open".to_owned())
            .await?;
        Ok(Box::new(NodeSnapshot {
            wire: self.wire.clone(),
            inner: Arc::from(opened),
        }))
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let asked = key.clone();
        let act = move |memory: Arc<Memory>| -> Act<_> { Box::pin(async move { memory.get(&asked).await }) };
        let found = self.wire.effect(("get", false), act, entry).await?;
        if self.wire.shared.lie != Some(Lie::StaleRead) {
            return Ok(found);
        }
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        match former.get(key) {
            Some(old) if self.wire.shared.lies(Lie::StaleRead) => Ok(old.clone()),
            _ => {
                former.insert(key.clone(), found.clone());
                Ok(found)
            }
        }
    }

    async fn commit(&self, mut batch: Batch) -> Result<Outcome, Error> {
        if let Some(epoch) = self.epoch() {
            batch = batch.fence(lease::ALL, epoch);
        }
        let (shared, topics) = (self.wire.shared.clone(), topics(&batch));
        let what = format!("{} operations, ", batch.operations().len());
        let is_fenced = has_fence(&batch);
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move {
                let outcome = Self::made(&shared, &memory, batch).await?;
                if outcome.is_committed() {
                    shared.wake(&topics);
                }
                if is_fenced && matches!(outcome, Outcome::Fenced(_)) {
                    shared.state().faults.count(Fault::TwoOwners);
                }
                Ok(outcome)
            })
        };
        let outcome = self
            .wire
            .effect(("commit", true), act, |outcome| format!("{what}{outcome:?}"))
            .await?;
        if outcome == Outcome::Fenced(lease::ALL) {
            self.superseded();
            return Err(lease::superseded());
        }
        Ok(outcome)
    }

    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move { memory.read_log(log, shard, after, max_records, max_bytes).await })
        };
        let tell = |records: &Vec<Record>| {
            let last = records.last().map(|record| record.position);
            format!("{} records after {after:?} to {last:?}", records.len())
        };
        let mut records = self.wire.effect(("read log", false), act, tell).await?;
        let shared = &self.wire.shared;
        if records.len() > 1 && shared.lies(Lie::SkipRecord) {
            records.remove(0);
        }
        if shared.lies(Lie::Reorder) {
            lie::reorder(&mut records);
        }
        Ok(records)
    }

    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error> {
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move { memory.trim_log(log, shard, through).await })
        };
        self.wire
            .effect(("trim", true), act, |()| format!("to {through:?}"))
            .await
    }

    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error> {
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move { memory.receive(lane, max, visible_for).await })
        };
        let tell = |claims: &Vec<Claim>| {
            let tasks = claims.iter().map(|claim| (claim.task.id.0, claim.task.attempts));
            format!("{:?}", tasks.collect::<Vec<_>>())
        };
        self.wire.effect(("receive", false), act, tell).await
    }

    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        let act =
            move |memory: Arc<Memory>| -> Act<_> { Box::pin(async move { memory.next_due(lane).await }) };
        let tell = |due: &Option<Timestamp>| format!("{due:?}");
        let due = self.wire.effect(("next due", false), act, tell).await?;
        if self.wire.shared.lies(Lie::BusyPoll) {
            return Ok(Some(self.wire.clock.now()));
        }
        Ok(due)
    }

    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
        let token = token.clone();
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move { memory.extend(&token, visible_for).await })
        };
        let tell = |lease: &Lease| format!("{lease:?}");
        self.wire.effect(("extend", false), act, tell).await
    }

    async fn release(&self, token: Token) -> Result<Lease, Error> {
        let shared = self.wire.shared.clone();
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move {
                let lane = token.lane();
                let lease = memory.release(token).await?;
                shared.wake(&[Topic::Lane(lane)]);
                Ok(lease)
            })
        };
        let tell = |lease: &Lease| format!("{lease:?}");
        self.wire.effect(("release", false), act, tell).await
    }

    async fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move { memory.take_over(partition).await })
        };
        let tell = |epoch: &Epoch| format!("{epoch:?}");
        self.wire.effect(("take over", true), act, tell).await
    }

    fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The engine of one node ends it when it breaks. One that two nodes share is a database, which is started again by itself; it ends
    /// the node that is not its owner any more.
    async fn broken(&self) -> Error {
        if self.wire.shared.scenario.has_lease {
            self.lost.notified().await;
            return lease::superseded();
        }
        if self.wire.shared.scenario.nodes > 1 {
            std::future::pending::<()>().await;
        }
        let memory = self.wire.shared.state().memory.clone();
        memory.broken().await
    }
}

/// A snapshot over the same wire.
struct NodeSnapshot {
    wire: Arc<Wire>,
    inner: Arc<dyn Snapshot>,
}

#[async_trait]
impl Snapshot for NodeSnapshot {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let (inner, key) = (self.inner.clone(), key.clone());
        let act = move |_| -> Act<_> { Box::pin(async move { inner.get(&key).await }) };
        self.wire.effect(("get of a snapshot", false), act, entry).await
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let (inner, range) = (self.inner.clone(), range.clone());
        let act = move |_| -> Act<_> { Box::pin(async move { inner.scan(&range, direction, limit).await }) };
        let tell = |page: &Page| format!("{} entries, more: {}", page.entries.len(), page.more);
        self.wire.effect(("scan of a snapshot", false), act, tell).await
    }
}
