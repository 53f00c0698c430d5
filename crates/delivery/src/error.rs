//! What can go wrong with deliveries themselves, as opposed to what a target answers (that is a
//! [`Failure`](crate::Failure)).

use aloft_base::ErrorKind;

/// Why something about deliveries could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store did not do it.
    #[error("the deliveries could not be read or written: {0}")]
    Store(#[from] aloft_store::Error),
    /// Something stored cannot be read.
    #[error("{what} cannot be read: {source}")]
    Unreadable {
        /// What, with its name.
        what: String,
        /// Where the bytes are wrong.
        source: aloft_codec::Error,
    },
    /// There is no such dead letter.
    #[error(
        "there is no dead letter \"{0}\": it was dropped or retried, or never was; `aloft deliveries ls` lists them"
    )]
    NoLetter(String),
    /// A dead letter without an event cannot be delivered.
    #[error("the dead letter \"{0}\" cannot be retried: it counts events whose records are gone; drop it")]
    NothingToRetry(String),
    /// The rule of a dead letter is gone.
    #[error(
        "the dead letter \"{letter}\" cannot be retried: its rule \"{rule}\" is gone; add the rule again, or drop it"
    )]
    NoRule {
        /// The dead letter.
        letter: String,
        /// The rule's name.
        rule: String,
    },
    /// The backlog of the dead letter's key is full.
    #[error(
        "the dead letter \"{0}\" cannot be retried now: too much waits for the same key; try again later"
    )]
    BacklogFull(String),
    /// Others changed the same thing again and again.
    #[error("{0} was changed by others again and again; try again")]
    Contended(&'static str),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::NoLetter(_) | Self::NoRule { .. } => ErrorKind::Missing,
            Self::NothingToRetry(_) => ErrorKind::Invalid,
            Self::BacklogFull(_) => ErrorKind::Throttled,
            Self::Contended(_) => ErrorKind::Conflict,
        }
    }

    /// For `map_err`: stored bytes that cannot be read.
    pub(crate) fn unreadable(what: impl Into<String>) -> impl FnOnce(aloft_codec::Error) -> Self {
        let what = what.into();
        move |source| Self::Unreadable { what, source }
    }
}
