//! `InvokeWithResponseStream`: a function's answer as a stream of events, each a message of AWS's event-stream encoding
//! (<https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html>): `PayloadChunk` for each piece while the function makes them,
//! and `InvokeComplete` at the end.

use aloft_base::InvocationId;
use aloft_call::{Answer, Begun, Fault, Next, Outcome, Streaming};
use aloft_http::{Body, BodyError, Response};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue as Value, Message};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Map, json};

use super::invoke::{self, Kind};
use super::{Context, nothing};
use crate::Error as Refused;

const EVENTS: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");
/// Bytes of one event at most: clients take no more than 16 MiB at once.
const PIECE: usize = 1 << 20;

pub(super) async fn run(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let (named, kind, is_tailed, call) = invoke::asked(context, body)?;
    match kind {
        Kind::RequestResponse => {}
        Kind::DryRun => {
            invoke::found(context, &named).await?;
            return Ok(nothing(StatusCode::NO_CONTENT));
        }
        Kind::Event => {
            let text = "1 validation error detected: Value 'Event' at 'invocationType' failed to satisfy constraint: Member must satisfy \
                        enum value set: [RequestResponse, DryRun]";
            return Err(Refused::Validation(text.to_owned()));
        }
    }
    let id = call.id;
    let (version, events) = match context.streams.begin(&context.id(&named.function), call).await {
        Begun::Stream(Streaming { version, rest, .. }) => {
            let events = rest.flat_map(move |next| {
                stream::iter(match next {
                    Next::Piece(piece) => chunks(piece),
                    Next::End(outcome) => vec![end(id, outcome.as_deref(), is_tailed)],
                })
            });
            (version, events.boxed())
        }
        Begun::Whole(outcome) => {
            if let Err(fault) = &outcome.result
                && invoke::failed(id, fault).is_none()
            {
                return Err(invoke::refused(context, &named, fault.clone()).of(id).into());
            }
            let version = outcome.usage.number;
            let mut events = match &outcome.result {
                Ok(Answer::Bytes(bytes)) => chunks(bytes.clone()),
                Ok(Answer::Http(_) | Answer::Streamed) | Err(_) => Vec::new(),
            };
            events.push(end(id, Some(&outcome), is_tailed));
            (version, stream::iter(events).boxed())
        }
    };
    let mut response = Response::new(framed(events));
    response.headers_mut().insert(CONTENT_TYPE, EVENTS);
    invoke::describe(response.headers_mut(), (id, context.trace), version);
    Ok(response)
}

fn framed(events: impl Stream<Item = Message> + Send + 'static) -> Body {
    let frames = events.map(|event| {
        let mut bytes = BytesMut::new();
        let written = write_message_to(&event, &mut bytes);
        let written = written.map_err(|error| BodyError::Broken(error.into()));
        written.map(|()| Frame::data(bytes.freeze()))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn event(kind: &'static str, content: &'static str, payload: Bytes) -> Message {
    let text = |name: &'static str, value: &'static str| Header::new(name, Value::String(value.into()));
    Message::new(payload)
        .add_header(text(":message-type", "event"))
        .add_header(text(":event-type", kind))
        .add_header(text(":content-type", content))
}

fn chunks(mut bytes: Bytes) -> Vec<Message> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        chunks.push(event("PayloadChunk", "application/octet-stream", piece));
    }
    chunks
}

/// The last event: whether it went well, and the end of the log if that is wanted.
fn end(id: InvocationId, outcome: Option<&Outcome>, is_tailed: bool) -> Message {
    let mut members = Map::new();
    let mut set = |member: &str, value: String| members.insert(member.to_owned(), json!(value));
    let fault = match outcome {
        Some(outcome) => outcome.result.as_ref().err().cloned(),
        None => Some(Fault::Draining),
    };
    if let Some(fault) = fault {
        // What is not the function's own comes only when the platform goes down meanwhile.
        let own = || ("ServiceException".to_owned(), fault.to_string().into());
        let (kind, details) = invoke::failed(id, &fault).unwrap_or_else(own);
        set("ErrorCode", kind);
        set("ErrorDetails", String::from_utf8_lossy(&details).into_owned());
    }
    if let (Some(outcome), true) = (outcome, is_tailed) {
        set("LogResult", invoke::log(outcome));
    }
    event(
        "InvokeComplete",
        "application/json",
        json!(members).to_string().into(),
    )
}

#[cfg(test)]
mod tests;
