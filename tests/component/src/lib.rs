//! A component that does what its path says: what the black-box tests ask of a guest, good and bad.

use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::cli::environment::get_environment;
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

struct Component;

wasip2::http::proxy::export!(Component);

static CALLS: AtomicU32 = AtomicU32::new(0);

impl wasip2::exports::http::incoming_handler::Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        match path {
            // With its length, so that it goes out as a whole.
            "/hello" => {
                let length = Fields::from_list(&[("content-length".to_owned(), b"6".to_vec())]);
                let response = OutgoingResponse::new(length.unwrap());
                let body = response.body().unwrap();
                ResponseOutparam::set(answer, Ok(response));
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"hello\n").unwrap();
                drop(stream);
                OutgoingBody::finish(body, None).unwrap();
            }
            // Always 1: each call has an instance of its own.
            "/calls" => {
                let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
                text(answer, calls.to_string().as_bytes());
            }
            "/env" => {
                let value = get_environment().into_iter().find(|(name, _)| name == query);
                text(answer, value.map(|(_, value)| value).unwrap_or_default().as_bytes());
            }
            "/print" => {
                print(&wasip2::cli::stdout::get_stdout(), "to stdout\nand a line without end");
                print(&wasip2::cli::stderr::get_stderr(), "to stderr\n");
                text(answer, b"printed");
            }
            "/spin" => loop {
                std::hint::spin_loop();
            },
            "/grow" => {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(vec![1; 1 << 20]);
                }
            }
            "/trap" => panic!("as it was told"),
            "/silent" => {}
            "/refuse" => ResponseOutparam::set(answer, Err(ErrorCode::InternalError(Some("no".to_owned())))),
            // It ends in the middle of its answer.
            "/half" => {
                let body = begin(answer);
                let stream = body.write().unwrap();
                stream.blocking_write_and_flush(b"half").unwrap();
                panic!("in the middle");
            }
            "/drip" => {
                let body = begin(answer);
                let stream = body.write().unwrap();
                for piece in ["one\n", "two\n", "three\n"] {
                    stream.blocking_write_and_flush(piece.as_bytes()).unwrap();
                    monotonic_clock::subscribe_duration(100_000_000).block();
                }
                drop(stream);
                OutgoingBody::finish(body, None).unwrap();
            }
            "/sleep" => {
                let milliseconds: u64 = query.parse().unwrap_or(0);
                monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
                text(answer, b"slept");
            }
            "/fetch" => fetch(answer, query),
            // Also events and direct calls, which come to `/`.
            _ => echo(request, answer),
        }
    }
}

fn begin(answer: ResponseOutparam) -> OutgoingBody {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().unwrap();
    ResponseOutparam::set(answer, Ok(response));
    body
}

fn text(answer: ResponseOutparam, bytes: &[u8]) {
    let body = begin(answer);
    let stream = body.write().unwrap();
    for piece in bytes.chunks(4096) {
        stream.blocking_write_and_flush(piece).unwrap();
    }
    drop(stream);
    OutgoingBody::finish(body, None).unwrap();
}

fn print(stream: &OutputStream, what: &str) {
    stream.blocking_write_and_flush(what.as_bytes()).unwrap();
}

/// Sends back what comes while it comes.
fn echo(request: IncomingRequest, answer: ResponseOutparam) {
    let incoming = request.consume().unwrap();
    let from = incoming.stream().unwrap();
    let body = begin(answer);
    let to = body.write().unwrap();
    loop {
        match from.blocking_read(4096) {
            Ok(some) => to.blocking_write_and_flush(&some).unwrap(),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => panic!("{}", error.to_debug_string()),
        }
    }
    drop(to);
    OutgoingBody::finish(body, None).unwrap();
}

/// Asks for `scheme/authority`, and answers the status or the error.
fn fetch(answer: ResponseOutparam, place: &str) {
    let (scheme, authority) = place.split_once('/').unwrap_or(("http", place));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match scheme {
        "https" => Scheme::Https,
        _ => Scheme::Http,
    };
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some("/")).unwrap();
    let told = match outgoing_handler::handle(request, None) {
        Err(error) => format!("{error:?}"),
        Ok(asked) => {
            asked.subscribe().block();
            match asked.get().unwrap().unwrap() {
                Ok(response) => response.status().to_string(),
                Err(error) => format!("{error:?}"),
            }
        }
    };
    text(answer, told.as_bytes());
}
