//! Why something was not done to accounts or keys.

use aloft_base::ErrorKind;
use aloft_store::ATTEMPTS;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no account can have.
    #[error(
        "\"{0}\" cannot be a tenant's name: 1 to 40 characters of a-z, 0-9 and - are allowed, a letter first and no - last"
    )]
    Name(String),
    /// There is no such account.
    #[error("there is no tenant \"{0}\"; `aloft tenant ls` lists them")]
    Missing(String),
    /// There is one.
    #[error("there is a tenant \"{0}\" already")]
    Exists(String),
    /// It has things.
    #[error("the tenant \"{name}\" still has {what}: remove them first, with a key of it")]
    InUse {
        /// Its name.
        name: String,
        /// What it has.
        what: String,
    },
    /// There is no such key.
    #[error("there is no access key \"{0}\"; `aloft key ls` lists them")]
    NoKey(String),
    /// It would have more keys than it may.
    #[error("{owner} has {most} access keys, and no more are possible: revoke one first")]
    TooManyKeys {
        /// Whose.
        owner: String,
        /// The bound.
        most: usize,
    },
    /// Others kept changing it.
    #[error(
        "accounts were changed by others {ATTEMPTS} times in a row: is another process working on the same data?"
    )]
    Contended,
    /// A secret could not be sealed, or is not readable any more.
    #[error(transparent)]
    Seal(#[from] aloft_seal::Error),
    /// The store's own.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name(_) => ErrorKind::Invalid,
            Self::Missing(_) | Self::NoKey(_) => ErrorKind::Missing,
            Self::Exists(_) | Self::InUse { .. } | Self::Contended => ErrorKind::Conflict,
            Self::TooManyKeys { .. } => ErrorKind::TooLarge,
            Self::Seal(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
