//! Batches as the parameters of one function call.

use aloft_base::Timestamp;
use aloft_store::work::Place;
use aloft_store::{Batch, Error, Expect, Key, MAX_OPERATIONS, Operation, Outcome, Partition};
use bytes::Bytes;
use tokio_postgres::types::ToSql;

use crate::connection::Parameter;
use crate::lock::Class;
use crate::number::{Uuid, id, ordered, place};

const MARK: i64 = 0;
const RECORD: i64 = 1;
const TASK: i64 = 2;
const SETTLE: i64 = 3;
/// Added to the kind of a batch's first entry, by which the batch can be looked up.
const FIRST: i64 = 10;

/// What an entry does not have.
const NONE: i64 = -1;

/// Records of one transaction are numbered by batch and operation; this many numbers are a batch's.
const INDEXES: i64 = 16_384;
const _: () = assert!(MAX_OPERATIONS < INDEXES as usize);

/// What all batches of a request share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) at: Timestamp,
}

/// The parameters, in the order of the function's.
#[derive(Debug)]
pub(crate) struct Request {
    /// Class, alone, checks only, epoch, time.
    head: Vec<i64>,
    locks: Vec<i32>,
    batches: Vec<Uuid>,
    numbers: Vec<i64>,
    fences: Vec<i64>,
    expect_jobs: Vec<i32>,
    expect_keys: Vec<Raw>,
    expect_versions: Vec<i64>,
    put_jobs: Vec<i32>,
    put_keys: Vec<Raw>,
    put_values: Vec<Raw>,
    delete_jobs: Vec<i32>,
    delete_keys: Vec<Raw>,
    /// Nine numbers for each row of the journal.
    entries: Vec<i64>,
    entry_tasks: Vec<Option<Uuid>>,
    entry_keys: Vec<Option<Raw>>,
    entry_values: Vec<Option<Raw>>,
    /// How many fences and expectations stand before those of each batch.
    before: Vec<(i64, i64)>,
}

/// What the server decided about one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It happened, with this transaction id, and is hidden from readers of logs or not.
    Committed { xid: u64, hidden: bool },
    /// Its fence of this number (from 1) did not hold.
    Fenced(i64),
    /// Its expectation of this number (from 1) did not hold.
    Conflict(i64),
    /// Another process owns the store.
    Superseded,
}

/// One row of the journal.
#[derive(Debug)]
struct Entry {
    kind: i64,
    index: i64,
    scope: i64,
    shard: i64,
    /// Due time, commit and number in it: a task's place.
    place: (i64, i64, i64),
    attempts: i64,
    task: Option<Uuid>,
    key: Option<Raw>,
    value: Option<Raw>,
}

impl Entry {
    fn new(kind: i64, index: i64, scope: u64) -> Self {
        Self {
            kind,
            index,
            scope: id(scope),
            shard: NONE,
            place: (NONE, NONE, NONE),
            attempts: NONE,
            task: None,
            key: None,
            value: None,
        }
    }
}

/// Bytes that are shared with the batch instead of copied.
#[derive(Debug, Clone)]
struct Raw(Bytes);

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &tokio_postgres::types::Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(tokio_postgres::types::IsNull::No)
    }

    fn accepts(of: &tokio_postgres::types::Type) -> bool {
        *of == tokio_postgres::types::Type::BYTEA
    }

    tokio_postgres::types::to_sql_checked!();
}

impl Request {
    /// A request without batches. Without locks it passes the gate alone.
    pub(crate) fn new(sender: Sender, locks: Option<Vec<i32>>, checks_only: bool) -> Self {
        Self {
            head: vec![
                sender.class.0.into(),
                i64::from(locks.is_none()),
                i64::from(checks_only),
                ordered(sender.epoch),
                ordered(sender.at.as_millis()),
            ],
            locks: locks.unwrap_or_default(),
            batches: Vec::new(),
            numbers: Vec::new(),
            fences: Vec::new(),
            expect_jobs: Vec::new(),
            expect_keys: Vec::new(),
            expect_versions: Vec::new(),
            put_jobs: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            delete_jobs: Vec::new(),
            delete_keys: Vec::new(),
            entries: Vec::new(),
            entry_tasks: Vec::new(),
            entry_keys: Vec::new(),
            entry_values: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Adds a batch with the owner's number for it, and the places of the tasks that it settles, in their order.
    pub(crate) fn add(&mut self, batch: &Batch, number: u64, settles: &[Place]) {
        self.before
            .push(((self.fences.len() / 3) as i64, self.expect_keys.len() as i64));
        self.batches.push(Uuid(batch.id().0));
        self.numbers.push(ordered(number));
        let (rows, mut settles) = (self.entries.len(), settles.iter());
        for (operation, index) in batch.operations().iter().zip(0..) {
            self.take(operation, index, &mut settles);
        }
        if self.entries.len() == rows {
            self.enter(Entry::new(MARK, 0, 0));
        }
        if let Some(kind) = self.entries.get_mut(rows + 1) {
            *kind += FIRST;
        }
    }

    fn take<'a>(&mut self, operation: &Operation, index: i64, settles: &mut impl Iterator<Item = &'a Place>) {
        let job = self.batches.len() as i32;
        match operation {
            Operation::Fence(partition, epoch) => {
                self.fences
                    .extend([job.into(), partition.0.into(), ordered(epoch.0)]);
            }
            Operation::Expect(key, expect) => {
                self.expect_jobs.push(job);
                self.expect_keys.push(raw(key));
                self.expect_versions.push(match expect {
                    Expect::Absent => NONE,
                    Expect::Version(version) => ordered(version.to_u64()),
                });
            }
            Operation::Put(key, value) => {
                self.put_jobs.push(job);
                self.put_keys.push(raw(key));
                self.put_values.push(Raw(value.clone()));
            }
            Operation::Delete(key) => {
                self.delete_jobs.push(job);
                self.delete_keys.push(raw(key));
            }
            Operation::Append {
                log,
                shard,
                key,
                value,
            } => self.enter(Entry {
                shard: shard.0.into(),
                key: Some(Raw(key.clone())),
                value: Some(Raw(value.clone())),
                ..Entry::new(RECORD, index, log.0)
            }),
            Operation::Enqueue(task) => {
                let commit = self.numbers.last().copied().unwrap_or(NONE);
                self.enter(Entry {
                    place: (ordered(task.due.as_millis()), commit, index),
                    task: Some(Uuid(task.id.0)),
                    attempts: i32::try_from(task.attempts).unwrap_or(i32::MAX).into(),
                    value: Some(Raw(task.body.clone())),
                    ..Entry::new(TASK, index, task.lane.0)
                });
            }
            Operation::Settle(token) => {
                // Without a place the batch was refused before a request to write was made of it.
                let place = settles.next().copied().map_or((NONE, NONE, NONE), |settled| {
                    let (due, commit, spot) = place(settled);
                    (due, commit, spot.into())
                });
                self.enter(Entry {
                    place,
                    ..Entry::new(SETTLE, index, token.lane().0)
                });
            }
        }
    }

    fn enter(&mut self, entry: Entry) {
        let (due, commit, spot) = entry.place;
        let job = self.batches.len() as i64;
        self.entries.extend([
            job,
            entry.kind,
            (job - 1) * INDEXES + entry.index,
            entry.scope,
            entry.shard,
            due,
            commit,
            spot,
            entry.attempts,
        ]);
        self.entry_tasks.push(entry.task);
        self.entry_keys.push(entry.key);
        self.entry_values.push(entry.value);
    }

    /// As the statement takes them.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 17] {
        [
            &self.head,
            &self.locks,
            &self.batches,
            &self.numbers,
            &self.fences,
            &self.expect_jobs,
            &self.expect_keys,
            &self.expect_versions,
            &self.put_jobs,
            &self.put_keys,
            &self.put_values,
            &self.delete_jobs,
            &self.delete_keys,
            &self.entries,
            &self.entry_tasks,
            &self.entry_keys,
            &self.entry_values,
        ]
    }

    /// What the answer says of each batch, in their order.
    pub(crate) fn decisions(&self, answer: &[i64]) -> Result<Vec<Decision>, Error> {
        let wrong = || {
            Error::corrupt(
                "an answer of the database",
                format!("{answer:?} to {} batches", self.batches.len()),
            )
        };
        let [xid, hidden, each @ ..] = answer else {
            return match answer {
                [-1] => Ok(vec![Decision::Superseded; self.batches.len()]),
                _ => Err(wrong()),
            };
        };
        let (xid, hidden) = (u64::try_from(*xid).map_err(|_| wrong())?, *hidden == 1);
        if each.len() != 2 * self.batches.len() {
            return Err(wrong());
        }
        let decide = |(pair, before): (&[i64], &(i64, i64))| match pair {
            [0, _] => Ok(Decision::Committed { xid, hidden }),
            [1, which] => Ok(Decision::Fenced(which - before.0)),
            [2, which] => Ok(Decision::Conflict(which - before.1)),
            _ => Err(wrong()),
        };
        each.chunks_exact(2).zip(&self.before).map(decide).collect()
    }
}

fn raw(key: &Key) -> Raw {
    Raw(key.as_bytes().clone())
}

/// Which fence failed: the `which`-th, from 1.
pub(crate) fn fenced(batch: &Batch, which: i64) -> Option<Outcome> {
    let partitions = batch.operations().iter().filter_map(|operation| match operation {
        Operation::Fence(partition, _) => Some(*partition),
        _ => None,
    });
    nth(partitions, which).map(|partition: Partition| Outcome::Fenced(partition))
}

/// Which expectation failed: the `which`-th, from 1.
pub(crate) fn conflict(batch: &Batch, which: i64) -> Option<Outcome> {
    let keys = batch.operations().iter().filter_map(|operation| match operation {
        Operation::Expect(key, _) => Some(key.clone()),
        _ => None,
    });
    nth(keys, which).map(Outcome::Conflict)
}

fn nth<T>(mut items: impl Iterator<Item = T>, which: i64) -> Option<T> {
    items.nth(usize::try_from(which).ok()?.checked_sub(1)?)
}
