//! What can go wrong with rules. What a target answers is never one of these: it is a failure of its delivery.

use aloft_base::ErrorKind;

/// Why something about rules could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store did not do it.
    #[error("the rules could not be read or written: {0}")]
    Store(#[from] aloft_store::Error),
    /// A backlog or a dead letter could not be read or written.
    #[error(transparent)]
    Delivery(#[from] aloft_delivery::Error),
    /// A cursor cannot be read.
    #[error("the cursor of rule \"{rule}\" cannot be read: {source}")]
    Cursor {
        /// The rule.
        rule: String,
        /// Where the bytes are wrong.
        source: aloft_codec::Error,
    },
    /// A cursor is gone.
    #[error("the rule \"{0}\" has no cursor: it was removed meanwhile; apply the rules again")]
    NoCursor(String),
    /// Two rules have one name.
    #[error("there are two rules \"{0}\": give each a name of its own")]
    Duplicate(String),
    /// Others changed the same thing again and again.
    #[error("the rule \"{0}\" was changed by others again and again; try again")]
    Contended(String),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Delivery(error) => error.kind(),
            Self::Cursor { .. } => ErrorKind::Internal,
            Self::NoCursor(_) => ErrorKind::Missing,
            Self::Duplicate(_) => ErrorKind::Invalid,
            Self::Contended(_) => ErrorKind::Conflict,
        }
    }
}
