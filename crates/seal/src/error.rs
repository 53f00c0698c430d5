//! Why something could not be sealed or unsealed. No message holds a key or what was sealed.

use std::path::PathBuf;

use aloft_base::ErrorKind;
use aloft_store::ATTEMPTS;

use crate::{KeyId, MAX_BYTES};

/// Why sealing or unsealing failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store's data was sealed under another master key.
    #[error(
        "the data was sealed under master key {sealed}; this is master key {given}: start with the one it was sealed under"
    )]
    WrongMaster {
        /// The one it was sealed under.
        sealed: KeyId,
        /// The one that was given.
        given: KeyId,
    },
    /// The store's data was sealed, and the file of the key is gone.
    #[error(
        "the data was sealed under master key {sealed}, and there is no {}: put the file back, or start with that master key from where you keep it",
        path.display()
    )]
    NoMaster {
        /// The one it was sealed under.
        sealed: KeyId,
        /// Where the key's file would be.
        path: PathBuf,
    },
    /// What was given as master key is none.
    #[error(
        "{source_name} holds no master key: {reason}; a master key is 32 random bytes, raw, in hexadecimal or in base64, such as `openssl rand -hex 32` makes"
    )]
    NotAMaster {
        /// The file or the command.
        source_name: String,
        /// What is wrong.
        reason: String,
    },
    /// The master key could not be fetched or kept.
    #[error("cannot {what}: {reason}")]
    Fetch {
        /// What was tried, with its name.
        what: String,
        /// Why it failed.
        reason: String,
    },
    /// What was sealed was changed, or belongs elsewhere, or its key is gone.
    #[error("{what} cannot be unsealed: it was changed or put in another's place since it was sealed")]
    Unreadable {
        /// What it is.
        what: String,
    },
    /// Too large to be sealed.
    #[error("{bytes} bytes cannot be sealed at once, at most {MAX_BYTES} are allowed")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Others kept changing the same keys.
    #[error("others changed the store's keys {ATTEMPTS} times meanwhile: try again")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// The kind of failure, for the edges.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongMaster { .. }
            | Self::NoMaster { .. }
            | Self::NotAMaster { .. }
            | Self::Fetch { .. } => ErrorKind::Invalid,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Contended => ErrorKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}
