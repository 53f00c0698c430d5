//! What can go wrong with the store. A conflict, a fence and a lost token are not errors: they are outcomes.

use std::time::Duration;

use aloft_base::ErrorKind;

use crate::blobs::{BlobId, MAX_BLOB_BYTES};
use crate::{
    LogId, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, MAX_SNAPSHOT_AGE, MAX_VALUE_BYTES, MAX_VISIBLE,
    Position, Shard,
};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A key of the wrong size.
    #[error("a key has {bytes} bytes, 1 to {MAX_KEY_BYTES} are allowed")]
    KeySize {
        /// How long it is.
        bytes: usize,
    },
    /// A value that is too large for the store; what is larger belongs into a blob.
    #[error("the value of {what} has {bytes} bytes, at most {MAX_VALUE_BYTES} are allowed")]
    ValueTooLarge {
        /// Which value.
        what: String,
        /// How large it is.
        bytes: usize,
    },
    /// A batch with too many bytes.
    #[error("the batch has {bytes} bytes, at most {MAX_BATCH_BYTES} are allowed: commit in several batches")]
    BatchTooLarge {
        /// How large it is, keys and values together.
        bytes: usize,
    },
    /// A batch with too many operations.
    #[error(
        "the batch has {operations} operations, at most {MAX_OPERATIONS} are allowed: commit in several batches"
    )]
    TooManyOperations {
        /// How many it has.
        operations: usize,
    },
    /// A batch that names one thing twice or expects an absent key without putting it.
    #[error("the batch is not valid: {0}")]
    InvalidBatch(String),
    /// A task may not be claimed for so long.
    #[error("a task may be claimed for at most {} s, not {} s", MAX_VISIBLE.as_secs(), .0.as_secs())]
    VisibleTooLong(Duration),
    /// Too many tasks are claimed and not settled.
    #[error("{0} tasks are claimed and not settled: settle or release some")]
    TooManyClaims(usize),
    /// The snapshot lived its time.
    #[error("the snapshot is older than {} s: open a new one and go on from the last key", MAX_SNAPSHOT_AGE.as_secs())]
    SnapshotExpired,
    /// The log was trimmed beyond where the reader stands: what lay between is gone.
    #[error(
        "log {log} shard {shard} was trimmed: its records up to {through:?} are gone; go on from there and account for them"
    )]
    Trimmed {
        /// The log.
        log: LogId,
        /// Its shard.
        shard: Shard,
        /// The last position that is gone.
        through: Position,
    },
    /// Another process has the store open.
    #[error(
        "the data folder {path} is in use by process {holder}: stop it, or choose another folder with --data"
    )]
    InUse {
        /// The folder.
        path: String,
        /// The holder's process id, or what is known of it.
        holder: String,
    },
    /// The store was written by a release whose form this one does not know.
    #[error(
        "the data folder {path} has store level {found}, this release reads levels {oldest} to {newest}: use the release that wrote it, or a newer one"
    )]
    Level {
        /// The folder.
        path: String,
        /// The level found.
        found: u64,
        /// The oldest level read.
        oldest: u64,
        /// The newest level read.
        newest: u64,
    },
    /// Another process owns the database.
    #[error(
        "{database} is in use by {holder}, whose lease runs for another {} ms and was renewed while this start waited: stop it, or name another database or schema",
        left.as_millis()
    )]
    Owned {
        /// The database and schema, without credentials.
        database: String,
        /// Who holds it: host, process, node.
        holder: String,
        /// How long its lease still runs.
        left: Duration,
    },
    /// Another process took the database over while this one was away. Nothing was changed by whoever gets this.
    #[error(
        "{database} was taken over by {holder}: this process owns it no more, changes nothing there, and must be started again"
    )]
    Superseded {
        /// The database and schema, without credentials.
        database: String,
        /// Who holds it now.
        holder: String,
    },
    /// The database does not answer. What was asked of it may or may not happen; a batch that is handed over again under
    /// its id happens once.
    #[error("{what}: {reason}")]
    Unavailable {
        /// What was tried, with the database's name.
        what: String,
        /// What is known of why.
        reason: String,
    },
    /// The database cannot be used as it is: its version, its schema's level, a setting.
    #[error("{database} cannot be used: {reason}")]
    Unsuitable {
        /// The database and schema, without credentials.
        database: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A write failed earlier, so that nothing more is accepted: what is on disk is only known after opening anew.
    #[error(
        "the store accepts no more writes since one failed ({0}): free space or mend the disk, then start again; what was acknowledged is safe"
    )]
    Poisoned(String),
    /// There is no such blob, or it was removed since nothing named it any more.
    #[error("there is no blob {0}")]
    NoBlob(BlobId),
    /// A blob that would be too large.
    #[error("a blob has at most {} GiB: cut it into several", MAX_BLOB_BYTES >> 30)]
    BlobTooLarge,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Reading or writing failed.
    #[error("{what}: {reason}")]
    Io {
        /// What was tried, with its name.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// Something in the store is not what it should be.
    #[error("the store holds something wrong: {what}: {reason}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The kind of failure, for the edges.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::KeySize { .. }
            | Self::InvalidBatch(_)
            | Self::VisibleTooLong(_)
            | Self::Unsuitable { .. } => ErrorKind::Invalid,
            Self::ValueTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::TooManyOperations { .. }
            | Self::BlobTooLarge => ErrorKind::TooLarge,
            Self::TooManyClaims(_) => ErrorKind::Throttled,
            Self::SnapshotExpired => ErrorKind::TimedOut,
            Self::Trimmed { .. } | Self::NoBlob(_) => ErrorKind::Missing,
            Self::InUse { .. }
            | Self::Owned { .. }
            | Self::Superseded { .. }
            | Self::Unavailable { .. }
            | Self::Poisoned(_)
            | Self::Closed => ErrorKind::Unavailable,
            Self::Level { .. } | Self::Io { .. } | Self::Corrupt { .. } => ErrorKind::Internal,
        }
    }

    /// For engines: bytes in the store that cannot be read.
    pub fn corrupt(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Corrupt {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}
