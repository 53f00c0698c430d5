//! What can go wrong with tables. The texts that answer a user's mistake are DynamoDB's own, because SDKs, tests and people
//! compare them; `aws` adds the code.

use aloft_base::{ErrorKind, TableName};
use aloft_item::Item;

use crate::Schema;

/// Why a table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// A value breaks a rule.
    #[error(transparent)]
    Item(#[from] aloft_item::Error),
    /// There is no such table.
    #[error("Requested resource not found")]
    Missing(TableName),
    /// There is one of this name already.
    #[error("Table already exists: {0}")]
    Exists(TableName),
    /// There is one of this name already, with other keys than are asked for.
    #[error(
        "table \"{table}\" exists with the keys {existing}, and {wanted} is declared: keys cannot change; declare the keys it has, or delete the table first"
    )]
    OtherKeys {
        /// The table.
        table: TableName,
        /// The keys that it has.
        existing: Box<Schema>,
        /// The keys that are asked for.
        wanted: Box<Schema>,
    },
    /// The condition does not hold.
    #[error("The conditional request failed")]
    ConditionFailed {
        /// The row as it is.
        item: Option<Box<Item>>,
    },
    /// Others changed the row again and again while this write was being decided.
    #[error("the row was changed by others {0} times in a row while this write was decided; try again")]
    Contended(u32),
    /// Two partition keys have one hash. With 128 keyed bits that does not happen by chance or by intent.
    #[error("two partition keys of table \"{0}\" have the same hash")]
    Collision(TableName),
    /// Something stored is not what it should be.
    #[error("table \"{table}\" holds something wrong: {reason}")]
    Corrupt {
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Item(error) => error.kind(),
            Self::Missing(_) => ErrorKind::Missing,
            Self::Exists(_) | Self::OtherKeys { .. } | Self::ConditionFailed { .. } => ErrorKind::Conflict,
            Self::Contended(_) => ErrorKind::Throttled,
            Self::Collision(_) | Self::Corrupt { .. } => ErrorKind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    pub(crate) fn corrupt(table: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt {
            table: table.to_string(),
            reason: reason.to_string(),
        }
    }
}
