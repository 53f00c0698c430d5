//! The one body type. It is boxed once per request, so that a body can be streamed, buffered or bounded without the types
//! of every handler changing with it.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};

use aloft_base::ErrorKind;

/// A stream of bytes, such as a request's or an answer's.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than the bound of the place where it arrived.
    #[error("the body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The other side went away or sent something that is not HTTP.
    #[error("the body ended early: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The other side sent nothing for too long.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// Too many bytes of other bodies are held now.
    #[error("too many large requests at once: try again later")]
    NoRoom,
}

impl BodyError {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Broken(_) => ErrorKind::Invalid,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::NoRoom => ErrorKind::Unavailable,
        }
    }
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body without bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Reads a body to its end, at most `limit` bytes.
pub async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
        Err(error) => Err(match error.downcast::<BodyError>() {
            Ok(known) => *known,
            Err(other) => BodyError::Broken(other),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(collect(full("12345"), 5).await.unwrap(), "12345");
        assert_eq!(collect(empty(), 0).await.unwrap(), "");
        assert!(matches!(
            collect(full("123456"), 5).await,
            Err(BodyError::TooLarge { limit: 5 })
        ));
    }
}
