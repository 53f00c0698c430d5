//! Events as a client reads them.

use aloft_http::collect;
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use proptest::prelude::*;

use super::*;

/// What a client reads, when its connection hands it the bytes in pieces of this size: each event's type and payload.
fn decoded(bytes: &[u8], piece: usize) -> Vec<(String, Bytes)> {
    let (mut decoder, mut buffer, mut events) = (MessageFrameDecoder::new(), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut buffer).unwrap() {
            let mut headers = message.headers().iter();
            let kind = headers
                .find(|header| header.name().as_str() == ":event-type")
                .unwrap();
            let kind = kind.value().as_string().unwrap().as_str().to_owned();
            events.push((kind, message.payload().clone()));
        }
    }
    assert!(buffer.is_empty());
    events
}

proptest! {
    /// Whatever a function says, in whatever pieces it goes over the wire, a client reads it byte for byte.
    #[test]
    fn events_come_out_as_they_went_in(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
        piece in 1_usize..200,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let events: Vec<Message> = pieces.iter().flat_map(|piece| chunks(Bytes::from(piece.clone()))).collect();
        let bytes = runtime.block_on(collect(framed(stream::iter(events)), 1 << 20)).unwrap();
        let events = decoded(&bytes, piece);
        prop_assert!(events.iter().all(|(kind, payload)| kind == "PayloadChunk" && !payload.is_empty()));
        let whole: Vec<u8> = events.into_iter().flat_map(|(_, payload)| payload).collect();
        prop_assert_eq!(whole, pieces.concat());
    }
}

#[test]
fn what_is_larger_than_an_event_goes_in_several() {
    let sizes = |bytes: usize| {
        let chunks = chunks(Bytes::from(vec![7; bytes]));
        chunks
            .iter()
            .map(|chunk| chunk.payload().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(PIECE), [PIECE]);
    assert_eq!(sizes(2 * PIECE + 1), [PIECE, PIECE, 1]);
}
