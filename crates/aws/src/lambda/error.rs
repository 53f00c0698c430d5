//! What Lambda's clients are told when something is not done: codes, statuses and texts are Lambda's.

use aloft_base::{ErrorKind, InvocationId};
use aloft_call::{Bound, Fault};
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

/// Why an operation of Lambda's was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A parameter's value.
    #[error("{0}")]
    Invalid(String),
    /// There are as many of them as there may be; for some Lambda has a code of their own.
    #[error("{text}")]
    TooMany {
        /// The code.
        code: &'static str,
        /// What is too much.
        text: String,
    },
    /// There is no such function, version, alias or resource.
    #[error("{0}")]
    Missing(String),
    /// Nothing is kept loaded for it.
    #[error("No Provisioned Concurrency Config found for this function")]
    NotProvisioned,
    /// It is there already, or in use.
    #[error("{0}")]
    Conflict(String),
    /// Somebody has changed it since it was read.
    #[error(
        "The RevisionId provided is stale. Fetch the latest RevisionId and try again: somebody has changed the function or alias meanwhile."
    )]
    Stale,
    /// The payload of an invocation.
    #[error("{0}")]
    Content(String),
    /// A body that is too large.
    #[error("Request must be smaller than {bytes} bytes for the {operation} operation")]
    TooLarge {
        /// The bound.
        bytes: usize,
        /// Which.
        operation: &'static str,
        /// Whether it is an invocation, whose code differs.
        is_invocation: bool,
    },
    /// Every instance is busy.
    #[error("Rate Exceeded: {why}")]
    Throttled {
        /// Which bound was hit, as Lambda calls it.
        reason: &'static str,
        /// The same in words.
        why: String,
        /// Seconds.
        retry_after: u64,
    },
    /// This machine has not what the function needs.
    #[error("{0}")]
    Unrunnable(String),
    /// Functions that invoke each other without an end.
    #[error("{0}")]
    Loop(String),
    /// The platform is going down.
    #[error("the platform is shutting down")]
    Draining,
    /// The catalogue's.
    #[error(transparent)]
    Catalogue(aloft_function::Error),
    /// A zip could not be stored.
    #[error(transparent)]
    Build(aloft_build::Error),
    /// A call could not be accepted.
    #[error(transparent)]
    Deferred(aloft_deferred::Error),
    /// The platform could not run the function.
    #[error("{0}")]
    Platform(String),
    /// An invocation was begun, and has a record.
    #[error("{error}")]
    Begun {
        /// The invocation.
        id: InvocationId,
        /// Why it has no answer.
        error: Box<Self>,
    },
}

impl Error {
    /// The same, of an invocation that was begun.
    pub(crate) fn of(self, id: InvocationId) -> Self {
        Self::Begun {
            id,
            error: Box::new(self),
        }
    }

    /// The code and the status.
    pub(crate) fn code(&self) -> (&'static str, StatusCode) {
        let bad = |name| (name, StatusCode::BAD_REQUEST);
        match self {
            Self::Invalid(_) => bad("InvalidParameterValueException"),
            Self::TooMany { code, .. } => bad(code),
            Self::Missing(_) => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
            Self::NotProvisioned => (
                "ProvisionedConcurrencyConfigNotFoundException",
                StatusCode::NOT_FOUND,
            ),
            Self::Conflict(_) => ("ResourceConflictException", StatusCode::CONFLICT),
            Self::Stale => ("PreconditionFailedException", StatusCode::PRECONDITION_FAILED),
            Self::Content(_) => bad("InvalidRequestContentException"),
            Self::TooLarge {
                is_invocation: true, ..
            } => ("RequestTooLargeException", StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooLarge { .. } => ("RequestEntityTooLargeException", StatusCode::PAYLOAD_TOO_LARGE),
            Self::Throttled { .. } => ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
            Self::Unrunnable(_) => ("InvalidRuntimeException", StatusCode::BAD_GATEWAY),
            Self::Loop(_) => bad("RecursiveInvocationException"),
            Self::Draining => ("ServiceException", StatusCode::SERVICE_UNAVAILABLE),
            Self::Platform(_) => ("ServiceException", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Catalogue(error) => ("ServiceException", status(error.kind())),
            Self::Build(error) => ("ServiceException", status(error.kind())),
            Self::Deferred(error) => ("ServiceException", status(error.kind())),
            Self::Begun { error, .. } => error.code(),
        }
    }

    /// Whether the failure is ours, so that the log must tell of it.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Begun { error, .. } => error.is_ours(),
            other => matches!(
                other,
                Self::Catalogue(_) | Self::Build(_) | Self::Deferred(_) | Self::Platform(_)
            ),
        }
    }

    /// Seconds after which it makes sense to ask again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after, .. } => Some(*retry_after),
            Self::Begun { error, .. } => error.retry_after(),
            _ => None,
        }
    }

    /// The members of the answer. The text is called `Message` by some of Lambda's errors and `message` by the others.
    pub(crate) fn members(&self) -> Map<String, Json> {
        if let Self::Begun { error, .. } = self {
            return error.members();
        }
        let text = match self {
            error if error.is_ours() => {
                "An error occurred and the request cannot be processed; the platform's log tells more under the request id"
                    .to_owned()
            }
            error => error.to_string(),
        };
        let whose = if self.code().1.is_server_error() {
            "Service"
        } else {
            "User"
        };
        let is_capital = matches!(
            self.code().0,
            "ResourceNotFoundException"
                | "ServiceException"
                | "InvalidRuntimeException"
                | "RecursiveInvocationException"
        );
        let mut members = Map::new();
        members.insert("Type".to_owned(), json!(whose));
        members.insert(
            (if is_capital { "Message" } else { "message" }).to_owned(),
            text.into(),
        );
        if let Self::Throttled { reason, .. } = self {
            members.insert("Reason".to_owned(), json!(reason));
        }
        members
    }
}

/// Why a call did not reach the function. What the function made of it is no error.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoFunction { name } => Self::Missing(format!("Function not found: {name}")),
            Fault::Busy {
                bound,
                why,
                retry_after,
            } => Self::Throttled {
                reason: match bound {
                    Bound::Account | Bound::Memory => "ConcurrentInvocationLimitExceeded",
                    // What a project's definition says of a function is what Lambda's users reserve for one.
                    Bound::Reserved | Bound::Nothing | Bound::Function => {
                        "ReservedFunctionConcurrentInvocationLimitExceeded"
                    }
                },
                why,
                retry_after: retry_after.as_secs().max(1),
            },
            Fault::Payload { why, .. } => Self::Content(why),
            Fault::Unrunnable { why } => Self::Unrunnable(why),
            Fault::Draining => Self::Draining,
            other => Self::Platform(other.to_string()),
        }
    }
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Throttled => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Invalid
        | ErrorKind::Missing
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::TooLarge
        | ErrorKind::Function
        | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
