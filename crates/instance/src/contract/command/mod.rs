//! A command for each call: what it is called with stands on its standard input, and what it writes to its standard output is the answer,
//! as with OpenFaaS's classic watchdog. `cat`, `sha256sum` and every filter are functions so.
//!
//! - A request's body is the input; its method, path, query and headers are variables: `Http_Method`, `Http_Path`, `Http_Query`, and
//!   `Http_X_Mine` for `X-Mine`. (Not `Proxy`, which programs would take for their own setting: <https://httpoxy.org/>.)
//! - The trace stands in `TRACEPARENT`, as OpenTelemetry has it
//!   (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).
//! - An event is a CloudEvent in JSON, a direct call its payload.
//! - The command's end is the answer's: with status 0 it is good, with any other the call has failed. Standard error is the log.
//! - The answer to a request is a 200 of the request's `Content-Type`; without one, text if it is, or bytes. More than 64 KiB go out while
//!   they are written, when the caller takes that.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloft_call::{Answer, Beginning, Call, Fault, HttpCall, Payload, Pieces, Sink};
use aloft_function::Version;
use aloft_http::{collect, full};
use aloft_sandbox::Isolation;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::{Begun, Contract, Needs, Session, Spoken, TO_END};
use crate::process::{PAYLOAD_LIMIT, Process, unread};

/// As with Lambda, though nothing is loaded before a call.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lambda's bounds of answers: of one that is held, and of one that is streamed.
const WHOLE: usize = 6 << 20;
const STREAMED: usize = 200 << 20;
/// What is longer goes out while it is made.
const SHORT: usize = 64 << 10;
const PIECE: usize = 16 << 10;
/// Bytes of all variables of a request: more headers than these are left out.
const VARIABLES: usize = 32 << 10;

/// The contract of commands.
pub(crate) struct PerCallCommand;

impl Contract for PerCallCommand {
    fn needs(&self, _: &Version, _: Isolation) -> Result<Needs, Fault> {
        Ok(Needs {
            is_piped: true,
            patience: PATIENCE,
            grace: TO_END,
            ..Needs::default()
        })
    }

    fn begin(&self, begun: Begun) -> Result<Arc<dyn Session>, Fault> {
        Ok(Arc::new(Run(Mutex::new(begun.pipes))))
    }

    fn is_per_call(&self) -> bool {
        true
    }

    fn of_call(&self, call: &Call) -> Vec<(OsString, OsString)> {
        let mut all = match &call.payload {
            Payload::Http(http) => variables(http),
            Payload::Event(_) | Payload::Direct(_) => Vec::new(),
        };
        all.push(("TRACEPARENT".into(), call.trace.traceparent().into()));
        all
    }
}

fn variables(http: &HttpCall) -> Vec<(OsString, OsString)> {
    let head = &http.head;
    let (mut all, mut left) = (Vec::new(), VARIABLES);
    for (name, value) in &head.headers {
        let Ok(value) = value.to_str() else { continue };
        let size = name.as_str().len() + value.len();
        if name.as_str() == "proxy" || size > left {
            continue;
        }
        left -= size;
        all.push((variable(name.as_str()), value.to_owned()));
    }
    // The last one counts: a header `Path` must not say where a request went.
    all.extend([
        ("Http_Method".to_owned(), head.method.to_string()),
        ("Http_Path".to_owned(), head.uri.path().to_owned()),
        (
            "Http_Query".to_owned(),
            head.uri.query().unwrap_or_default().to_owned(),
        ),
    ]);
    all.into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// `x-mine` → `Http_X_Mine`.
fn variable(header: &str) -> String {
    let words = header.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    format!("Http_{}", words.collect::<Vec<_>>().join("_"))
}

/// The run of one command.
struct Run(Mutex<Option<(pipe::Sender, pipe::Receiver)>>);

#[async_trait]
impl Session for Run {
    async fn loaded(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn call(&self, process: &Process, mut call: Call, timeout: Duration) -> Spoken {
        let pipes = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((input, output)) = pipes else {
            return Spoken::not_run(Fault::Platform {
                why: "the command has run already".to_owned(),
            });
        };
        let sink = call.stream.take();
        let (body, kind) = match payload(call).await {
            Ok(payload) => payload,
            Err(fault) => return Spoken::not_run(fault),
        };
        let began = process.clock().instant();
        let (in_bytes, mut out_bytes) = (body.len() as u64, 0);
        let head = kind.clone().filter(|_| sink.is_some());
        let stream = head
            .zip(sink)
            .map(|(kind, sink)| (kind, sink, process.version().number, Instant::now() + timeout));
        let run = async {
            let (said, ()) = tokio::join!(read(output, stream, &mut out_bytes), write(input, body));
            // Its end, and not that of its output, tells whether it went well.
            let well = process.exited_well().await;
            well.and(said)
        };
        let said = tokio::time::timeout(timeout, run)
            .await
            .unwrap_or(Err(Fault::TimedOut { after: timeout }));
        let result = said.map(|said| match (said, kind) {
            (None, _) => Answer::Streamed,
            (Some(bytes), None) => Answer::Bytes(bytes),
            (Some(bytes), Some(kind)) => Answer::Http(response(kind, bytes)),
        });
        Spoken {
            result,
            run: process.clock().instant().duration_since(began),
            bytes: (in_bytes, out_bytes),
            is_reusable: false,
        }
    }
}

/// What the command reads; and for a request, the type that it said, if it did.
async fn payload(call: Call) -> Result<(Bytes, Option<Option<HeaderValue>>), Fault> {
    match call.payload {
        Payload::Http(http) => {
            let body = collect(http.body, PAYLOAD_LIMIT)
                .await
                .map_err(|error| unread(&error))?;
            Ok((body, Some(http.head.headers.get(CONTENT_TYPE).cloned())))
        }
        Payload::Event(event) => {
            let body = serde_json::to_vec(&event.event.to_value()).map_err(|error| Fault::Payload {
                why: error.to_string(),
                too_large: false,
            })?;
            Ok((body.into(), None))
        }
        Payload::Direct(direct) => Ok((direct.body, None)),
    }
}

/// Writes the input and closes it. A command that does not want all of it may.
async fn write(mut input: pipe::Sender, body: Bytes) {
    if let Err(error) = input.write_all(&body).await {
        tracing::debug!(%error, "a command did not read its input");
    }
}

/// Reads the output to its end: what it is, or nothing when it went to the caller.
async fn read(
    mut output: pipe::Receiver,
    stream: Option<(Option<HeaderValue>, Sink, u64, Instant)>,
    bytes: &mut u64,
) -> Result<Option<Bytes>, Fault> {
    let (mut whole, mut stream) = (BytesMut::new(), stream);
    let mut caller = None::<Pieces>;
    loop {
        whole.reserve(PIECE);
        let read = output.read_buf(&mut whole).await;
        let read = read.map_err(|error| Fault::Platform {
            why: format!("the command's output cannot be read: {error}"),
        })?;
        *bytes += read as u64;
        if let Some((kind, sink, version, until)) = stream.take_if(|_| whole.len() > SHORT) {
            let mut head = http::Response::new(());
            head.headers_mut().insert(CONTENT_TYPE, told(kind, &whole));
            let (beginning, pieces) = Beginning::new(head, version, until);
            // Whoever has gone, or reads too slowly, does not hold up the command: it is heard out.
            let _ = sink.send(beginning);
            caller = Some(pieces);
        }
        if let Some(caller) = &mut caller {
            let piece = whole.split().freeze();
            let limit = usize::try_from(*bytes).unwrap_or(usize::MAX);
            if limit > STREAMED {
                return Err(Fault::AnswerTooLarge {
                    size: limit,
                    limit: STREAMED,
                });
            }
            caller.send(piece).await;
        } else if whole.len() > WHOLE {
            return Err(Fault::AnswerTooLarge {
                size: whole.len(),
                limit: WHOLE,
            });
        }
        if read == 0 {
            return Ok(caller.is_none().then(|| whole.freeze()));
        }
    }
}

/// The type of an answer: as the request said, else as it looks.
fn told(kind: Option<HeaderValue>, bytes: &[u8]) -> HeaderValue {
    kind.unwrap_or_else(|| {
        HeaderValue::from_static(match std::str::from_utf8(bytes) {
            Ok(_) => "text/plain; charset=utf-8",
            // A letter may be cut where the looked at part ends.
            Err(error) if error.error_len().is_none() => "text/plain; charset=utf-8",
            Err(_) => "application/octet-stream",
        })
    })
}

fn response(kind: Option<HeaderValue>, bytes: Bytes) -> http::Response<aloft_http::Body> {
    let kind = told(kind, &bytes);
    let mut response = http::Response::new(full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_variables_as_openfaas_names_them() {
        for (header, expected) in [
            ("x-forwarded-by", "Http_X_Forwarded_By"),
            ("accept", "Http_Accept"),
            ("x--y", "Http_X__Y"),
        ] {
            assert_eq!(variable(header), expected);
        }
    }

    #[test]
    fn an_answer_is_text_if_it_is() {
        for (bytes, expected) in [
            (&b"hello"[..], "text/plain; charset=utf-8"),
            ("grüße".as_bytes(), "text/plain; charset=utf-8"),
            (&[0xff, 0], "application/octet-stream"),
            (&[b'a', 0xc3], "text/plain; charset=utf-8"),
        ] {
            assert_eq!(told(None, bytes), expected, "{bytes:?}");
        }
        let said = HeaderValue::from_static("image/png");
        assert_eq!(told(Some(said.clone()), b"hello"), said);
    }
}
