//! `Invoke`.

use aloft_access::{Action, Resource, decide};
use aloft_base::InvocationId;
use aloft_call::{Answer, Call, Direct, Fault, Lineage, Outcome, Payload, Qualifier};
use aloft_http::{Response, full};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};

use super::names::Named;
use super::{Context, Error, events, nothing, report, settings};
use crate::Error as Refused;
use crate::answer::REQUEST_ID;
use crate::input::Constraints;

/// Lambda's bound of a client's context, in base64.
const CONTEXT: usize = 3_583;

const EXECUTED: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RequestResponse,
    Event,
    DryRun,
}

pub(super) async fn run(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let named = called(context)?;
    let not_built = ["x-amz-tenant-id", "x-amz-durable-execution-name"];
    if let Some(name) = not_built.iter().find(|name| context.headers.contains_key(**name)) {
        return Err(settings::not_supported(name));
    }
    let (kind, is_tailed) = kind(context)?;
    let client = client_context(context)?;
    let body = payload(body)?;
    match kind {
        Kind::RequestResponse => {}
        Kind::DryRun => {
            // Whether it is there, and can be run.
            let qualifier = named.qualifier.clone().unwrap_or_default();
            found(context, &named, &qualifier).await?;
            return Ok(nothing(StatusCode::NO_CONTENT));
        }
        Kind::Event => {
            let lineage = lineage(context, &named)?;
            return events::accept(context, &named, body, lineage).await;
        }
    }
    let call = Call {
        id: InvocationId::draw(context.chance),
        qualifier: named.qualifier.clone().unwrap_or_default(),
        caller: context.caller.clone(),
        payload: Payload::Direct(Direct {
            body,
            context: client,
            is_tailed,
        }),
        lineage: lineage(context, &named)?,
        deadline: None,
        trace: context.trace,
    };
    let outcome = context.invoke.invoke(&named.function, call).await;
    answered(context, &named, outcome, is_tailed)
}

/// `InvokeAsync`, the older form of an asynchronous call.
pub(super) async fn run_later(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let named = called(context)?;
    let lineage = lineage(context, &named)?;
    let accepted = events::accept(context, &named, payload(body)?, lineage).await?;
    let mut response = super::json(StatusCode::ACCEPTED, &json!({ "Status": 202 }));
    if let Some(id) = accepted.headers().get(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    Ok(response)
}

/// The function that is called, which the caller may.
fn called(context: &Context<'_>) -> Result<Named, Refused> {
    let named = context.named()?;
    decide(
        context.caller,
        Action::Invoke,
        Resource::Function(&named.function),
    )?;
    Ok(named)
}

/// What a function is called with, which must be JSON. Without a payload it is an empty object.
fn payload(body: Bytes) -> Result<Bytes, Error> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let is_json = serde_json::from_slice::<IgnoredAny>(&body);
    is_json.map(|_| body).map_err(|error| {
        Error::Content(format!(
            "Could not parse request body into json: Could not parse payload into json: {error}"
        ))
    })
}

async fn found(context: &Context<'_>, named: &Named, qualifier: &Qualifier) -> Result<(), Refused> {
    if *qualifier == Qualifier::Latest && context.of_project(&named.function).is_some() {
        return Ok(());
    }
    let loaded = context.parts.load.load(&named.function, qualifier).await;
    loaded.map(drop).map_err(|fault| refused(context, named, fault))
}

fn answered(
    context: &Context<'_>,
    named: &Named,
    outcome: Outcome,
    is_tailed: bool,
) -> Result<Response, Refused> {
    let Outcome {
        id,
        result,
        usage,
        tail,
    } = outcome;
    let (body, is_error) = match result {
        Ok(Answer::Bytes(bytes)) => (bytes, false),
        Ok(Answer::Http(_)) => {
            let text = "the function answered a direct call as if it were a request";
            return Err(Error::Platform(text.to_owned()).into());
        }
        Err(fault) => (
            failed(id, &fault).ok_or_else(|| refused(context, named, fault))?,
            true,
        ),
    };
    let mut response = Response::new(full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    let version = Qualifier::numbered(usage.number);
    set(EXECUTED, version.to_string());
    set(REQUEST_ID, id.to_string());
    if is_error {
        set(FUNCTION_ERROR, "Unhandled".to_owned());
    }
    if is_tailed {
        let printed = tail.unwrap_or_default();
        let log = report::around(id, &usage, &printed);
        let beyond = log.len().saturating_sub(Outcome::TAIL);
        set(LOG_RESULT, STANDARD.encode(log.get(beyond..).unwrap_or_default()));
    }
    Ok(response)
}

/// The body of what went wrong in the function: as it reported it, or as Lambda words it. Nothing if it was not the function's.
fn failed(id: InvocationId, fault: &Fault) -> Option<Bytes> {
    let worded = |kind: &str, message: String| {
        Some(
            json!({ "errorType": kind, "errorMessage": message })
                .to_string()
                .into(),
        )
    };
    let exited = |how: String| {
        worded(
            "Runtime.ExitError",
            format!("RequestId: {id} Error: Runtime exited {how}"),
        )
    };
    match fault {
        Fault::Raised(error) | Fault::Init(error) => {
            if let Some(body) = &error.body {
                return Some(body.clone());
            }
            let mut body = serde_json::to_value(error).unwrap_or_default();
            if let Some(members) = body.as_object_mut() {
                members.insert("requestId".to_owned(), Json::from(id.to_string()));
            }
            Some(body.to_string().into())
        }
        Fault::TimedOut { after } => worded(
            "Sandbox.Timedout",
            format!(
                "RequestId: {id} Error: Task timed out after {:.2} seconds",
                after.as_secs_f64()
            ),
        ),
        Fault::Exited { how } if how == "exit status 0" => exited("without providing a reason".to_owned()),
        Fault::Exited { how } => exited(format!("with error: {how}")),
        Fault::OutOfMemory { .. } => worded("Runtime.OutOfMemory", format!("RequestId: {id} Error: {fault}")),
        Fault::AnswerTooLarge { size, limit } => worded(
            "Function.ResponseSizeTooLarge",
            format!(
                "Response payload size ({size} bytes) exceeded maximum allowed payload size ({limit} bytes)."
            ),
        ),
        Fault::Garbage { .. } => worded("Runtime.InvalidResponse", fault.to_string()),
        Fault::NoFunction { .. }
        | Fault::Busy { .. }
        | Fault::Payload { .. }
        | Fault::Unrunnable { .. }
        | Fault::Draining
        | Fault::Platform { .. } => None,
    }
}

fn refused(context: &Context<'_>, named: &Named, fault: Fault) -> Refused {
    match fault {
        Fault::NoFunction { .. } => named.missing(context.caller).into(),
        fault => Error::from(fault).into(),
    }
}

/// How the function is called, and whether the log's end is wanted.
fn kind(context: &Context<'_>) -> Result<(Kind, bool), Refused> {
    let header = |name: &str| {
        let value = context.headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut rules = Constraints::default();
    let kinds = [
        ("Event", Kind::Event),
        ("RequestResponse", Kind::RequestResponse),
        ("DryRun", Kind::DryRun),
    ];
    let kind = header("x-amz-invocation-type");
    let kind = rules.one_of(kind.as_deref(), "invocationType", &kinds);
    let log = header("x-amz-log-type");
    let log = rules.one_of(log.as_deref(), "logType", &[("None", false), ("Tail", true)]);
    rules.check()?;
    Ok((kind.unwrap_or(Kind::RequestResponse), log.unwrap_or(false)))
}

/// What the client says of itself, out of its base64.
fn client_context(context: &Context<'_>) -> Result<Option<String>, Refused> {
    let Some(given) = context.headers.get("x-amz-client-context") else {
        return Ok(None);
    };
    let refuse = |text: &str| Refused::from(Error::Content(text.to_owned()));
    if given.len() > CONTEXT {
        return Err(refuse(
            "Client context must be no more than 3583 bytes when base64-encoded.",
        ));
    }
    let text = STANDARD
        .decode(given.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        // A header holds one line, and in JSON white space means nothing.
        .and_then(|text| serde_json::from_str::<Json>(&text).ok())
        .filter(Json::is_object);
    let text = text.ok_or_else(|| refuse("Client context must be a valid Base64-encoded JSON object."))?;
    Ok(Some(ascii(&text.to_string())))
}

/// JSON in ASCII: what lies beyond is escaped, as a header must be.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// The lineage of a call: one deeper than that of the invocation that calls. A chain that calls itself would never end.
fn lineage(context: &Context<'_>, named: &Named) -> Result<Lineage, Refused> {
    let Lineage { root, depth } = context.lineage;
    if root.is_none() {
        return Ok(Lineage::default());
    }
    let depth = depth.saturating_add(1);
    if depth > Lineage::DEEPEST {
        return Err(Error::Loop(format!(
            "the call of {} lies {depth} calls and events deep in one chain, at most {} are let through: the functions call each other \
             in a loop",
            named.function,
            Lineage::DEEPEST
        ))
        .into());
    }
    Ok(Lineage { root, depth })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beyond_ascii_is_escaped_as_json_reads_it() {
        let value = json!({ "name": "grüße \u{1F600}" });
        let text = ascii(&value.to_string());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), value);
    }
}
