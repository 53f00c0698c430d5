//! What a server says when it does not let a request through to its handler. The server knows the status and the reason;
//! the handler knows the shape in which its protocol tells errors ([`Handler::refuse`](crate::Handler::refuse)).

use std::borrow::Cow;

use http::StatusCode;

use crate::BodyError;

/// Why a request is not served: a status and a sentence for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The answer's status.
    pub status: StatusCode,
    /// What is wrong and, where it helps, what to do. It never tells of the platform's inside.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with this status and sentence.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn panicked() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::from(&BodyError::TooLarge { limit })
    }
}

/// What to answer when a request's body cannot be read: 413, 408, 503 or 400.
impl From<&BodyError> for Refusal {
    fn from(error: &BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
