//! A streamed answer as its caller gets it: heads before bodies, ends, and what is not handed on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;

/// A body in these pieces, with what follows them.
struct Pieces(VecDeque<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn body(bytes: &[u8], piece: usize) -> Pieces {
    let pieces = bytes.chunks(piece.max(1)).map(Bytes::copy_from_slice);
    Pieces(pieces.map(|piece| Ok(Frame::data(piece))).collect())
}

fn head(kind: Option<&str>) -> Parts {
    let mut request = http::Request::post("/");
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    request.body(()).unwrap().into_parts().0
}

/// What the caller gets of an answer, and what is replied.
async fn relayed(
    body: Pieces,
    kind: Option<&str>,
    is_http: bool,
) -> (Option<(Response<()>, Vec<u8>)>, Reply) {
    let (sink, beginning) = oneshot::channel();
    let to = To {
        sink,
        version: 7,
        is_http,
        until: tokio::time::Instant::now() + std::time::Duration::from_secs(900),
    };
    let head = head(kind);
    let sending = relay(to, &head, body.boxed_unsync());
    let receiving = async {
        let beginning = beginning.await.ok()?;
        assert_eq!(beginning.version, 7);
        let (head, mut pieces) = beginning.into_parts();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            assert!(!piece.is_empty());
            bytes.extend_from_slice(&piece);
        }
        Some((head, bytes))
    };
    let (sent, received) = tokio::join!(sending, receiving);
    (received, sent.0)
}

const HEAD: &str = "application/vnd.awslambda.http-integration-response";

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(work)
}

proptest! {
    /// However an answer is cut into pieces, its head ends at the first eight zero bytes and its body follows byte for byte.
    #[test]
    fn a_head_before_the_body_is_found_however_it_is_cut(
        body_bytes in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..60),
        piece in 1_usize..40,
    ) {
        let json = br#"{"statusCode":201,"headers":{"x-a":"b"},"cookies":["c=d"]}"#;
        let all = [&json[..], &[0; 8], &body_bytes].concat();
        let (received, reply) = block_on(relayed(body(&all, piece), Some(HEAD), true));
        let (head, got) = received.unwrap();
        prop_assert_eq!(head.status().as_u16(), 201);
        prop_assert_eq!(&head.headers()["x-a"], "b");
        prop_assert_eq!(&head.headers()["set-cookie"], "c=d");
        prop_assert_eq!(&head.headers()["content-type"], "application/octet-stream");
        prop_assert_eq!(got, body_bytes);
        prop_assert!(matches!(reply, Reply::Streamed(size) if size == all.len() as u64));
    }
}

#[tokio::test]
async fn without_a_head_of_its_own_an_answer_has_its_type() {
    for (kind, is_http, shown) in [
        (Some("text/event-stream"), true, "text/event-stream"),
        (None, true, "application/octet-stream"),
        // Who does not speak HTTP gets the head as it was written.
        (Some(HEAD), false, HEAD),
    ] {
        let (received, reply) = relayed(body(b"{}\0\0\0\0\0\0\0\0abc", 2), kind, is_http).await;
        let (head, got) = received.unwrap();
        assert_eq!(head.headers()[header::CONTENT_TYPE], shown);
        assert_eq!(got, b"{}\0\0\0\0\0\0\0\0abc");
        assert!(matches!(reply, Reply::Streamed(13)), "{reply:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_none_is_garbage_and_goes_to_nobody() {
    let long = "x".repeat(HEAD_LIMIT + 1);
    for (bytes, why) in [
        (&b"{}"[..], "eight zero bytes"),
        (b"nonsense\0\0\0\0\0\0\0\0abc", "not a JSON object"),
        (br#"{"statusCode":99}"#.as_slice(), "eight zero bytes"),
        (b"{\"statusCode\":99}\0\0\0\0\0\0\0\0", "from 200 to 599"),
        (long.as_bytes(), "larger than"),
    ] {
        let (received, reply) = relayed(body(bytes, 1_000), Some(HEAD), true).await;
        assert!(received.is_none());
        assert!(
            matches!(&reply, Reply::Garbage { why: told } if told.contains(why)),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_told_at_the_end() {
    let mut pieces = body(b"ab", 1);
    let mut trailers = HeaderMap::new();
    trailers.insert("lambda-runtime-function-error-type", "Boom".parse().unwrap());
    pieces.0.push_back(Ok(Frame::trailers(trailers)));
    let (received, reply) = relayed(pieces, None, true).await;
    assert_eq!(received.unwrap().1, b"ab");
    assert!(
        matches!(&reply, Reply::Error(error) if error.kind == "Boom"),
        "{reply:?}"
    );
    let mut pieces = body(b"ab", 1);
    pieces.0.push_back(Err(BodyError::TimedOut));
    let (received, reply) = relayed(pieces, None, true).await;
    assert_eq!(received.unwrap().1, b"ab");
    assert!(matches!(reply, Reply::Broken(_)), "{reply:?}");
}

#[tokio::test]
async fn what_nobody_takes_is_heard_out() {
    let (sink, beginning) = oneshot::channel();
    drop(beginning);
    let to = To {
        sink,
        version: 0,
        is_http: true,
        until: tokio::time::Instant::now() + std::time::Duration::from_secs(900),
    };
    let (reply, broken) = relay(to, &head(None), body(&[1; 100], 7).boxed_unsync()).await;
    assert!(
        matches!(reply, Reply::Streamed(100)) && broken.is_none(),
        "{reply:?}"
    );
}
