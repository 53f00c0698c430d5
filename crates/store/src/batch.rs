//! The one way to write. A batch is plain data: built anywhere, checked once, applied whole or not at all.

use std::collections::HashSet;
use std::time::Duration;

use aloft_base::Timestamp;
use bytes::Bytes;

use crate::{
    BatchId, Epoch, Error, Key, Lane, LogId, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, MAX_VALUE_BYTES,
    MAX_VISIBLE, Partition, Position, Shard, TaskId, Token, Version,
};

/// What a batch counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist. The batch must then put it: an engine has nothing else to lock.
    Absent,
    /// The key has this version.
    Version(Version),
}

impl Expect {
    /// What to expect of a key that was read as this.
    pub fn of(entry: Option<&crate::Entry>) -> Self {
        entry.map_or(Self::Absent, |entry| Self::Version(entry.version))
    }
}

/// A task to be enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    /// What the task is known by; kept when it is enqueued again for a retry.
    pub id: TaskId,
    /// The queue.
    pub lane: Lane,
    /// When it becomes visible.
    pub due: Timestamp,
    /// How often it was tried before: 0, or one more than the task that this one replaces.
    pub attempts: u32,
    /// What is to be done; at most 1 MiB + 64 KiB.
    pub body: Bytes,
    /// Claimed by the enqueuer from the start, for so long: the commit answers with the token.
    pub claimed: Option<Duration>,
}

/// One step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Only while the partition has this epoch.
    Fence(Partition, Epoch),
    /// Only if the key is as expected.
    Expect(Key, Expect),
    /// Sets a key's value.
    Put(Key, Bytes),
    /// Removes a key; not an error if it does not exist.
    Delete(Key),
    /// Appends a record.
    Append {
        /// The log.
        log: LogId,
        /// Its shard.
        shard: Shard,
        /// The ordering key, at most 2,400 bytes.
        key: Bytes,
        /// What is appended.
        value: Bytes,
    },
    /// Enqueues a task.
    Enqueue(Enqueue),
    /// Ends the task that the token stands for. A retry settles and enqueues in one batch.
    Settle(Token),
}

/// A set of changes that happen together or not at all. At most 16 MiB and 10,000 operations.
///
/// ```
/// use aloft_store::{Batch, BatchId, Expect, Key, LogId, Shard};
/// let key = Key::new("orders/1")?;
/// let batch = Batch::new(BatchId(1))
///     .expect(key.clone(), Expect::Absent)
///     .put(key, "new")
///     .append(LogId(7), Shard(0), "orders/1", "inserted");
/// batch.check()?;
/// # Ok::<(), aloft_store::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    id: BatchId,
    operations: Vec<Operation>,
}

impl Batch {
    /// A batch that changes nothing yet.
    pub fn new(id: BatchId) -> Self {
        Self {
            id,
            operations: Vec::new(),
        }
    }

    /// Commits only while `partition` has this epoch.
    pub fn fence(self, partition: Partition, epoch: Epoch) -> Self {
        self.with(Operation::Fence(partition, epoch))
    }

    /// Commits only if `key` is as expected.
    pub fn expect(self, key: Key, expect: Expect) -> Self {
        self.with(Operation::Expect(key, expect))
    }

    /// Sets the value of `key`.
    pub fn put(self, key: Key, value: impl Into<Bytes>) -> Self {
        self.with(Operation::Put(key, value.into()))
    }

    /// Removes `key`.
    pub fn delete(self, key: Key) -> Self {
        self.with(Operation::Delete(key))
    }

    /// Appends a record to a log.
    pub fn append(self, log: LogId, shard: Shard, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.with(Operation::Append {
            log,
            shard,
            key,
            value,
        })
    }

    /// Enqueues a task.
    pub fn enqueue(self, task: Enqueue) -> Self {
        self.with(Operation::Enqueue(task))
    }

    /// Ends a task.
    pub fn settle(self, token: Token) -> Self {
        self.with(Operation::Settle(token))
    }

    /// Adds any operation.
    pub fn with(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// The batch's id.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// What it does, in the order of building.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The bytes of its keys, values and bodies, which the bound of 16 MiB counts.
    pub fn bytes(&self) -> usize {
        self.operations.iter().map(Operation::bytes).sum()
    }

    /// Whether it keeps the contract's bounds. Every engine asks before anything else; nothing is changed when not.
    pub fn check(&self) -> Result<(), Error> {
        if self.operations.len() > MAX_OPERATIONS {
            return Err(Error::TooManyOperations {
                operations: self.operations.len(),
            });
        }
        let bytes = self.bytes();
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::BatchTooLarge { bytes });
        }
        let (mut written, mut put, mut expected, mut settled) =
            (HashSet::new(), HashSet::new(), HashSet::new(), HashSet::new());
        for operation in &self.operations {
            operation.check()?;
            let again = match operation {
                Operation::Put(key, _) => {
                    put.insert(key);
                    !written.insert(key)
                }
                Operation::Delete(key) => !written.insert(key),
                Operation::Expect(key, _) => !expected.insert(key),
                Operation::Settle(token) => !settled.insert(token),
                Operation::Fence(..) | Operation::Append { .. } | Operation::Enqueue(_) => false,
            };
            if again {
                return Err(Error::InvalidBatch(format!("{operation} stands in it twice")));
            }
        }
        let unput = self.operations.iter().find(|operation| match operation {
            Operation::Expect(key, Expect::Absent) => !put.contains(key),
            _ => false,
        });
        match unput {
            None => Ok(()),
            Some(operation) => Err(Error::InvalidBatch(format!(
                "{operation} to be absent, but it does not put the key"
            ))),
        }
    }
}

impl Operation {
    fn bytes(&self) -> usize {
        match self {
            Self::Fence(..) | Self::Settle(_) => 0,
            Self::Expect(key, _) | Self::Delete(key) => key.as_ref().len(),
            Self::Put(key, value) => key.as_ref().len() + value.len(),
            Self::Append { key, value, .. } => key.len() + value.len(),
            Self::Enqueue(task) => task.body.len(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let value = match self {
            Self::Put(_, value) | Self::Append { value, .. } => value,
            Self::Enqueue(task) => &task.body,
            Self::Fence(..) | Self::Expect(..) | Self::Delete(_) | Self::Settle(_) => return Ok(()),
        };
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge {
                what: self.to_string(),
                bytes: value.len(),
            });
        }
        match self {
            Self::Append { key, .. } if key.len() > MAX_KEY_BYTES => Err(Error::KeySize { bytes: key.len() }),
            Self::Enqueue(Enqueue {
                claimed: Some(time), ..
            }) if *time > MAX_VISIBLE => Err(Error::VisibleTooLong(*time)),
            _ => Ok(()),
        }
    }
}

/// Names the operation in errors: `put of "orders/1"`.
impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fence(partition, epoch) => write!(f, "fence of partition {partition} at epoch {epoch}"),
            Self::Expect(key, _) => write!(f, "expect of \"{}\"", key.as_ref().escape_ascii()),
            Self::Put(key, _) => write!(f, "put of \"{}\"", key.as_ref().escape_ascii()),
            Self::Delete(key) => write!(f, "delete of \"{}\"", key.as_ref().escape_ascii()),
            Self::Append { log, shard, .. } => write!(f, "append to log {log} shard {shard}"),
            Self::Enqueue(task) => write!(f, "enqueue of task {:032x} in lane {}", task.id.0, task.lane),
            Self::Settle(token) => write!(f, "settle of a task in lane {}", token.lane()),
        }
    }
}

/// What became of a batch. Whatever it is, it is final: a refused batch changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a batch may have been refused"]
pub enum Outcome {
    /// All of it happened and is durable.
    Committed(Committed),
    /// This key was not as expected.
    Conflict(Key),
    /// This partition has another epoch: the caller is not its owner any more.
    Fenced(Partition),
    /// This token does not hold any more.
    Lost(Token),
}

/// What a commit gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The commit's place: its own records lie at or before it, those of later commits after it. A cursor that starts here
    /// sees what happens from now on.
    pub position: Position,
    /// The version of every key that the batch put.
    pub version: Version,
    /// The tokens of the tasks enqueued as claimed, in their order.
    pub tokens: Vec<Token>,
}

impl Outcome {
    /// The commit, if it is one.
    pub fn committed(self) -> Option<Committed> {
        match self {
            Self::Committed(committed) => Some(committed),
            Self::Conflict(_) | Self::Fenced(_) | Self::Lost(_) => None,
        }
    }

    /// Whether it is a commit.
    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_))
    }
}
