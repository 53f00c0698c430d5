//! What may fail when a sandbox is started, told to a person: what failed, why as far as it can be known, and the fix.

use std::io;
use std::time::Duration;

use aloft_base::ErrorKind;

/// A sandbox or the spawner could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spawner process could not be started.
    #[error("the sandbox spawner cannot be started: {what}: {source}")]
    Start {
        /// Which step.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The spawner process has ended; nothing can be started any more.
    #[error("the sandbox spawner has ended, so \"{name}\" cannot be started; restart the platform")]
    Gone {
        /// Which sandbox was asked for.
        name: String,
    },
    /// The specification makes no sense.
    #[error("sandbox \"{name}\": {reason}")]
    Invalid {
        /// Which sandbox.
        name: String,
        /// What is wrong, with the value.
        reason: String,
    },
    /// The specification is longer than a message may be.
    #[error("sandbox \"{name}\": arguments, environment and mounts together exceed {limit} bytes")]
    TooLarge {
        /// Which sandbox.
        name: String,
        /// The bound.
        limit: usize,
    },
    /// The host does not allow one of the walls.
    #[error("sandbox \"{name}\": {wall}: {cause}. {fix}")]
    Wall {
        /// Which sandbox.
        name: String,
        /// What was being done.
        wall: String,
        /// The reason.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// The program could not be run.
    #[error("sandbox \"{name}\": cannot run {program}: {reason}")]
    Program {
        /// Which sandbox.
        name: String,
        /// The program as given.
        program: String,
        /// Why.
        reason: String,
    },
    /// A file or folder that the sandbox needs is not there or cannot be reached.
    #[error("sandbox \"{name}\": {what}: {source}")]
    File {
        /// Which sandbox.
        name: String,
        /// What was being done, with the path.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The sandbox did not start in time.
    #[error("sandbox \"{name}\" did not start within {bound:?}")]
    TimedOut {
        /// Which sandbox.
        name: String,
        /// The bound.
        bound: Duration,
    },
    /// The platform's own side failed (descriptors, memory).
    #[error("sandbox \"{name}\": {what}: {source}")]
    Io {
        /// Which sandbox.
        name: String,
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Program { .. } | Self::File { .. } => ErrorKind::Missing,
            Self::Wall { .. } => ErrorKind::Denied,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Gone { .. } => ErrorKind::Unavailable,
            Self::Start { .. } | Self::Io { .. } => ErrorKind::Internal,
        }
    }
}
