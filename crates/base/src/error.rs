//! The kinds of failure. A small closed set on purpose: every edge maps it exhaustively, so a new kind is a decision that
//! each edge has to take, and a library never needs to know a status code.

use serde::{Deserialize, Serialize};

/// What sort of failure an error is. Each crate's error has a `kind()` that returns one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// What was asked for makes no sense as it stands; asking again will not help.
    Invalid,
    /// The named thing does not exist.
    Missing,
    /// The state of things is not what the request expects, or somebody else was first.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// A rate, a queue or a concurrency limit is reached; later may work.
    Throttled,
    /// Larger than a documented bound.
    TooLarge,
    /// A deadline passed.
    TimedOut,
    /// Not ready, or going away; another node or a later moment may work.
    Unavailable,
    /// The function's own code failed.
    Function,
    /// A defect or a broken machine. The details go to the log under the request id, never to the caller.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed later without anybody changing it.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Throttled | Self::TimedOut | Self::Unavailable | Self::Conflict => true,
            Self::Invalid
            | Self::Missing
            | Self::Denied
            | Self::TooLarge
            | Self::Function
            | Self::Internal => false,
        }
    }
}
