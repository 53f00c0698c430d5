//! A batch as the parameters of one function call.

use aloft_base::Timestamp;
use aloft_store::work::Place;
use aloft_store::{Batch, Expect, Key, Operation, Outcome, Partition};
use bytes::Bytes;
use tokio_postgres::types::ToSql;

use crate::connection::Parameter;
use crate::lock::{self, Class};
use crate::number::{Uuid, id, ordered, place};

const MARK: i16 = 0;
const RECORD: i16 = 1;
const TASK: i16 = 2;
const SETTLE: i16 = 3;

/// The parameters, in the order of the function's.
#[derive(Debug)]
pub(crate) struct Request {
    class: i32,
    locks: Vec<i32>,
    alone: bool,
    checks_only: bool,
    epoch: i64,
    pub(crate) commit: i64,
    batch: Uuid,
    at: i64,
    fence_partitions: Vec<i32>,
    fence_epochs: Vec<i64>,
    expect_keys: Vec<Raw>,
    expect_versions: Vec<Option<i64>>,
    put_keys: Vec<Raw>,
    put_values: Vec<Raw>,
    delete_keys: Vec<Raw>,
    entries: Entries,
}

/// The journal's rows, column by column.
#[derive(Debug, Default)]
struct Entries {
    kinds: Vec<i16>,
    indexes: Vec<i32>,
    scopes: Vec<Option<i64>>,
    shards: Vec<Option<i32>>,
    dues: Vec<Option<i64>>,
    places: Vec<Option<i64>>,
    spots: Vec<Option<i32>>,
    tasks: Vec<Option<Uuid>>,
    attempts: Vec<Option<i32>>,
    keys: Vec<Option<Raw>>,
    values: Vec<Option<Raw>>,
}

/// One row; what a kind does not have is null.
#[derive(Debug, Default)]
struct Entry {
    kind: i16,
    index: i32,
    scope: Option<i64>,
    shard: Option<i32>,
    due: Option<i64>,
    place: Option<i64>,
    spot: Option<i32>,
    task: Option<Uuid>,
    attempts: Option<i32>,
    key: Option<Raw>,
    value: Option<Raw>,
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
            class: sender.class.0,
            alone: locks.is_none(),
            locks: locks.unwrap_or_default(),
            checks_only: false,
            epoch: ordered(sender.epoch),
            commit: ordered(commit),
            batch: Uuid(batch.id().0),
            at: ordered(sender.at.as_millis()),
            fence_partitions: Vec::new(),
            fence_epochs: Vec::new(),
            expect_keys: Vec::new(),
            expect_versions: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            delete_keys: Vec::new(),
            entries: Entries::default(),
        };
        let mut settles = settles.iter();
        for (operation, index) in batch.operations().iter().zip(0..) {
            request.add(operation, index, &mut settles);
        }
        if request.entries.kinds.is_empty() {
            request.entries.push(Entry {
                kind: MARK,
                ..Entry::default()
            });
        }
        request
    }

    /// The same, but nothing is written when the checks hold.
    pub(crate) fn checks_only(mut self) -> Self {
        self.checks_only = true;
        self
    }

    fn add<'a>(&mut self, operation: &Operation, index: i32, settles: &mut impl Iterator<Item = &'a Place>) {
        match operation {
            Operation::Fence(partition, epoch) => {
                self.fence_partitions.push(partition.0.into());
                self.fence_epochs.push(ordered(epoch.0));
            }
            Operation::Expect(key, expect) => {
                self.expect_keys.push(raw(key));
                self.expect_versions.push(match expect {
                    Expect::Absent => None,
                    Expect::Version(version) => Some(ordered(version.to_u64())),
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
            } => self.entries.push(Entry {
                kind: RECORD,
                index,
                scope: Some(id(log.0)),
                shard: Some(shard.0.into()),
                key: Some(Raw(key.clone())),
                value: Some(Raw(value.clone())),
                ..Entry::default()
            }),
            Operation::Enqueue(task) => self.entries.push(Entry {
                kind: TASK,
                index,
                scope: Some(id(task.lane.0)),
                due: Some(ordered(task.due.as_millis())),
                place: Some(self.commit),
                spot: Some(index),
                task: Some(Uuid(task.id.0)),
                attempts: Some(i32::try_from(task.attempts).unwrap_or(i32::MAX)),
                value: Some(Raw(task.body.clone())),
                ..Entry::default()
            }),
            Operation::Settle(token) => {
                // A token that holds no place was refused before a request was made of the batch.
                let (due, commit, spot) = settles.next().copied().map_or((0, 0, 0), place);
                self.entries.push(Entry {
                    kind: SETTLE,
                    index,
                    scope: Some(id(token.lane().0)),
                    due: Some(due),
                    place: Some(commit),
                    spot: Some(spot),
                    ..Entry::default()
                });
            }
        }
    }

    /// As the statement takes them.
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 26] {
        [
            &self.class,
            &self.locks,
            &self.alone,
            &self.checks_only,
            &self.epoch,
            &self.commit,
            &self.batch,
            &self.at,
            &self.fence_partitions,
            &self.fence_epochs,
            &self.expect_keys,
            &self.expect_versions,
            &self.put_keys,
            &self.put_values,
            &self.delete_keys,
            &self.entries.kinds,
            &self.entries.indexes,
            &self.entries.scopes,
            &self.entries.shards,
            &self.entries.dues,
            &self.entries.places,
            &self.entries.spots,
            &self.entries.tasks,
            &self.entries.attempts,
            &self.entries.keys,
            &self.entries.values,
        ]
    }
}

impl Entries {
    fn push(&mut self, entry: Entry) {
        self.kinds.push(entry.kind);
        self.indexes.push(entry.index);
        self.scopes.push(entry.scope);
        self.shards.push(entry.shard);
        self.dues.push(entry.due);
        self.places.push(entry.place);
        self.spots.push(entry.spot);
        self.tasks.push(entry.task);
        self.attempts.push(entry.attempts);
        self.keys.push(entry.key);
        self.values.push(entry.value);
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
