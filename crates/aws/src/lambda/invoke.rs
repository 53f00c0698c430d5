//! `Invoke`.

use aloft_access::{Action, Resource, decide};
use aloft_base::InvocationId;
use aloft_call::{Answer, Call, Direct, Fault, Lineage, Outcome, Payload, Qualifier, Report, Trace, ascii};
use aloft_http::{Response, full};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value as Json, json};

use super::names::Named;
use super::{Context, Error, events, nothing, settings};
use crate::Error as Refused;
use crate::answer::REQUEST_ID;
use crate::input::Constraints;

/// Lambda's bound of a client's context, in base64.
const CONTEXT: usize = 3_583;

const EXECUTED: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");
const LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RequestResponse,
    Event,
    DryRun,
}

pub(super) async fn run(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let (named, kind, is_tailed, call) = asked(context, body)?;
    match kind {
        Kind::RequestResponse => {
            let outcome = context.streams.whole(&context.id(&named.function), call).await;
            answered(context, &named, outcome, is_tailed)
        }
        Kind::DryRun => {
            found(context, &named).await?;
            Ok(nothing(StatusCode::NO_CONTENT))
        }
        Kind::Event => match call.payload {
            Payload::Direct(direct) => events::accept(context, &named, direct.body, call.lineage).await,
            Payload::Http(_) | Payload::Event(_) => {
                Err(Error::Platform("it is no direct call".to_owned()).into())
            }
        },
    }
}

/// Reads what a request asks for: of which function, how, whether the end of the log is wanted, and the call.
pub(super) fn asked(context: &Context<'_>, body: Bytes) -> Result<(Named, Kind, bool, Call), Refused> {
    let named = called(context)?;
    let not_built = ["x-amz-tenant-id", "x-amz-durable-execution-name"];
    if let Some(name) = not_built.iter().find(|name| context.headers.contains_key(**name)) {
        return Err(settings::not_supported(name));
    }
    let (kind, is_tailed) = kind(context)?;
    let client = client_context(context)?;
    let call = Call {
        id: InvocationId::draw(context.chance),
        qualifier: named.qualifier.clone().unwrap_or_default(),
        caller: context.caller.clone(),
        payload: Payload::Direct(Direct {
            body: payload(body)?,
            context: client,
            is_tailed,
            is_deferred: false,
        }),
        lineage: lineage(context, &named)?,
        deadline: None,
        trace: context.trace,
        stream: None,
    };
    Ok((named, kind, is_tailed, call))
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
    Direct::check(&body).map(|()| body).map_err(|error| {
        Error::Content(format!(
            "Could not parse request body into json: Could not parse payload into json: {error}"
        ))
    })
}

/// Whether the version that is meant is there and can be run.
pub(super) async fn found(context: &Context<'_>, named: &Named) -> Result<(), Refused> {
    let qualifier = &named.qualifier.clone().unwrap_or_default();
    if *qualifier == Qualifier::Latest && context.of_project(&named.function).is_some() {
        return Ok(());
    }
    let id = context.id(&named.function);
    let loaded = context.parts.load.load(&id, qualifier).await;
    loaded
        .map(drop)
        .map_err(|fault| refused(context, named, fault).into())
}

fn answered(
    context: &Context<'_>,
    named: &Named,
    outcome: Outcome,
    is_tailed: bool,
) -> Result<Response, Refused> {
    let id = outcome.id;
    let (body, is_error) = match &outcome.result {
        Ok(Answer::Bytes(bytes)) => (bytes.clone(), false),
        Ok(Answer::Http(_) | Answer::Streamed) => {
            let text = "the function answered a direct call as if it were a request";
            return Err(Error::Platform(text.to_owned()).of(id).into());
        }
        Err(fault) => (
            failed(id, fault)
                .ok_or_else(|| refused(context, named, fault.clone()).of(id))?
                .1,
            true,
        ),
    };
    let mut response = Response::new(full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    describe(headers, (id, context.trace), outcome.usage.number);
    if is_error {
        headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    if is_tailed && let Ok(log) = HeaderValue::from_str(&log(&outcome)) {
        headers.insert(LOG_RESULT, log);
    }
    Ok(response)
}

/// Says on an answer which call it answers, in which trace, and which version ran.
pub(super) fn describe(headers: &mut HeaderMap, (id, trace): (InvocationId, Trace), version: u64) {
    for (name, value) in [
        (TRACE_ID, trace.xray()),
        (EXECUTED, Qualifier::numbered(version).to_string()),
        (REQUEST_ID, id.to_string()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// The end of a call's log, in base64.
pub(super) fn log(outcome: &Outcome) -> String {
    let printed = outcome.tail.clone().unwrap_or_default();
    // What code prints while it is loaded stands before the start of its call, as in the log.
    let loading = match &outcome.result {
        Err(Fault::Init(error)) => error.printed.as_deref().cloned().unwrap_or_default(),
        _ => Bytes::new(),
    };
    let (usage, report) = (&outcome.usage, Report::of(outcome));
    let (logging, ended) = (usage.logging, usage.ended);
    let start = Report::start(logging, outcome.id, usage.number, ended - usage.run);
    let failed = outcome.result.as_ref().err();
    let error = failed
        .and_then(|fault| Report::error(logging, ended, outcome.id, (fault.word(), &fault.to_string())));
    let end = [error, report.end(logging, ended), report.report(logging, ended)];
    let lines = |lines: &[Option<String>]| {
        lines
            .iter()
            .flatten()
            .flat_map(|line| [line, "\n"])
            .collect::<String>()
    };
    let log = [
        &loading,
        lines(&[start]).as_bytes(),
        &printed,
        lines(&end).as_bytes(),
    ]
    .concat();
    let beyond = log.len().saturating_sub(Outcome::TAIL);
    STANDARD.encode(log.get(beyond..).unwrap_or_default())
}

/// What went wrong in the function, its type and its body: as it reported it, or as Lambda words it. Nothing if it was not the function's.
pub(super) fn failed(id: InvocationId, fault: &Fault) -> Option<(String, Bytes)> {
    let worded = |kind: &str, message: String| {
        let body = json!({ "errorType": kind, "errorMessage": message });
        Some((kind.to_owned(), body.to_string().into()))
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
                return Some((error.kind.clone(), body.clone()));
            }
            let mut body = serde_json::to_value(error).unwrap_or_default();
            if let Some(members) = body.as_object_mut() {
                members.insert("requestId".to_owned(), Json::from(id.to_string()));
            }
            Some((error.kind.clone(), body.to_string().into()))
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

pub(super) fn refused(context: &Context<'_>, named: &Named, fault: Fault) -> Error {
    match fault {
        Fault::NoFunction { .. } => named.missing(context.caller),
        fault => Error::from(fault),
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
