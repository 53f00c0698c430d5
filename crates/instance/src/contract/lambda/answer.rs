//! Reading a runtime's answer: kept up to the contract's limit, and beyond it only counted.
//!
//! One that is too large is still heard out, so that the runtime gets to read its refusal instead of a broken pipe, and the
//! caller is told the real size. It costs no memory, and no more time than the call may take: the instance is ended then.
//! Rejected: answering at once, as the bodies of clients are, since a runtime that is cut off in its sentence may die of it.

use aloft_http::{Body, BodyError};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Unread {
    /// It has more bytes than an answer may.
    TooLarge { size: usize },
    /// The connection broke.
    Broken(BodyError),
}

/// An answer as it was heard.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) bytes: Bytes,
    /// What came behind it. A runtime that streams tells there that something went wrong.
    pub(super) trailers: HeaderMap,
}

/// Reads an answer to its end.
pub(super) async fn read(mut body: Body, limit: usize) -> Result<Heard, Unread> {
    let (mut parts, mut trailers) = (Vec::<Bytes>::new(), HeaderMap::new());
    let mut size: usize = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error {
            // The listener has a limit of its own, beyond which nothing is read.
            BodyError::TooLarge { limit } => Unread::TooLarge {
                size: size.max(limit.saturating_add(1)),
            },
            error => Unread::Broken(error),
        })?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().unwrap_or_default();
                continue;
            }
        };
        size = size.saturating_add(data.len());
        if size <= limit {
            parts.push(data);
        } else {
            parts = Vec::new();
        }
    }
    if size > limit {
        return Err(Unread::TooLarge { size });
    }
    let bytes = match parts.len() {
        // Small ones come in one piece, which is not copied.
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    };
    Ok(Heard { bytes, trailers })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// A body in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    async fn read_pieces(pieces: &[usize]) -> Result<Bytes, usize> {
        let pieces = pieces.iter().map(|length| Bytes::from(vec![b'x'; *length]));
        let body = Pieces(pieces.collect())
            .map_err(|never| match never {})
            .boxed_unsync();
        let heard = read(body, 10).await.map_err(|unread| match unread {
            Unread::TooLarge { size } => size,
            Unread::Broken(error) => panic!("{error}"),
        });
        heard.map(|heard| heard.bytes)
    }

    #[tokio::test]
    async fn an_answer_is_kept_up_to_the_limit_and_counted_beyond() {
        for (pieces, size) in [(&[][..], 0), (&[10], 10), (&[3, 7], 10), (&[0, 5, 0, 5, 0], 10)] {
            assert_eq!(read_pieces(pieces).await.unwrap().len(), size, "{pieces:?}");
        }
        for (pieces, size) in [
            (&[11][..], 11),
            (&[10, 1], 11),
            (&[1, 10, 500], 511),
            (&[20, 1], 21),
        ] {
            assert_eq!(read_pieces(pieces).await, Err(size), "{pieces:?}");
        }
    }
}
