//! A streamed answer on its way from the runtime to a caller who takes it piece by piece.
//!
//! The head goes out as soon as it is known: at once, or, when the answer says that its head stands before its body
//! (`application/vnd.awslambda.http-integration-response`) and the call is an HTTP call, when that has come as a whole. What cannot be
//! handed on any more, because the caller has gone or the answer is too large, is heard out as any answer is.

use aloft_call::{Beginning, Fault, Pieces, Sink};
use aloft_http::{Body, BodyError};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::exchange::Reply;
use super::http_event::{HEAD_END, OCTETS, decode_head};
use super::reported;

/// Lambda's bound of a streamed answer: 200 MiB.
const STREAM_LIMIT: usize = 200 << 20;
/// The head of an answer, as JSON: what a client's head may be.
const HEAD_LIMIT: usize = 64 << 10;
const HEADED: &[u8] = b"application/vnd.awslambda.http-integration-response";

/// Where an answer is streamed to.
#[derive(Debug)]
pub(crate) struct To {
    pub(crate) sink: Sink,
    /// The version that answers.
    pub(crate) version: u64,
    /// Whether status and headers are wanted.
    pub(crate) is_http: bool,
    /// When the call is ended.
    pub(crate) until: Instant,
}

/// Whether an answer's head stands before its body.
pub(super) fn is_headed(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(HEADED))
}

/// Hands an answer on, and tells what became of it and what broke it off, if something did.
pub(super) async fn relay(to: To, head: &Parts, mut body: Body) -> (Reply, Option<BodyError>) {
    let mut way = match to {
        to if to.is_http && is_headed(head) => Way::Head(to, BytesMut::new()),
        to => {
            let mut plain = Response::new(());
            let kind = head.headers.get(header::CONTENT_TYPE).cloned();
            plain
                .headers_mut()
                .insert(header::CONTENT_TYPE, kind.unwrap_or(OCTETS));
            Way::open(to, plain)
        }
    };
    let (mut size, mut wrong, mut trailers) = (0_usize, None::<String>, HeaderMap::new());
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(broken) => return (Reply::Broken(reported::truncated(&broken)), Some(broken)),
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().unwrap_or_default();
                continue;
            }
        };
        size = size.saturating_add(data.len());
        way = if size > STREAM_LIMIT {
            Way::Nowhere
        } else {
            match way.take(data).await {
                Ok(way) => way,
                Err(why) => {
                    wrong = Some(why);
                    Way::Nowhere
                }
            }
        };
    }
    if matches!(way, Way::Head(..)) {
        wrong = Some("its head is not ended by eight zero bytes".to_owned());
    }
    let reply = match (reported::trailing(&trailers), wrong) {
        (Some(error), _) => Reply::Error(error),
        (None, Some(why)) => Reply::Garbage { why },
        (None, None) if size > STREAM_LIMIT => Reply::TooLarge {
            size,
            limit: STREAM_LIMIT,
        },
        (None, None) => Reply::Streamed(size as u64),
    };
    (reply, None)
}

/// Where the next bytes go.
enum Way {
    /// To the head, which is not whole yet.
    Head(To, BytesMut),
    Caller(Pieces),
    Nowhere,
}

impl Way {
    fn open(to: To, head: Response<()>) -> Self {
        let (beginning, pieces) = Beginning::new(head, to.version, to.until);
        match to.sink.send(beginning) {
            Ok(()) => Self::Caller(pieces),
            // The caller has gone.
            Err(_) => Self::Nowhere,
        }
    }

    /// Takes the next bytes, or tells what is wrong with the head that they end.
    async fn take(self, data: Bytes) -> Result<Self, String> {
        let (mut caller, piece) = match self {
            Self::Nowhere => return Ok(Self::Nowhere),
            Self::Caller(caller) => (caller, data),
            Self::Head(to, mut head) => {
                // The end may lie across two pieces.
                let from = head.len().saturating_sub(HEAD_END.len() - 1);
                head.extend_from_slice(&data);
                let unseen = head.get(from..).unwrap_or_default();
                let end = unseen
                    .windows(HEAD_END.len())
                    .position(|bytes| *bytes == HEAD_END);
                let Some(end) = end.map(|end| from + end) else {
                    return if head.len() > HEAD_LIMIT {
                        Err(format!("its head is larger than {HEAD_LIMIT} bytes"))
                    } else {
                        Ok(Self::Head(to, head))
                    };
                };
                let mut body = head.split_off(end);
                let head = decode_head(&head).map_err(|fault| match fault {
                    Fault::Garbage { why } => why,
                    other => other.to_string(),
                })?;
                match Self::open(to, head) {
                    Self::Caller(caller) => (caller, body.split_off(HEAD_END.len()).freeze()),
                    other => return Ok(other),
                }
            }
        };
        caller.send(piece).await;
        Ok(Self::Caller(caller))
    }
}

#[cfg(test)]
mod tests;
