//! Why something was not done to a secret. Where the words are AWS's, people look for them.

use aloft_base::ErrorKind;

/// Why something was not done to a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such secret.
    #[error("Secrets Manager can't find the specified secret.")]
    Missing(String),
    /// There is no such version, or nothing has the label.
    #[error("Secrets Manager can't find the specified secret value for {0}")]
    NoVersion(String),
    /// There is one.
    #[error("The operation failed because the secret {0} already exists.")]
    Exists(String),
    /// The version's id stands for another value.
    #[error(
        "A resource with the ID you requested already exists: version {0} has another value, and a version never changes."
    )]
    Taken(String),
    /// The state of the secret does not allow it.
    #[error("{0}")]
    State(&'static str),
    /// A parameter.
    #[error("{0}")]
    Invalid(String),
    /// It would have more than it may.
    #[error("{0}")]
    TooMany(String),
    /// Others kept changing it.
    #[error("others kept changing the secret \"{0}\": try again")]
    Contended(String),
    /// Its value could not be sealed or unsealed.
    #[error(transparent)]
    Seal(#[from] aloft_seal::Error),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    pub(crate) const DELETED: Self =
        Self::State("You can't perform this operation on the secret because it was marked for deletion.");
    pub(crate) const SCHEDULED: Self = Self::State(
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    );

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) | Self::NoVersion(_) => ErrorKind::Missing,
            Self::Exists(_) | Self::Taken(_) | Self::State(_) | Self::Contended(_) => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::TooMany(_) => ErrorKind::TooLarge,
            Self::Seal(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
