//! Answers: a function's, made fit for the wire, and those that the gateway gives itself.

use aloft_base::{ErrorKind, InvocationId};
use aloft_call::{Answer, Fault, FunctionError};
use aloft_definition::Method;
use aloft_http::{Response, empty, full};
use http::StatusCode;
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use serde::Serialize;

/// What an error's body says.
#[derive(Serialize)]
struct Problem<'a> {
    message: &'a str,
    request_id: InvocationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FunctionError>,
}

/// `{"message","request_id"}` with this status.
pub(crate) fn problem(status: StatusCode, message: &str, id: InvocationId) -> Response {
    write(
        status,
        &Problem {
            message,
            request_id: id,
            error: None,
        },
    )
}

/// The path is known, but not with this method.
pub(crate) fn not_allowed(methods: &[Method], id: InvocationId) -> Response {
    let mut names: Vec<&str> = methods
        .iter()
        .filter(|m| **m != Method::Any)
        .map(|m| m.as_str())
        .collect();
    if methods.contains(&Method::Get) && !methods.contains(&Method::Head) {
        names.push(Method::Head.as_str());
    }
    names.sort_unstable();
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not have that method",
        id,
    );
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// What a function answered, without what belongs to a connection (RFC 9110, section 7.6.1).
pub(crate) fn answered(answer: Answer) -> Result<Response, Fault> {
    let mut response = match answer {
        Answer::Http(response) => response,
        Answer::Bytes(_) | Answer::Streamed => {
            return Err(Fault::Garbage {
                why: "it is not an HTTP answer".to_owned(),
            });
        }
    };
    let status = response.status();
    if status.is_informational() {
        return Err(Fault::Garbage {
            why: format!("the status {} cannot end a request", status.as_u16()),
        });
    }
    drop_hop_by_hop(response.headers_mut());
    // The length is the body's own; one that differs would cut the connection or leave it hanging.
    response.headers_mut().remove(CONTENT_LENGTH);
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *response.body_mut() = empty();
    }
    Ok(response)
}

/// Takes out what speaks of one connection (RFC 9110, section 7.6.1): behind an edge there is another one.
pub(crate) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Nobody may take the length from a body, or the host from a request, by naming it here.
        .filter(|name| ![CONTENT_LENGTH, HOST].contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

/// What a client gets when its call has no answer. Outside `dev` it learns the sort of failure and nothing else.
pub(crate) fn fault(fault: &Fault, id: InvocationId, is_dev: bool) -> Response {
    let kind = fault.kind();
    if kind == ErrorKind::Internal {
        tracing::error!(request_id = %id, %fault, "a call failed in the platform");
    }
    let (status, message) = match fault {
        // Nothing that passes: it is the application's fault, and nobody should be told to try again.
        Fault::Unrunnable { .. } => (StatusCode::BAD_GATEWAY, "the function cannot be run"),
        _ => told(kind),
    };
    let error = is_dev.then(|| fault.error());
    let mut response = write(
        status,
        &Problem {
            message,
            request_id: id,
            error,
        },
    );
    let retry = match fault {
        Fault::Busy { retry_after, .. } => Some(retry_after.as_millis().div_ceil(1_000).max(1)),
        Fault::Draining => Some(1),
        _ => None,
    };
    if let Some(value) = retry.and_then(|seconds| HeaderValue::try_from(seconds.to_string()).ok()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// The one map from kinds of failure to statuses.
fn told(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Function => (StatusCode::BAD_GATEWAY, "the function failed"),
        // The route names it, so its absence is the application's fault and not the client's.
        ErrorKind::Missing => (StatusCode::BAD_GATEWAY, "the route's function does not exist"),
        ErrorKind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "the function did not answer in time"),
        ErrorKind::Throttled => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests at once: try again later",
        ),
        ErrorKind::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is larger than the function takes",
        ),
        ErrorKind::Invalid => (
            StatusCode::BAD_REQUEST,
            "the request cannot be handed to the function",
        ),
        ErrorKind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the service is going down: try again",
        ),
        ErrorKind::Denied => (StatusCode::FORBIDDEN, "the request is not allowed"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "the request conflicts with another"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

fn write(status: StatusCode, problem: &Problem<'_>) -> Response {
    let json = serde_json::to_vec(problem).unwrap_or_else(|error| {
        tracing::error!(%error, "an error could not be written");
        b"{\"message\":\"internal error\"}".to_vec()
    });
    let mut response = Response::new(full(json));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
