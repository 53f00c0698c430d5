//! The contract over any ordered map ([`Ground`]) that can be viewed at one point and written atomically and durably: what
//! the embedded and the memory engine share, so that the simulation runs the very code that users' data goes through.
//!
//! One group at a time is decided, applied with one durable write, and only then shown to memory, waiters and callers. An
//! error of the ground poisons the engine: what is on disk is then only known after opening it anew.
//!
//! The locks are `commits` (held for a group, its write included) and `work` (held for moments; a window may be read under
//! it). Whoever holds `work` never asks for `commits`.

mod form;
mod ground;
mod group;
mod remembered;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{Clock, Timestamp};
use bytes::Bytes;
use tokio::sync::watch;

pub use ground::{Ground, View, Visit, Write};

use crate::work::{Now, Picked, Place, RESTARTS, Restart, WINDOW, Work};
use crate::{
    Batch, Claim, Direction, Entry, Epoch, Error, Key, Lane, Lease, LogId, MAX_RECEIVE, MAX_VISIBLE, Outcome,
    Partition, Position, Record, Shard, Snapshot, Token, Topic, Wake,
};
use group::{Effect, Group};
pub use remembered::Remembered;
use snapshot::Snapshots;

/// The level of the store's form that this release writes. It reads this one and the one before.
pub const LEVEL: u64 = 1;
/// The oldest level that this release reads.
pub const OLDEST_LEVEL: u64 = 1;
/// A trim removes at most so many records in one group.
const TRIM_STEP: usize = 10_000;

/// Something for the committer to do.
#[derive(Debug)]
pub enum Request {
    /// Commit a batch.
    Commit(Batch),
    /// Take a partition over.
    TakeOver(Partition),
    /// Remove a bounded number of a shard's oldest records.
    Trim(LogId, Shard, Position),
}

impl Request {
    /// Its size, for bounding queues and groups by bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Commit(batch) => batch.bytes(),
            Self::TakeOver(_) | Self::Trim(..) => 0,
        }
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// A batch's outcome.
    Outcome(Outcome),
    /// The partition's new epoch.
    Epoch(Epoch),
    /// Some records were removed.
    Trimmed {
        /// Whether there are more to remove.
        more: bool,
    },
}

impl Answer {
    /// The outcome of a commit.
    pub fn outcome(self) -> Result<Outcome, Error> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            other => Err(other.unasked()),
        }
    }

    /// The epoch of a takeover.
    pub fn epoch(self) -> Result<Epoch, Error> {
        match self {
            Self::Epoch(epoch) => Ok(epoch),
            other => Err(other.unasked()),
        }
    }

    /// Whether a trim has more to do.
    pub fn more(self) -> Result<bool, Error> {
        match self {
            Self::Trimmed { more } => Ok(more),
            other => Err(other.unasked()),
        }
    }

    fn unasked(self) -> Error {
        Error::corrupt(
            "the committer's queue",
            format!("an answer to another request: {self:?}"),
        )
    }
}

/// What the engine counts, since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Groups that were decided.
    pub groups: AtomicU64,
    /// Batches that were committed.
    pub commits: AtomicU64,
    /// Batches that were refused: conflicts, fences and lost tokens.
    pub refusals: AtomicU64,
    /// Durable writes of the ground; one for each group that changed something.
    pub applies: AtomicU64,
    /// Keys and values that were handed to the ground, in bytes.
    pub bytes: AtomicU64,
}

/// The contract over a ground. Its methods block; the engines' own crates decide on which thread.
pub struct Engine<G: Ground> {
    ground: G,
    clock: Arc<dyn Clock>,
    wake: Wake,
    commits: Mutex<Commits>,
    work: Mutex<Work>,
    snapshots: Snapshots<G::View>,
    counters: Counters,
    /// Why nothing more is accepted, once a write failed.
    broken: watch::Sender<Option<Error>>,
}

/// What the committer knows.
struct Commits {
    last: u64,
    remembered: Remembered,
    epochs: HashMap<Partition, Epoch>,
    refused: Option<Error>,
}

impl<G: Ground> Engine<G> {
    /// Opens what lies in the ground; `path` is its name for errors. What was opened and not closed before is charged as an
    /// unclean restart.
    pub fn open(ground: G, clock: Arc<dyn Clock>, path: &str) -> Result<Self, Error> {
        let fact = |key: &[u8]| read_fact(&ground, key);
        let level = fact(form::LEVEL)?.first().copied().unwrap_or(LEVEL);
        if !(OLDEST_LEVEL..=LEVEL).contains(&level) {
            return Err(Error::Level {
                path: path.to_owned(),
                found: level,
                oldest: OLDEST_LEVEL,
                newest: LEVEL,
            });
        }
        let last = fact(form::LAST_COMMIT)?.first().copied().unwrap_or(0);
        let starts = fact(form::STARTS)?.first().copied().unwrap_or(0) + 1;
        let mut restarts = read_restarts(&fact(form::UNCLEAN)?);
        if !fact(form::OPEN)?.is_empty() {
            restarts.push(Restart {
                at: clock.now(),
                commit: last,
            });
            restarts.drain(..restarts.len().saturating_sub(RESTARTS));
        }
        let unclean: Vec<u64> = restarts
            .iter()
            .flat_map(|r| [r.at.as_millis(), r.commit])
            .collect();
        let facts = [
            (form::LEVEL, vec![LEVEL]),
            (form::STARTS, vec![starts]),
            (form::OPEN, vec![starts]),
            (form::UNCLEAN, unclean),
        ];
        let writes = facts.map(|(key, numbers)| Write::Put(Bytes::from_static(key), form::numbers(&numbers)));
        ground.apply(writes.into())?;
        Ok(Self {
            ground,
            clock,
            wake: Wake::new(),
            commits: Mutex::new(Commits {
                last,
                remembered: Remembered::default(),
                epochs: HashMap::new(),
                refused: None,
            }),
            work: Mutex::new(Work::new(starts, restarts)),
            snapshots: Snapshots::default(),
            counters: Counters::default(),
            broken: watch::Sender::new(None),
        })
    }

    /// Ends cleanly: nothing more is accepted, and the next opening charges nobody.
    pub fn close(&self) -> Result<(), Error> {
        let mut commits = self.commits();
        match commits.refused.replace(Error::Closed) {
            None => {}
            Some(Error::Closed) => return Ok(()),
            Some(poisoned) => return Err(poisoned),
        }
        self.ground
            .apply(vec![Write::Delete(Bytes::from_static(form::OPEN))])
    }

    /// Decides requests one after another, makes what they change durable with one write, and answers them in their order.
    pub fn group(&self, requests: Vec<Request>) -> Vec<Result<Answer, Error>> {
        let now = self.now();
        self.snapshots.sweep(now.instant);
        let mut commits = self.commits();
        if let Some(refused) = &commits.refused {
            return requests.iter().map(|_| Err(refused.clone())).collect();
        }
        let mut group = Group::new(self, &mut commits, now);
        let answers: Vec<_> = requests
            .into_iter()
            .map(|request| group.decide(request))
            .collect();
        let writes = group.finish();
        let (effects, topics) = (
            std::mem::take(&mut group.effects),
            std::mem::take(&mut group.topics),
        );
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        if !writes.is_empty() {
            let bytes: usize = writes.iter().map(Write::bytes).sum();
            if let Err(error) = self.ground.apply(writes) {
                tracing::error!(%error, "a write of the store failed: it accepts no more until it is opened anew");
                let poisoned = Error::Poisoned(error.to_string());
                commits.refused = Some(poisoned.clone());
                self.broken.send_replace(Some(poisoned.clone()));
                // Also a refusal may rest on what is now lost, so nobody gets an answer of this group.
                return answers.iter().map(|_| Err(poisoned.clone())).collect();
            }
            self.counters.applies.fetch_add(1, Ordering::Relaxed);
            self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.show(effects);
        drop(commits);
        topics.into_iter().for_each(|topic| self.wake.notify(topic));
        self.count(&answers);
        answers
    }

    /// The newest durable value of a row.
    pub fn row(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let value = self.ground.get(&form::row_key(key.as_ref()))?;
        value
            .map(|value| form::read_row(key.as_bytes().clone(), &value))
            .transpose()
    }

    /// Everything at this point.
    pub fn snapshot(&self) -> Box<dyn Snapshot> {
        self.snapshots.open(self.ground.view(), self.clock.clone())
    }

    /// See [`Store::read_log`](crate::Store::read_log).
    pub fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        let view = self.ground.view();
        let through = self.trimmed(&view, log, shard)?;
        if after < through && after != Position::START {
            return Err(Error::Trimmed { log, shard, through });
        }
        let from = form::record_key(log, shard, after.max(through));
        let to = form::record_key(log, shard, Position::END);
        let (mut records, mut bytes) = (Vec::new(), 0);
        if max_records == 0 || from >= to {
            return Ok(records);
        }
        view.scan(
            Bound::Excluded(&from),
            Bound::Included(&to),
            Direction::Forward,
            &mut |key, value| {
                let record = form::read_record(&key, &value)?;
                bytes += record.key.len() + record.value.len();
                if records.is_empty() || bytes <= max_bytes {
                    records.push(record);
                }
                Ok(records.len() < max_records && bytes < max_bytes)
            },
        )?;
        Ok(records)
    }

    /// See [`Store::receive`](crate::Store::receive).
    pub fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error> {
        if visible_for > MAX_VISIBLE {
            return Err(Error::VisibleTooLong(visible_for));
        }
        self.learn(lane)?;
        let (now, max) = (self.now(), max.min(MAX_RECEIVE));
        let mut work = self.work();
        let mut picked = Vec::new();
        while picked.len() < max {
            let more = work.pick(lane, max - picked.len(), visible_for, now);
            let none = more.is_empty();
            picked.extend(more);
            if !self.fill(&mut work, lane, now)? && none {
                break;
            }
        }
        drop(work);
        let claims: Result<Vec<Claim>, Error> =
            picked.iter().map(|picked| self.claim(lane, picked)).collect();
        if claims.is_err() {
            let mut work = self.work();
            for picked in &picked {
                work.release(&picked.token, now);
            }
        }
        claims
    }

    /// See [`Store::next_due`](crate::Store::next_due).
    pub fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        self.learn(lane)?;
        let now = self.now();
        let mut work = self.work();
        while self.fill(&mut work, lane, now)? {}
        Ok(work.next_due(lane, now))
    }

    /// See [`Store::extend`](crate::Store::extend).
    pub fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
        if visible_for > MAX_VISIBLE {
            return Err(Error::VisibleTooLong(visible_for));
        }
        let now = self.now();
        let held = self.work().extend(token, visible_for, now);
        Ok(if held { Lease::Held } else { Lease::Lost })
    }

    /// See [`Store::release`](crate::Store::release).
    pub fn release(&self, token: &Token) -> Lease {
        let now = self.now();
        if !self.work().release(token, now) {
            return Lease::Lost;
        }
        self.wake.notify(Topic::Lane(token.lane()));
        Lease::Held
    }

    /// See [`Store::broken`](crate::Store::broken).
    pub async fn broken(&self) -> Error {
        let mut broken = self.broken.subscribe();
        match broken.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // The sender lives as long as this engine, so there always is an answer.
            Ok(None) | Err(_) => Error::Closed,
        }
    }

    /// Where to wait for news.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The ground.
    pub fn ground(&self) -> &G {
        &self.ground
    }

    /// Accepts nothing more, without the mark of a clean end: the next opening finds what a crash leaves.
    pub fn abandon(&self) {
        self.commits().refused.get_or_insert(Error::Closed);
    }

    /// Reads more of a lane if what is known of it is not enough; answers whether it read something.
    fn fill(&self, work: &mut Work, lane: Lane, now: Now) -> Result<bool, Error> {
        let Some(scanned) = work.must_read(lane, now) else {
            return Ok(false);
        };
        let (from, to) = (form::task_key(lane, scanned), form::task_key(lane, Place::LAST));
        let mut places = Vec::new();
        self.ground.view().scan(
            Bound::Excluded(&from),
            Bound::Included(&to),
            Direction::Forward,
            &mut |key, _| {
                places.push(form::task_place(&key)?);
                Ok(places.len() < WINDOW)
            },
        )?;
        work.fill(lane, &places, places.len() < WINDOW);
        Ok(true)
    }

    fn claim(&self, lane: Lane, picked: &Picked) -> Result<Claim, Error> {
        let key = form::task_key(lane, picked.place);
        let value = self.ground.get(&key)?;
        let missing = || {
            Error::corrupt(
                format!("task \"{}\"", key.escape_ascii()),
                "it is known but not there",
            )
        };
        let mut task = form::read_task(lane, picked.place, &value.ok_or_else(missing)?)?;
        let charged = self.work().charged(picked.place);
        task.attempts = task
            .attempts
            .saturating_add(picked.lapses)
            .saturating_add(charged);
        Ok(Claim {
            token: picked.token.clone(),
            task,
        })
    }

    /// Makes sure that the lane is known.
    fn learn(&self, lane: Lane) -> Result<(), Error> {
        if self.work().knows(lane) {
            return Ok(());
        }
        let floor = match self.fact(&form::floor_key(lane))?.as_slice() {
            [due, commit, index] => Place {
                due: Timestamp::from_millis(*due),
                commit: *commit,
                index: *index,
            },
            _ => Place::FIRST,
        };
        self.work().learn(lane, floor);
        Ok(())
    }

    /// What is durable now becomes known to the work.
    fn show(&self, effects: Vec<Effect>) {
        let now = self.now();
        let mut work = self.work();
        for effect in effects {
            match effect {
                Effect::Settled(token) => work.end_settle(&token),
                Effect::Enqueued(lane, place, claimed) => work.end_enqueue(lane, place, claimed, now),
            }
        }
    }

    fn count(&self, answers: &[Result<Answer, Error>]) {
        let outcomes = answers.iter().filter_map(|answer| match answer {
            Ok(Answer::Outcome(outcome)) => Some(outcome.is_committed()),
            _ => None,
        });
        let (committed, refused): (Vec<bool>, Vec<bool>) = outcomes.partition(|committed| *committed);
        self.counters
            .commits
            .fetch_add(committed.len() as u64, Ordering::Relaxed);
        self.counters
            .refusals
            .fetch_add(refused.len() as u64, Ordering::Relaxed);
    }

    /// Up to where a shard is trimmed.
    fn trimmed(&self, view: &G::View, log: LogId, shard: Shard) -> Result<Position, Error> {
        let key = form::trim_key(log, shard);
        let numbers = view
            .get(&key)?
            .map(|value| form::read_numbers(&key, &value))
            .transpose()?;
        Ok(match numbers.as_deref() {
            Some([major, minor]) => Position::new(*major, *minor),
            _ => Position::START,
        })
    }

    fn fact(&self, key: &[u8]) -> Result<Vec<u64>, Error> {
        read_fact(&self.ground, key)
    }

    fn now(&self) -> Now {
        Now {
            at: self.clock.now(),
            instant: self.clock.instant(),
        }
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_fact<G: Ground>(ground: &G, key: &[u8]) -> Result<Vec<u64>, Error> {
    let value = ground.get(key)?;
    Ok(value
        .map(|value| form::read_numbers(key, &value))
        .transpose()?
        .unwrap_or_default())
}

fn read_restarts(numbers: &[u64]) -> Vec<Restart> {
    let pairs = numbers.chunks_exact(2).filter_map(|pair| match pair {
        [at, commit] => Some((*at, *commit)),
        _ => None,
    });
    pairs
        .map(|(at, commit)| Restart {
            at: Timestamp::from_millis(at),
            commit,
        })
        .collect()
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) => key.len() + value.len(),
            Self::Delete(key) => key.len(),
        }
    }
}
