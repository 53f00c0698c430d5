//! The framing as a pure function: however a stream of requests is cut, the same bytes pass and the same head is refused.

use proptest::prelude::*;

use crate::Limits;
use crate::frame::Frames;

/// Feeds pieces of the given sizes as the guard does; returns how many bytes passed and the refusal.
fn feed(bytes: &[u8], pieces: &[usize]) -> (usize, Option<String>) {
    let mut frames = Frames::new(Limits::default());
    let (mut passed, mut end) = (0, 0);
    let mut pieces = pieces.iter().copied().cycle();
    while end < bytes.len() {
        end = bytes.len().min(end + pieces.next().unwrap());
        let fed = frames.feed(&bytes[passed..end]);
        assert!(passed + fed.ready <= end);
        passed += fed.ready;
        if let Some(refusal) = fed.refusal {
            return (passed, Some(refusal.to_string()));
        }
    }
    (passed, None)
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    (body, 0..3u8, proptest::collection::vec(1..20usize, 1..4)).prop_map(|(body, kind, sizes)| {
        let mut bytes = b"POST /x HTTP/1.1\r\nHost: a\r\n".to_vec();
        match kind {
            0 => bytes.extend_from_slice(b"\r\n"),
            1 => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(&body);
            }
            _ => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = body.as_slice();
                for size in sizes.iter().cycle() {
                    let (chunk, after) = rest.split_at(rest.len().min(*size));
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                    rest = after;
                    if chunk.is_empty() {
                        break;
                    }
                }
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn valid_requests_pass_however_they_are_cut(
        requests in proptest::collection::vec(request(), 1..5),
        pieces in proptest::collection::vec(1..60usize, 1..6),
    ) {
        let bytes = requests.concat();
        prop_assert_eq!(feed(&bytes, &pieces), (bytes.len(), None));
    }

    #[test]
    fn a_refusal_does_not_depend_on_the_cuts(
        requests in proptest::collection::vec(request(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':')],
        pieces in proptest::collection::vec(1..60usize, 1..6),
    ) {
        let mut bytes = requests.concat();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let whole = feed(&bytes, &[bytes.len()]);
        let cut = feed(&bytes, &pieces);
        // What passes of a chunked body before its mistake may differ in where the reading stopped, and a control character
        // in a request line is noticed before its line's end; that there is a refusal does not.
        if whole.1.is_some() {
            prop_assert!(cut.1.is_some());
        }
    }
}

/// Whatever passes here, hyper reads without an answer of its own; hyper's parser is httparse and `http`'s types.
#[test]
fn hyper_never_sees_more_fields_than_it_takes() {
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(fields));
    assert_eq!(feed(head(99).as_bytes(), &[4_096]).1, None);
    assert!(feed(head(100).as_bytes(), &[4_096]).1.is_some());
}
