//! Exit codes, the same for every command. The texts of `aloft help` and docs/start.md list them.

use aloft_base::ErrorKind;
use aloft_http::ClientError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: failed, also because every instance is busy, or the node is going down or is broken: what was asked for was
    /// right, and a later try may work.
    Failed,
    /// 2: the arguments or the project's definition are wrong.
    Usage,
    /// 3: the function itself failed: it raised an error, ended, took too long, or its answer cannot be used.
    Function,
    /// 4: the named thing does not exist.
    NotFound,
    /// 5: no node answers.
    Unreachable,
    /// 6: the node refused.
    Refused,
    /// 130: interrupted.
    Interrupted,
}

/// An argument that cannot be used.
pub(crate) fn unusable(message: impl Into<String>) -> anyhow::Error {
    Refused {
        kind: ErrorKind::Invalid,
        message: message.into(),
    }
    .into()
}

/// No node answers where one was looked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// What a node answered instead of doing what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl ExitCode {
    /// The number that the process ends with.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Function => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Refused => 6,
            Self::Interrupted => 130,
        }
    }

    /// The code of an error that ended a command.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<ClientError>() || error.is::<Unreachable>() {
            return Self::Unreachable;
        }
        let kind = error
            .downcast_ref::<Refused>()
            .map(|refused| refused.kind)
            .or_else(|| {
                error
                    .downcast_ref::<aloft_node::Error>()
                    .map(aloft_node::Error::kind)
            });
        match kind {
            None => Self::Failed,
            Some(ErrorKind::Missing) => Self::NotFound,
            Some(ErrorKind::Invalid) => Self::Usage,
            Some(ErrorKind::Function) => Self::Function,
            Some(ErrorKind::Denied | ErrorKind::Conflict | ErrorKind::TooLarge) => Self::Refused,
            Some(
                ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Internal,
            ) => Self::Failed,
        }
    }
}
