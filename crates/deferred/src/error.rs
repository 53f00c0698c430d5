//! What can go wrong when a call is accepted.

use aloft_base::ErrorKind;

/// Why a call is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its payload is larger than one that waits may be.
    #[error("the payload has {0} bytes, and one that waits has at most {max}", max = crate::MAX_PAYLOAD)]
    TooLarge(usize),
    /// It would be a loop.
    #[error(
        "the call lies {0} calls and events deep in one chain, at most 16 are let through: the functions call each other in a loop"
    )]
    Loop(u8),
    /// Others kept changing the queue.
    #[error("others kept changing the queue: try again")]
    Contended,
    /// The delivery's own error.
    #[error(transparent)]
    Delivery(#[from] aloft_delivery::Error),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge(_) => ErrorKind::TooLarge,
            Self::Loop(_) => ErrorKind::Invalid,
            Self::Contended => ErrorKind::Conflict,
            Self::Delivery(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
