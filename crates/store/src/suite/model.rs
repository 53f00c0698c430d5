//! Random operations against maps. The model is the contract in its simplest form: a map, lists, and a set of tasks, with
//! every rule spelt out naively. A difference prints the seed and the step.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use aloft_base::{Chance, Clock, SeededChance, Timestamp};
use bytes::Bytes;

use super::Subject;
use crate::{
    Batch, BatchId, Committed, Direction, Enqueue, Error, Expect, Key, KeyRange, Lane, Lease, LogId,
    Operation, Outcome, Page, Position, Shard, TaskId, Token, Version,
};

const SEEDS: u64 = 4;
const STEPS: u64 = 300;
const KEYS: u64 = 8;
const LANES: u64 = 2;

/// Runs random operations from four seeds.
pub async fn random_operations_match_maps(subject: &mut dyn Subject) {
    for seed in 1..=SEEDS {
        let mut model = Model::new(seed);
        for step in 0..STEPS {
            model.at = format!("seed {seed}, step {step}");
            model.step(subject).await;
        }
        // The next seed begins on what is there: what it does not know would look like a difference, so it is removed.
        model.clear(subject).await;
    }
}

struct Model {
    at: String,
    seed: u64,
    chance: SeededChance,
    rows: BTreeMap<Key, (Bytes, Version)>,
    logs: BTreeMap<(LogId, Shard), Vec<Logged>>,
    trimmed: BTreeMap<(LogId, Shard), Position>,
    tasks: Vec<Modelled>,
    stale: Vec<Token>,
    versions: Vec<Version>,
    committed: Vec<(Batch, Committed)>,
    serial: u64,
}

#[derive(Debug, Clone)]
struct Logged {
    value: Bytes,
    position: Option<Position>,
}

#[derive(Debug, Clone)]
struct Modelled {
    task: Enqueue,
    order: u64,
    attempts: u32,
    lapses: u32,
    claim: Option<(Token, Timestamp)>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            at: String::new(),
            seed,
            chance: SeededChance::new(seed),
            rows: BTreeMap::new(),
            logs: BTreeMap::new(),
            trimmed: BTreeMap::new(),
            tasks: Vec::new(),
            stale: Vec::new(),
            versions: vec![Version::from_u64(u64::MAX)],
            committed: Vec::new(),
            serial: 0,
        }
    }

    async fn step(&mut self, subject: &mut dyn Subject) {
        match self.chance.below(100) {
            0..40 => self.commit(subject).await,
            40..45 => self.repeat(subject).await,
            45..55 => self.get(subject).await,
            55..65 => self.scan(subject).await,
            65..72 => self.read_log(subject).await,
            72..74 => self.trim(subject).await,
            74..84 => self.receive(subject).await,
            84..88 => self.extend(subject).await,
            88..92 => self.release(subject).await,
            92..98 => subject
                .clock()
                .advance(Duration::from_millis(self.chance.below(3_000))),
            _ => self.restart(subject).await,
        }
    }

    fn any_key(&self) -> Key {
        super::key(&format!("{}/{}", self.seed, self.chance.below(KEYS)))
    }

    fn any_log(&self) -> (LogId, Shard) {
        (
            LogId(self.seed * 10 + self.chance.below(2)),
            Shard(self.chance.below(2) as u16),
        )
    }

    fn any_lane(&self) -> Lane {
        Lane(self.seed * 10 + self.chance.below(LANES))
    }

    /// A token that holds, or more rarely one that did.
    fn any_token(&self) -> Option<Token> {
        let held: Vec<&Token> = self
            .tasks
            .iter()
            .filter_map(|t| t.claim.as_ref().map(|(token, _)| token))
            .collect();
        let from_stale = !self.stale.is_empty() && (held.is_empty() || self.chance.below(4) == 0);
        if from_stale {
            return Some(self.stale[self.chance.below(self.stale.len() as u64) as usize].clone());
        }
        (!held.is_empty()).then(|| held[self.chance.below(held.len() as u64) as usize].clone())
    }

    fn build(&mut self, now: Timestamp) -> Batch {
        let mut batch = super::batch();
        let mut used = HashSet::new();
        for _ in 0..self.chance.below(5) {
            self.serial += 1;
            let value = Bytes::from(format!("v{}", self.serial));
            batch = match self.chance.below(10) {
                0..5 => {
                    let key = self.any_key();
                    if !used.insert(key.clone()) {
                        continue;
                    }
                    self.write(batch, key, value)
                }
                5..7 => {
                    let (log, shard) = self.any_log();
                    batch.append(log, shard, "k", value)
                }
                7..9 => {
                    let offset = Duration::from_millis(self.chance.below(4_000));
                    batch.enqueue(Enqueue {
                        id: TaskId(self.serial.into()),
                        lane: self.any_lane(),
                        due: (now + offset) - Duration::from_secs(2),
                        attempts: self.chance.below(3) as u32,
                        body: value,
                        claimed: (self.chance.below(3) == 0).then_some(Duration::from_secs(2)),
                    })
                }
                _ => match self.any_token() {
                    Some(token) if !batch.operations().contains(&Operation::Settle(token.clone())) => {
                        batch.settle(token)
                    }
                    _ => batch,
                },
            };
        }
        batch
    }

    /// A put or a delete, with an expectation that is mostly right.
    fn write(&self, batch: Batch, key: Key, value: Bytes) -> Batch {
        let right = match self.rows.get(&key) {
            Some((_, version)) => Expect::Version(*version),
            None => Expect::Absent,
        };
        let wrong = Expect::Version(self.versions[self.chance.below(self.versions.len() as u64) as usize]);
        match self.chance.below(8) {
            0..3 => batch.put(key, value),
            3 => batch.delete(key),
            4 => batch.expect(key.clone(), wrong).put(key, value),
            5 => batch.expect(key.clone(), Expect::Absent).put(key, value),
            _ => match right {
                Expect::Absent => batch.expect(key.clone(), right).put(key, value),
                Expect::Version(_) => batch.expect(key.clone(), right).delete(key),
            },
        }
    }

    /// What the contract says becomes of a batch, or that it is committed.
    fn refusal(&self, batch: &Batch, now: Timestamp) -> Option<Outcome> {
        for operation in batch.operations() {
            if let Operation::Expect(key, expect) = operation {
                let found = self.rows.get(key).map(|(_, version)| *version);
                let holds = match expect {
                    Expect::Absent => found.is_none(),
                    Expect::Version(version) => found == Some(*version),
                };
                if !holds {
                    return Some(Outcome::Conflict(key.clone()));
                }
            }
        }
        let held = |token: &Token| {
            let is = |task: &&Modelled| {
                task.claim
                    .as_ref()
                    .is_some_and(|(t, until)| t == token && *until > now)
            };
            self.tasks.iter().find(is).is_some()
        };
        batch.operations().iter().find_map(|operation| match operation {
            Operation::Settle(token) if !held(token) => Some(Outcome::Lost(token.clone())),
            _ => None,
        })
    }

    async fn commit(&mut self, subject: &dyn Subject) {
        let now = subject.clock().now();
        let batch = self.build(now);
        let outcome = subject.store().commit(batch.clone()).await.unwrap();
        if let Some(refusal) = self.refusal(&batch, now) {
            assert_eq!(outcome, refusal, "{}: {batch:?}", self.at);
            return;
        }
        let Some(committed) = outcome.clone().committed() else {
            panic!("{}: {outcome:?} of {batch:?}", self.at);
        };
        self.apply(&batch, &committed, now);
        self.versions.push(committed.version);
        self.committed.push((batch, committed));
    }

    fn apply(&mut self, batch: &Batch, committed: &Committed, now: Timestamp) {
        let mut tokens = committed.tokens.iter();
        for operation in batch.operations() {
            match operation {
                Operation::Fence(..) | Operation::Expect(..) => {}
                Operation::Put(key, value) => {
                    self.rows.insert(key.clone(), (value.clone(), committed.version));
                }
                Operation::Delete(key) => {
                    self.rows.remove(key);
                }
                Operation::Append {
                    log, shard, value, ..
                } => {
                    self.logs.entry((*log, *shard)).or_default().push(Logged {
                        value: value.clone(),
                        position: None,
                    });
                }
                Operation::Enqueue(task) => {
                    self.serial += 1;
                    self.tasks.push(Modelled {
                        task: task.clone(),
                        order: self.serial,
                        attempts: task.attempts,
                        lapses: 0,
                        claim: task
                            .claimed
                            .map(|time| (tokens.next().unwrap().clone(), now + time)),
                    });
                }
                Operation::Settle(token) => {
                    self.tasks
                        .retain(|task| task.claim.as_ref().is_none_or(|(t, _)| t != token));
                    self.stale.push(token.clone());
                }
            }
        }
        assert_eq!(tokens.next(), None, "{}: more tokens than claimed tasks", self.at);
    }

    /// A batch that was committed comes again.
    async fn repeat(&mut self, subject: &dyn Subject) {
        if let Some((batch, committed)) = self.committed.last() {
            let again = subject.store().commit(batch.clone()).await.unwrap();
            assert_eq!(again, Outcome::Committed(committed.clone()), "{}", self.at);
        }
    }

    async fn get(&mut self, subject: &dyn Subject) {
        let key = self.any_key();
        let found = subject
            .store()
            .get(&key)
            .await
            .unwrap()
            .map(|entry| (entry.value, entry.version));
        assert_eq!(found.as_ref(), self.rows.get(&key), "{}", self.at);
    }

    async fn scan(&mut self, subject: &dyn Subject) {
        let prefix = format!("{}/", self.seed);
        let mut range = KeyRange::prefix(prefix.as_bytes());
        if self.chance.below(2) == 0 {
            range = range.after(&self.any_key());
        }
        if self.chance.below(2) == 0 {
            range = range.before(&self.any_key());
        }
        let limit = self.chance.below(KEYS + 2) as usize;
        let backward = self.chance.below(2) == 0;
        let direction = if backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let inside = |key: &Key| {
            use std::ops::RangeBounds;
            (range.from.clone(), range.to.clone()).contains(key.as_bytes())
        };
        let mut expected: Vec<crate::Entry> = Vec::new();
        for (key, (value, version)) in self.rows.iter().filter(|(key, _)| inside(key)) {
            expected.push(crate::Entry {
                key: key.clone(),
                value: value.clone(),
                version: *version,
            });
        }
        if backward {
            expected.reverse();
        }
        let more = expected.len() > limit;
        expected.truncate(limit);
        let page = subject
            .store()
            .snapshot()
            .await
            .unwrap()
            .scan(&range, direction, limit)
            .await
            .unwrap();
        let entries = expected;
        assert_eq!(
            page,
            Page { entries, more },
            "{}: {range:?} {direction:?}",
            self.at
        );
    }

    /// Reads from the start or from a record that was seen, and learns the positions.
    async fn read_log(&mut self, subject: &dyn Subject) {
        subject.catch_up().await;
        let (log, shard) = self.any_log();
        let logged = self.logs.entry((log, shard)).or_default();
        let seen = logged
            .iter()
            .take_while(|record| record.position.is_some())
            .count() as u64;
        let skip = self.chance.below(seen + 1) as usize;
        let after = match skip {
            0 => Position::START,
            skip => logged[skip - 1].position.unwrap(),
        };
        let max = 1 + self.chance.below(5) as usize;
        let records = subject
            .store()
            .read_log(log, shard, after, max, 1 << 20)
            .await
            .unwrap();
        let expected: Vec<&Bytes> = logged
            .iter()
            .skip(skip)
            .take(max)
            .map(|record| &record.value)
            .collect();
        assert_eq!(
            records.iter().map(|r| &r.value).collect::<Vec<_>>(),
            expected,
            "{}",
            self.at
        );
        for (record, logged) in records.iter().zip(&mut logged[skip..]) {
            assert!(
                logged.position.is_none_or(|position| position == record.position),
                "{}",
                self.at
            );
            logged.position = Some(record.position);
        }
    }

    async fn trim(&mut self, subject: &dyn Subject) {
        let (log, shard) = self.any_log();
        let logged = self.logs.entry((log, shard)).or_default();
        let seen = logged
            .iter()
            .take_while(|record| record.position.is_some())
            .count();
        if seen == 0 {
            return;
        }
        let count = 1 + self.chance.below(seen as u64) as usize;
        let through = logged[count - 1].position.unwrap();
        let store = subject.store();
        store.trim_log(log, shard, through).await.unwrap();
        let before = Position::new(0, 1);
        let told = store.read_log(log, shard, before, 1, 1).await;
        assert!(
            matches!(told, Err(Error::Trimmed { through: t, .. }) if t == through),
            "{}: {told:?}",
            self.at
        );
        logged.drain(..count);
        self.trimmed.insert((log, shard), through);
    }

    /// Lets claims lapse, as the contract says.
    fn lapse(&mut self, now: Timestamp) {
        for task in &mut self.tasks {
            if let Some((token, _)) = task.claim.take_if(|(_, until)| *until <= now) {
                task.lapses += 1;
                self.stale.push(token);
            }
        }
    }

    async fn receive(&mut self, subject: &dyn Subject) {
        let now = subject.clock().now();
        self.lapse(now);
        let lane = self.any_lane();
        let max = 1 + self.chance.below(4) as usize;
        let visible = Duration::from_millis(500 + self.chance.below(3_000));
        let store = subject.store();
        let claims = store.receive(lane, max, visible).await.unwrap();
        let mut due: Vec<&mut Modelled> = self.tasks.iter_mut().collect();
        due.retain(|task| task.task.lane == lane && task.claim.is_none() && task.task.due <= now);
        due.sort_by_key(|task| (task.task.due, task.order));
        due.truncate(max);
        let shown: Vec<_> = claims
            .iter()
            .map(|c| (c.task.id, c.task.attempts, c.task.due, c.task.body.clone()))
            .collect();
        let expected: Vec<_> = due
            .iter()
            .map(|t| (t.task.id, t.attempts + t.lapses, t.task.due, t.task.body.clone()))
            .collect();
        assert_eq!(shown, expected, "{}", self.at);
        for (task, claim) in due.into_iter().zip(claims) {
            task.claim = Some((claim.token, now + visible));
        }
        let waiting = self.tasks.iter().filter(|task| task.task.lane == lane);
        let next = waiting.map(|task| match &task.claim {
            Some((_, until)) => *until + Duration::from_millis(1),
            None => task.task.due,
        });
        assert_eq!(store.next_due(lane).await.unwrap(), next.min(), "{}", self.at);
    }

    async fn extend(&mut self, subject: &dyn Subject) {
        let Some(token) = self.any_token() else {
            return;
        };
        let now = subject.clock().now();
        let time = Duration::from_secs(1 + self.chance.below(3));
        let lease = subject.store().extend(&token, time).await.unwrap();
        let claim = self.tasks.iter_mut().filter_map(|task| task.claim.as_mut());
        let held = claim.into_iter().find(|(t, until)| *t == token && *until > now);
        assert_eq!(lease == Lease::Held, held.is_some(), "{}", self.at);
        if let Some((_, until)) = held {
            *until = now + time;
        }
    }

    async fn release(&mut self, subject: &dyn Subject) {
        let Some(token) = self.any_token() else {
            return;
        };
        let now = subject.clock().now();
        let lease = subject.store().release(token.clone()).await.unwrap();
        let is = |task: &&mut Modelled| {
            task.claim
                .as_ref()
                .is_some_and(|(t, until)| *t == token && *until > now)
        };
        let held = self.tasks.iter_mut().find(is);
        assert_eq!(lease == Lease::Held, held.is_some(), "{}", self.at);
        if let Some(task) = held {
            task.claim = None;
            self.stale.push(token);
        }
    }

    async fn restart(&mut self, subject: &mut dyn Subject) {
        let (now, clean) = (subject.clock().now(), self.chance.below(2) == 0);
        subject.restart(clean).await;
        for task in &mut self.tasks {
            self.stale.extend(task.claim.take().map(|(token, _)| token));
            task.lapses = 0;
            if !clean && task.task.due <= now {
                task.attempts += 1;
            }
        }
        // Who handed those over died with the process.
        self.committed.clear();
    }

    async fn clear(&mut self, subject: &dyn Subject) {
        let id = BatchId(u128::MAX - u128::from(self.seed));
        let clear = self
            .rows
            .keys()
            .fold(Batch::new(id), |batch, key| batch.delete(key.clone()));
        assert!(subject.store().commit(clear).await.unwrap().is_committed());
    }
}
