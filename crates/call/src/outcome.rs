//! What became of a call. Every call ends in exactly one outcome, and every outcome is metered.

use std::time::Duration;

use aloft_base::{ErrorKind, FunctionName, InvocationId, Logging, Timestamp};
use aloft_http::Body;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Qualifier;

/// What became of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The invocation.
    pub id: InvocationId,
    /// The function's answer, or why there is none.
    pub result: Result<Answer, Fault>,
    /// What it took.
    pub usage: Usage,
    /// The last of what the function printed, at most [`TAIL`](Self::TAIL) bytes, if the caller wanted it.
    pub tail: Option<Bytes>,
}

impl Outcome {
    /// Lambda's bound of what a caller is shown of the log.
    pub const TAIL: usize = 4 << 10;
}

/// What a function answered.
#[derive(Debug)]
pub enum Answer {
    /// An HTTP answer, to an HTTP call.
    Http(http::Response<Body>),
    /// Bytes (JSON, by every contract's convention), to an event or a direct call.
    Bytes(Bytes),
    /// It went to the call's [`stream`](crate::Call::stream), whole.
    Streamed,
}

/// Why a function gave no answer. The messages are for the developer of the function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such function.
    #[error("there is no function \"{name}\"")]
    NoFunction {
        /// The name that was asked for.
        name: String,
    },
    /// The code raised an error and said so.
    #[error("{0}")]
    Raised(FunctionError),
    /// The code could not be loaded.
    #[error("the function could not be loaded: {0}")]
    Init(FunctionError),
    /// The process ended before it answered.
    #[error("the function's process ended before it answered: {how}")]
    Exited {
        /// Exit status or signal, in words.
        how: String,
    },
    /// The process used more memory than the function may.
    #[error(
        "the function used more than its {limit_mb} MB of memory and was ended; raise `memory` in its definition if it needs more"
    )]
    OutOfMemory {
        /// The limit in mebibytes.
        limit_mb: u64,
    },
    /// The answer is not what the contract asks for.
    #[error("the function's answer is not valid: {why}")]
    Garbage {
        /// What is wrong with it.
        why: String,
    },
    /// The answer is larger than the contract allows.
    #[error("the function's answer of {size} bytes is larger than the limit of {limit} bytes")]
    AnswerTooLarge {
        /// The answer's size in bytes, as far as it was read.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// The code ran longer than the function may, or than its caller waits.
    #[error("the function did not answer within {after:?}")]
    TimedOut {
        /// How long it was given.
        after: Duration,
    },
    /// Every instance is busy and the queue is full, or the call waited as long as it may.
    #[error("{why}")]
    Busy {
        /// Which bound was hit.
        bound: Bound,
        /// The same in words.
        why: String,
        /// When it makes sense to ask again.
        retry_after: Duration,
    },
    /// The call's own payload cannot be handed to the function.
    #[error("the payload cannot be handed to the function: {why}")]
    Payload {
        /// What is wrong with it.
        why: String,
        /// Whether it is too large rather than malformed.
        too_large: bool,
    },
    /// This machine cannot run it: it lacks the runtime or the walls.
    #[error("this machine cannot run the function: {why}")]
    Unrunnable {
        /// What is missing, and what to do.
        why: String,
    },
    /// The platform is going down.
    #[error("the platform is shutting down")]
    Draining,
    /// The platform could not run the function: a defect or a broken machine.
    #[error("the function could not be run: {why}")]
    Platform {
        /// What failed; for the log and, in `dev`, the developer.
        why: String,
    },
}

/// What bounds the calls that run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// What the function may have: its `concurrency`, and its queue.
    Function,
    /// What is reserved for the function, and is all that it gets.
    Reserved,
    /// The same, where that is nothing: no call of it is to run.
    Nothing,
    /// What all functions together may have that have nothing reserved.
    Account,
    /// The node's memory.
    Memory,
}

impl Fault {
    /// That there is no such function or no such version of it.
    pub fn no_function(function: &FunctionName, qualifier: &Qualifier) -> Self {
        let name = match qualifier {
            Qualifier::Latest => function.to_string(),
            qualifier => format!("{function}:{qualifier}"),
        };
        Self::NoFunction { name }
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoFunction { .. } => ErrorKind::Missing,
            Self::Raised(_) | Self::Init(_) | Self::Exited { .. } | Self::OutOfMemory { .. } => {
                ErrorKind::Function
            }
            Self::Garbage { .. } | Self::AnswerTooLarge { .. } => ErrorKind::Function,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Busy { .. } => ErrorKind::Throttled,
            Self::Payload { too_large: true, .. } => ErrorKind::TooLarge,
            Self::Payload { .. } => ErrorKind::Invalid,
            Self::Draining | Self::Unrunnable { .. } => ErrorKind::Unavailable,
            Self::Platform { .. } => ErrorKind::Internal,
        }
    }

    /// The word for a function that is not there.
    pub const NO_FUNCTION: &str = "no_function";

    /// The word that records and metrics show.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoFunction { .. } => Self::NO_FUNCTION,
            Self::Raised(_) => "raised",
            Self::Init(_) => "init_failed",
            Self::Exited { .. } => "exited",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Garbage { .. } => "garbage",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::TimedOut { .. } => "timed_out",
            Self::Busy { .. } => "busy",
            Self::Payload { .. } => "bad_payload",
            Self::Unrunnable { .. } => "unrunnable",
            Self::Draining => "draining",
            Self::Platform { .. } => "platform",
        }
    }

    /// The error as Lambda's clients read it: `{"errorType","errorMessage","stackTrace"}`.
    pub fn error(&self) -> FunctionError {
        match self {
            Self::Raised(error) | Self::Init(error) => error.clone(),
            other => FunctionError {
                kind: other.word().to_owned(),
                message: other.to_string(),
                ..FunctionError::default()
            },
        }
    }
}

/// An error as the function's code reported it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionError {
    /// The error's type, such as `ValueError`.
    #[serde(rename = "errorType", default)]
    pub kind: String,
    /// The error's message.
    #[serde(rename = "errorMessage", default)]
    pub message: String,
    /// Lines with file, line and code, outermost first.
    #[serde(
        rename = "stackTrace",
        alias = "trace",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub trace: Vec<String>,
    /// The report itself, JSON, as far as it was kept: runtimes add members of their own.
    #[serde(skip)]
    pub body: Option<Bytes>,
    /// Of code that could not be loaded, the last of what was printed meanwhile, at most [`TAIL`](Outcome::TAIL) bytes.
    #[serde(skip)]
    pub printed: Option<Box<Bytes>>,
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        for line in &self.trace {
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What a call took: the numbers of its metering record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The function's version that ran, if any did.
    pub version: Option<std::sync::Arc<str>>,
    /// That version's number; 0 for `$LATEST`.
    pub number: u64,
    /// The most memory that its instance may use, in bytes.
    pub memory_limit: u64,
    /// Whether an instance was started for it.
    pub cold: Option<ColdStart>,
    /// How long it waited for an instance.
    pub queued: Duration,
    /// How long the code ran.
    pub run: Duration,
    /// The instance's peak of memory so far, in bytes.
    pub memory_peak: u64,
    /// Bytes in and out.
    pub bytes: (u64, u64),
    /// How the function's log is written.
    pub logging: Logging,
    /// When it ended.
    pub ended: Timestamp,
}

impl Usage {
    /// What is billed: the run and, on a cold start, the load, in whole milliseconds, rounded up.
    pub fn billed_ms(&self) -> u64 {
        let billed = self.run + self.cold.map_or(Duration::ZERO, |cold| cold.init);
        u64::try_from(billed.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// What a cold start took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// From the beginning until the code was loaded.
    pub init: Duration,
    /// The part of it until its process was started, behind its walls.
    pub sandbox: Duration,
}
