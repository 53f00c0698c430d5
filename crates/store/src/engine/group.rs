//! Deciding a group: one request after another against what is durable and what the former ones of the group changed. The
//! result is one set of writes for the ground and the effects on memory that follow once they are durable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use super::form;
use super::ground::{Ground, View, Write};
use super::{Answer, Commits, Engine, Request, TRIM_STEP};
use crate::work::{Now, Place};
use crate::{
    Batch, BatchId, Committed, Direction, Enqueue, Epoch, Error, Expect, Key, Lane, LogId, MAX_CLAIMS,
    Operation, Outcome, Partition, Position, Shard, Token, Topic, Version,
};

/// What memory learns once the group is durable.
pub(super) enum Effect {
    Settled(Token),
    Enqueued(Lane, Place, Option<(Token, Duration)>),
}

/// A group being decided.
pub(super) struct Group<'a, G: Ground> {
    engine: &'a Engine<G>,
    commits: &'a mut Commits,
    now: Now,
    /// The last commit that is in the ground.
    durable: u64,
    /// Rows that the group wrote: their versions, or that they are gone.
    rows: HashMap<Key, Option<Version>>,
    /// Up to where the group trimmed shards.
    trims: HashMap<(LogId, Shard), Position>,
    writes: BTreeMap<Bytes, Option<Bytes>>,
    pub(super) effects: Vec<Effect>,
    /// In an order, so that who is woken first is no matter of chance.
    pub(super) topics: BTreeSet<Topic>,
}

impl<'a, G: Ground> Group<'a, G> {
    pub(super) fn new(engine: &'a Engine<G>, commits: &'a mut Commits, now: Now) -> Self {
        Self {
            engine,
            durable: commits.last,
            commits,
            now,
            rows: HashMap::new(),
            trims: HashMap::new(),
            writes: BTreeMap::new(),
            effects: Vec::new(),
            topics: BTreeSet::new(),
        }
    }

    /// Decides one request.
    pub(super) fn decide(&mut self, request: Request) -> Result<Answer, Error> {
        match request {
            Request::Commit(batch) => self.commit(&batch).map(Answer::Outcome),
            Request::TakeOver(partition) => self.take_over(partition).map(Answer::Epoch),
            Request::Trim(log, shard, through) => self
                .trim(log, shard, through)
                .map(|more| Answer::Trimmed { more }),
        }
    }

    /// The group's writes, with what the store must remember besides.
    pub(super) fn finish(&mut self) -> Vec<Write> {
        if self.commits.last > self.durable {
            self.put(
                Bytes::from_static(form::LAST_COMMIT),
                form::numbers(&[self.commits.last]),
            );
        }
        let lanes: BTreeSet<Lane> = self.effects.iter().map(Effect::lane).collect();
        let mut work = self.engine.work();
        let mut floors = work.floors(lanes.into_iter());
        floors.extend(work.forget_idle());
        drop(work);
        for (lane, place) in floors {
            self.put_floor(lane, place);
        }
        let writes = std::mem::take(&mut self.writes).into_iter();
        writes
            .map(|(key, value)| match value {
                Some(value) => Write::Put(key, value),
                None => Write::Delete(key),
            })
            .collect()
    }

    fn put(&mut self, key: Bytes, value: Bytes) {
        self.writes.insert(key, Some(value));
    }

    fn put_floor(&mut self, lane: Lane, place: Place) {
        let numbers = form::numbers(&[place.due.as_millis(), place.commit, place.index]);
        self.put(form::floor_key(lane), numbers);
    }

    fn commit(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        batch.check()?;
        if let Some(committed) = self.commits.remembered.get(batch.id()) {
            return Ok(Outcome::Committed(committed.clone()));
        }
        if let Some(refusal) = self.refusal(batch)? {
            return Ok(refusal);
        }
        self.prepare(batch)?;
        self.commits.last += 1;
        let committed = self.take(batch);
        self.commits.remembered.keep(batch.id(), committed.clone());
        Ok(Outcome::Committed(committed))
    }

    /// What stands against the batch: fences first, then expectations, then tokens.
    fn refusal(&mut self, batch: &Batch) -> Result<Option<Outcome>, Error> {
        for operation in batch.operations() {
            if let Operation::Fence(partition, epoch) = operation
                && self.epoch(*partition)? != *epoch
            {
                return Ok(Some(Outcome::Fenced(*partition)));
            }
        }
        for operation in batch.operations() {
            if let Operation::Expect(key, expect) = operation
                && !self.is_as_expected(key, *expect)?
            {
                return Ok(Some(Outcome::Conflict(key.clone())));
            }
        }
        let work = self.engine.work();
        for operation in batch.operations() {
            if let Operation::Settle(token) = operation
                && !work.holds(token, self.now)
            {
                return Ok(Some(Outcome::Lost(token.clone())));
            }
        }
        Ok(None)
    }

    fn epoch(&mut self, partition: Partition) -> Result<Epoch, Error> {
        if let Some(epoch) = self.commits.epochs.get(&partition) {
            return Ok(*epoch);
        }
        let epoch = Epoch(
            self.engine
                .fact(&form::epoch_key(partition))?
                .first()
                .copied()
                .unwrap_or(0),
        );
        self.commits.epochs.insert(partition, epoch);
        Ok(epoch)
    }

    fn is_as_expected(&self, key: &Key, expect: Expect) -> Result<bool, Error> {
        let found = match self.rows.get(key) {
            Some(version) => *version,
            None => self.engine.row(key)?.map(|entry| entry.version),
        };
        Ok(match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
        })
    }

    /// What can still fail, before anything is changed: the lanes are known and there is room for the claims.
    fn prepare(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut claims = 0;
        for operation in batch.operations() {
            if let Operation::Enqueue(task) = operation {
                self.engine.learn(task.lane)?;
                claims += usize::from(task.claimed.is_some());
            }
        }
        if claims > 0 && !self.engine.work().has_room(claims) {
            return Err(Error::TooManyClaims(MAX_CLAIMS));
        }
        Ok(())
    }

    /// Takes the batch's changes into the group. Nothing can fail here.
    fn take(&mut self, batch: &Batch) -> Committed {
        let commit = self.commits.last;
        let version = Version::from_u64(commit);
        let mut tokens = Vec::new();
        for (operation, index) in batch.operations().iter().zip(0u64..) {
            match operation {
                Operation::Fence(..) | Operation::Expect(..) => {}
                Operation::Put(key, value) => {
                    self.rows.insert(key.clone(), Some(version));
                    self.put(form::row_key(key.as_ref()), form::row(version, batch.id(), value));
                }
                Operation::Delete(key) => {
                    self.rows.insert(key.clone(), None);
                    self.writes.insert(form::row_key(key.as_ref()), None);
                }
                Operation::Append {
                    log,
                    shard,
                    key,
                    value,
                } => {
                    let position = Position::new(commit, index);
                    let record = form::record(key, value, batch.id(), self.now.at);
                    self.put(form::record_key(*log, *shard, position), record);
                    self.topics.insert(Topic::Log(*log));
                }
                Operation::Enqueue(task) => {
                    let place = Place {
                        due: task.due,
                        commit,
                        index,
                    };
                    tokens.extend(self.enqueue(task, place, batch.id()));
                }
                Operation::Settle(token) => self.settle(token),
            }
        }
        Committed {
            position: Position::new(commit, u64::MAX),
            version,
            tokens,
        }
    }

    fn enqueue(&mut self, task: &Enqueue, place: Place, batch: BatchId) -> Option<Token> {
        self.put(form::task_key(task.lane, place), form::task(task, batch));
        let (token, lower) = self
            .engine
            .work()
            .begin_enqueue(task.lane, place, task.claimed.is_some());
        if lower {
            self.put_floor(task.lane, place);
        }
        let claimed = token.clone().zip(task.claimed);
        self.effects.push(Effect::Enqueued(task.lane, place, claimed));
        self.topics.insert(Topic::Lane(task.lane));
        token
    }

    fn settle(&mut self, token: &Token) {
        if let Some(place) = self.engine.work().begin_settle(token) {
            self.writes.insert(form::task_key(token.lane(), place), None);
            self.effects.push(Effect::Settled(token.clone()));
        }
    }

    fn take_over(&mut self, partition: Partition) -> Result<Epoch, Error> {
        let epoch = Epoch(self.epoch(partition)?.0 + 1);
        self.commits.epochs.insert(partition, epoch);
        self.put(form::epoch_key(partition), form::numbers(&[epoch.0]));
        Ok(epoch)
    }

    /// Removes the oldest records up to `through`, a bounded number of them; answers whether there are more. The mark moves
    /// with them, so that a crash between two steps leaves nothing behind it. Records of this very group are not in the
    /// ground yet and stay.
    fn trim(&mut self, log: LogId, shard: Shard, through: Position) -> Result<bool, Error> {
        // A second trim of the shard in one group goes on behind the first; it never moves the mark back.
        let mark = match self.trims.get(&(log, shard)) {
            Some(mark) => *mark,
            None => self.engine.trimmed(&self.engine.ground.view(), log, shard)?,
        };
        let (from, to) = (
            form::record_key(log, shard, mark),
            form::record_key(log, shard, through),
        );
        if from >= to {
            return Ok(false);
        }
        let (mut keys, mut more) = (Vec::new(), false);
        let view = self.engine.ground.view();
        view.scan(
            Bound::Excluded(&from),
            Bound::Included(&to),
            Direction::Forward,
            &mut |key, _| {
                more = keys.len() == TRIM_STEP;
                if !more {
                    keys.push(key);
                }
                Ok(!more)
            },
        )?;
        if let Some(last) = keys.last() {
            let mark = form::record_position(last)?;
            self.trims.insert((log, shard), mark);
            let (major, minor) = mark.parts();
            self.put(form::trim_key(log, shard), form::numbers(&[major, minor]));
        }
        self.writes.extend(keys.into_iter().map(|key| (key, None)));
        Ok(more)
    }
}

impl Effect {
    fn lane(&self) -> Lane {
        match self {
            Self::Settled(token) => token.lane(),
            Self::Enqueued(lane, ..) => *lane,
        }
    }
}
