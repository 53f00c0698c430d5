//! The nouns of the contract. Ids are newtypes, positions and versions are opaque: an engine may number as it likes as long
//! as they sort as promised.

use std::fmt;
use std::ops::Bound;

use aloft_base::{Chance, Timestamp};
use aloft_codec::{KeyReader, KeyWriter, prefix_end};
use bytes::Bytes;

use crate::{Error, MAX_KEY_BYTES};

/// A key of 1 to 2,400 bytes. Keys sort by their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    /// Checks the length.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if (1..=MAX_KEY_BYTES).contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        Err(Error::KeySize { bytes: bytes.len() })
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bytes> for Key {
    type Error = Error;
    fn try_from(bytes: Bytes) -> Result<Self, Error> {
        Self::new(bytes)
    }
}

/// A range of keys, to be scanned either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub from: Bound<Bytes>,
    /// Where it ends.
    pub to: Bound<Bytes>,
}

impl KeyRange {
    /// All keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            from: Bound::Included(Bytes::copy_from_slice(prefix)),
            to: prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded),
        }
    }

    /// The part after `key`: the next page of a forward scan.
    pub fn after(self, key: &Key) -> Self {
        Self {
            from: Bound::Excluded(key.0.clone()),
            to: self.to,
        }
    }

    /// The part before `key`: the next page of a backward scan.
    pub fn before(self, key: &Key) -> Self {
        Self {
            from: self.from,
            to: Bound::Excluded(key.0.clone()),
        }
    }

    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, Bound::Excluded(to)) => to.is_empty(),
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to)) => {
                from >= to
            }
        }
    }
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Backward,
}

/// What a key's value is known by: it changes with each write of the key and grows also across delete and re-creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// From a number that [`to_u64`](Self::to_u64) gave, or an engine made.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number, to be stored.
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

/// A key, its value, and the value's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, as it was put.
    pub value: Bytes,
    /// The version of the commit that put it.
    pub version: Version,
}

/// Part of a range, in the scan's direction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether the scan ended at a limit rather than at the range's end: then there may be more.
    pub more: bool,
}

/// Defines a numeric id.
macro_rules! number {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub $inner);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A log. Its number comes from [`layout`](crate::layout), like a table's.
    LogId(u64)
);
number!(
    /// A part of a log with an order of its own.
    Shard(u16)
);
number!(
    /// A queue of tasks. Its number comes from [`layout`](crate::layout).
    Lane(u64)
);
number!(
    /// A part of the work that one node owns at a time.
    Partition(u16)
);
number!(
    /// How often a partition has changed hands. A batch fenced by an old epoch changes nothing.
    Epoch(u64)
);
number!(
    /// What a task is known by across its attempts. Whoever enqueues it draws it.
    TaskId(u128)
);
number!(
    /// What a batch is known by. Drawn anew for each batch; the same id again means the same batch again.
    BatchId(u128)
);

impl TaskId {
    /// Draws a new id.
    pub fn draw(chance: &dyn Chance) -> Self {
        Self(chance.next_u128())
    }
}

impl BatchId {
    /// Draws a new id.
    pub fn draw(chance: &dyn Chance) -> Self {
        Self(chance.next_u128())
    }
}

impl Lane {
    /// The partition whose owner works this lane.
    pub fn partition(self) -> Partition {
        Partition((self.0 % u64::from(crate::PARTITIONS)) as u16)
    }
}

/// A place in the order of a log's shard. Positions of one shard sort as its records do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    major: u64,
    minor: u64,
}

impl Position {
    /// Before the first record.
    pub const START: Self = Self::new(0, 0);
    /// After the last record that ever can be.
    pub const END: Self = Self::new(u64::MAX, u64::MAX);

    /// For engines: the place of `minor` in the commit `major`.
    pub const fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }

    /// For engines: the two numbers.
    pub const fn parts(self) -> (u64, u64) {
        (self.major, self.minor)
    }

    /// As 16 bytes that sort as positions do, to be stored in a cursor.
    pub fn to_bytes(self) -> Bytes {
        KeyWriter::new().u64(self.major).u64(self.minor).finish()
    }

    /// From the bytes that [`to_bytes`](Self::to_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut parts = KeyReader::new(bytes);
        let read = (|| {
            let position = Self::new(parts.u64()?, parts.u64()?);
            parts.end().map(|()| position)
        })();
        read.map_err(|error: aloft_codec::Error| Error::corrupt("a log position", error))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the shard.
    pub position: Position,
    /// The ordering key: records of equal keys lie in the order of their commits.
    pub key: Bytes,
    /// What was appended.
    pub value: Bytes,
    /// The batch that appended it.
    pub batch: BatchId,
    /// When it was committed, by the clock of the store's owner.
    pub at: Timestamp,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it is known by across attempts.
    pub id: TaskId,
    /// The queue it stands in.
    pub lane: Lane,
    /// When it became or becomes visible.
    pub due: Timestamp,
    /// How often it was tried before: what its enqueuer said, plus the claims that lapsed and the unclean restarts since.
    pub attempts: u32,
    /// What is to be done.
    pub body: Bytes,
}

/// The right to settle a task, until it lapses. Opaque; fits in a receipt handle as 24 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    lane: Lane,
    owner: u64,
    serial: u64,
}

impl Token {
    /// For engines: the token of claim `serial` of the lane's owner, whose every start or takeover has another number.
    pub fn new(lane: Lane, owner: u64, serial: u64) -> Self {
        Self { lane, owner, serial }
    }

    /// For engines: owner and serial.
    pub fn parts(&self) -> (u64, u64) {
        (self.owner, self.serial)
    }

    /// The lane of the task.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// As 24 bytes.
    pub fn to_bytes(&self) -> Bytes {
        KeyWriter::new()
            .u64(self.lane.0)
            .u64(self.owner)
            .u64(self.serial)
            .finish()
    }

    /// From the bytes that [`to_bytes`](Self::to_bytes) gave; `None` when they are not a token's.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut parts = KeyReader::new(bytes);
        let token = Self::new(Lane(parts.u64().ok()?), parts.u64().ok()?, parts.u64().ok()?);
        parts.end().ok().map(|()| token)
    }
}

/// A task and the right to settle it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The right.
    pub token: Token,
    /// The task.
    pub task: Task,
}

/// Whether a token still held when it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a lost token means that somebody else may be at work on the task"]
pub enum Lease {
    /// It held; what was asked is done.
    Held,
    /// It lapsed, was settled or released, or its owner changed; nothing is changed.
    Lost,
}
