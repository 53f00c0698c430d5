//! What can go wrong, in words for whoever asked.

use aloft_base::ErrorKind;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such log group.
    #[error("The specified log group does not exist: {0}")]
    NoGroup(String),
    /// There is no such stream in the group.
    #[error("The specified log stream does not exist: {0}")]
    NoStream(String),
    /// There is a log group of this name.
    #[error("The specified log group already exists: {0}")]
    GroupExists(String),
    /// There is a stream of this name.
    #[error("The specified log stream already exists: {0}")]
    StreamExists(String),
    /// A name, a number or a pattern that breaks the rules.
    #[error("{0}")]
    Invalid(String),
    /// It would be more than there may be.
    #[error("{0}")]
    TooMany(String),
    /// Others kept changing the group.
    #[error("others kept changing the log group \"{0}\": try again")]
    Contended(String),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoGroup(_) | Self::NoStream(_) => ErrorKind::Missing,
            Self::GroupExists(_) | Self::StreamExists(_) | Self::Contended(_) => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::TooMany(_) => ErrorKind::TooLarge,
            Self::Store(error) => error.kind(),
        }
    }
}
