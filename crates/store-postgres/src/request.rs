//! A batch as the parameters of one function call.

use aloft_base::Timestamp;
use aloft_store::work::Place;
use aloft_store::{Batch, Expect, Key, Operation, Outcome, Partition};
use bytes::Bytes;
use tokio_postgres::types::ToSql;

use crate::connection::Parameter;
use crate::lock::{self, Class};
use crate::number::{Uuid, id, ordered, place};

const RECORD: i64 = 1;
const TASK: i64 = 2;
const SETTLE: i64 = 3;

/// What an entry does not have.
const NONE: i64 = -1;

/// The parameters, in the order of the function's.
#[derive(Debug)]
pub(crate) struct Request {
    /// Class, alone, checks only, epoch, commit, time.
    head: Vec<i64>,
    locks: Vec<i32>,
    batch: Uuid,
    fences: Vec<i64>,
    expect_keys: Vec<Raw>,
    expect_versions: Vec<i64>,
    put_keys: Vec<Raw>,
    put_values: Vec<Raw>,
    delete_keys: Vec<Raw>,
    /// Eight numbers for each row of the journal.
    entries: Vec<i64>,
    entry_tasks: Vec<Option<Uuid>>,
    entry_keys: Vec<Option<Raw>>,
    entry_values: Vec<Option<Raw>>,
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

/// What a request is sent as, besides the batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) at: Timestamp,
}

impl Request {
    /// A batch with the owner's number for it, and the places of the tasks that it settles, in their order.
    pub(crate) fn new(batch: &Batch, commit: u64, settles: &[Place], sender: Sender) -> Self {
        let locks = lock::of(batch);
        let mut request = Self {
            head: vec![
                sender.class.0.into(),
                i64::from(locks.is_none()),
                0,
                ordered(sender.epoch),
                ordered(commit),
                ordered(sender.at.as_millis()),
            ],
            locks: locks.unwrap_or_default(),
            batch: Uuid(batch.id().0),
            fences: Vec::new(),
            expect_keys: Vec::new(),
            expect_versions: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            delete_keys: Vec::new(),
            entries: Vec::new(),
            entry_tasks: Vec::new(),
            entry_keys: Vec::new(),
            entry_values: Vec::new(),
        };
        let mut settles = settles.iter();
        for (operation, index) in batch.operations().iter().zip(0..) {
            request.add(operation, index, ordered(commit), &mut settles);
        }
        request
    }

    /// The same, but nothing is written when the checks hold.
    pub(crate) fn checks_only(mut self) -> Self {
        if let Some(flag) = self.head.get_mut(2) {
            *flag = 1;
        }
        self
    }

    fn add<'a>(
        &mut self,
        operation: &Operation,
        index: i64,
        commit: i64,
        settles: &mut impl Iterator<Item = &'a Place>,
    ) {
        match operation {
            Operation::Fence(partition, epoch) => {
                self.fences.extend([partition.0.into(), ordered(epoch.0)]);
            }
            Operation::Expect(key, expect) => {
                self.expect_keys.push(raw(key));
                self.expect_versions.push(match expect {
                    Expect::Absent => NONE,
                    Expect::Version(version) => ordered(version.to_u64()),
                });
            }
            Operation::Put(key, value) => {
                self.put_keys.push(raw(key));
                self.put_values.push(Raw(value.clone()));
            }
            Operation::Delete(key) => self.delete_keys.push(raw(key)),
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
            Operation::Enqueue(task) => self.enter(Entry {
                place: (ordered(task.due.as_millis()), commit, index),
                task: Some(Uuid(task.id.0)),
                attempts: i32::try_from(task.attempts).unwrap_or(i32::MAX).into(),
                value: Some(Raw(task.body.clone())),
                ..Entry::new(TASK, index, task.lane.0)
            }),
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
        self.entries.extend([
            entry.kind,
            entry.index,
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
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 13] {
        [
            &self.head,
            &self.locks,
            &self.batch,
            &self.fences,
            &self.expect_keys,
            &self.expect_versions,
            &self.put_keys,
            &self.put_values,
            &self.delete_keys,
            &self.entries,
            &self.entry_tasks,
            &self.entry_keys,
            &self.entry_values,
        ]
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
