//! Errors as a runtime reports them: read leniently, because to lose one is worse than to show an odd one, and cut to what
//! people, logs and answers can bear.
//!
//! As in AWS's emulator, a report whose body breaks off counts with what has come of it, and a type in the header counts only
//! in the form `Runtime.Reason` or `Function.Reason`. A report that is too large is cut instead of refused: a runtime that is
//! refused cannot go on, and the call would end without the one word about what went wrong.

use aloft_call::FunctionError;
use aloft_http::{Body, BodyError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::server::ANSWER_LIMIT;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
/// Bounds of what is kept: of the type, in which nobody reads more; of the message and of the trace, as of a line of a log.
const KIND_BYTES: usize = 256;
const MESSAGE_BYTES: usize = 256 << 10;
const TRACE_BYTES: usize = 256 << 10;

/// An error of the contract itself, as if the runtime had reported it.
pub(super) fn wrong(kind: &str, message: &str) -> FunctionError {
    FunctionError {
        kind: kind.to_owned(),
        message: message.to_owned(),
        ..FunctionError::default()
    }
}

/// The error of an answer that broke off.
pub(super) fn truncated(broken: &BodyError) -> FunctionError {
    wrong("Runtime.TruncatedResponse", &broken.to_string())
}

/// Reads a reported error, and says whether it is whole.
pub(super) async fn read(head: &http::request::Parts, body: Body) -> (FunctionError, bool) {
    let (bytes, is_whole) = gather(body, ANSWER_LIMIT).await;
    let header = head.headers.get(ERROR_TYPE).map(HeaderValue::as_bytes);
    (parse(bytes, header, known), is_whole)
}

/// The error that stands behind a streamed answer, if something went wrong: its type, and its report in base64.
pub(super) fn trailing(trailers: &HeaderMap) -> Option<FunctionError> {
    let kind = trailers.get(ERROR_TYPE)?.as_bytes();
    let body = trailers.get(ERROR_BODY).map(HeaderValue::as_bytes);
    let body = STANDARD.decode(body.unwrap_or_default()).unwrap_or_default();
    // Clients put the error's own type there, in no given form.
    let plain = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
    Some(parse(body, Some(kind), plain))
}

/// What is not the usual JSON is kept as the message.
fn parse(bytes: Vec<u8>, header: Option<&[u8]>, known: impl Fn(&[u8]) -> String) -> FunctionError {
    let mut error: FunctionError = match serde_json::from_slice(&bytes) {
        Ok(error) if bytes.len() <= MESSAGE_BYTES => FunctionError {
            body: Some(bytes.into()),
            ..error
        },
        Ok(error) => error,
        Err(_) => FunctionError {
            message: String::from_utf8_lossy(&bytes).into_owned(),
            ..FunctionError::default()
        },
    };
    if error.kind.is_empty() {
        error.kind = known(header.unwrap_or_default());
    }
    cut(&mut error.kind, KIND_BYTES);
    cut(&mut error.message, MESSAGE_BYTES);
    let mut left = TRACE_BYTES;
    error.trace.retain(|line| {
        let fits = line.len() <= left;
        left = if fits { left - line.len() } else { 0 };
        fits
    });
    error
}

/// The start of a body, up to where it breaks off. What is beyond the limit is heard out, as of an answer.
async fn gather(mut body: Body, limit: usize) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                let room = limit.saturating_sub(bytes.len()).min(data.len());
                bytes.extend_from_slice(data.get(..room).unwrap_or_default());
            }
            Err(error) => {
                tracing::debug!(%error, "a reported error is not whole");
                return (bytes, false);
            }
        }
    }
    (bytes, true)
}

/// The header's type if it has the documented form, else what the emulator records instead.
fn known(value: &[u8]) -> String {
    let reason = |rest: &[u8]| match rest {
        [first, rest @ ..] => {
            first.is_ascii_uppercase() && !rest.is_empty() && rest.iter().all(u8::is_ascii_alphabetic)
        }
        [] => false,
    };
    let (is_function, rest) = match (value.strip_prefix(b"Runtime."), value.strip_prefix(b"Function.")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => (false, &b""[..]),
    };
    match (value.len() <= KIND_BYTES && reason(rest), is_function) {
        (true, _) => String::from_utf8_lossy(value).into_owned(),
        (false, true) => "Function.Unknown".to_owned(),
        (false, false) => "Runtime.Unknown".to_owned(),
    }
}

/// Cuts a text at a character's end, and shows that it is cut.
fn cut(text: &mut String, most: usize) {
    const MARK: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(MARK.len())));
        text.push_str(MARK);
    }
}
