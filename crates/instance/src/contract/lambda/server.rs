//! The Runtime API (2018-06-01) over HTTP, for the one runtime that lives behind this listener. Paths, status codes and
//! error types are those of AWS's `aws-lambda-runtime-interface-emulator`, `rapi/`.

use std::sync::Arc;

use aloft_call::FunctionError;
use aloft_http::{Body, Deferrable, Handler, Request, Response, collect, full};
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::answer::{self, Unread};
use super::exchange::{Exchange, Job, Refused, Reply};

/// Lambda's limit for an answer: 6 MiB and 100 bytes.
pub(crate) const ANSWER_LIMIT: usize = (6 << 20) + 100;
/// The bound of a reported error; a longer one is refused.
const ERROR_LIMIT: usize = 256 << 10;
const PREFIX: &str = "/2018-06-01/";

/// Answers one instance's runtime.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    exchange: Arc<Exchange>,
    /// Shown to the function as the ARN that it was invoked by.
    arn: HeaderValue,
}

impl RuntimeApi {
    pub(crate) fn new(exchange: Arc<Exchange>, arn: &str) -> Self {
        Self {
            exchange,
            arn: HeaderValue::from_str(arn).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    async fn route(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Some(path) = head.uri.path().strip_prefix(PREFIX) else {
            return error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "the Runtime API is under /2018-06-01/",
            );
        };
        let parts: Vec<&str> = path.split('/').collect();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["runtime", "invocation", id, "response"]) => self.response(id, body).await,
            (&Method::POST, ["runtime", "invocation", id, "error"]) => match reported(&head, body).await {
                Ok(reported) => accepted(self.exchange.answer(id, Reply::Error(reported))),
                Err(refusal) => refusal,
            },
            (&Method::POST, ["runtime", "init", "error"]) => match reported(&head, body).await {
                Ok(reported) => accepted(self.exchange.fail_init(reported)),
                Err(refusal) => refusal,
            },
            (&Method::GET, ["ping"]) => Response::new(full("pong")),
            _ => error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "the Runtime API has no such path or method",
            ),
        }
    }

    async fn next(&self) -> Response {
        match self.exchange.next() {
            Err(refused) => refuse(&refused),
            Ok(next) => match next.await {
                Ok(job) => self.invocation(job),
                // The instance is being stopped; the runtime's process ends with it.
                Err(_) => error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "the instance is stopping",
                ),
            },
        }
    }

    fn invocation(&self, job: Job) -> Response {
        let mut response = Response::new(full(job.body));
        let headers = response.headers_mut();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set("lambda-runtime-aws-request-id", job.id.to_string());
        set("lambda-runtime-deadline-ms", job.deadline_ms.to_string());
        set("lambda-runtime-trace-id", job.trace);
        headers.insert("lambda-runtime-invoked-function-arn", self.arn.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn response(&self, id: &str, body: Body) -> Response {
        match answer::read(body, ANSWER_LIMIT).await {
            Ok(bytes) => {
                let mut response = accepted(self.exchange.answer(id, Reply::Answer(bytes)));
                if response.status() == StatusCode::ACCEPTED {
                    // A runtime that has asked for the next invocation already has no use for the acknowledgement before.
                    response.extensions_mut().insert(Deferrable);
                }
                response
            }
            Err(Unread::TooLarge { size }) => {
                // The caller is told; the runtime is told too, and lives on.
                match self.exchange.answer(id, Reply::TooLarge { size }) {
                    Err(refused) => refuse(&refused),
                    Ok(()) => error(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "RequestEntityTooLarge",
                        &format!("Exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes)."),
                    ),
                }
            }
            Err(Unread::Broken(broken)) => error(
                StatusCode::BAD_REQUEST,
                "TruncatedHTTPRequest",
                &broken.to_string(),
            ),
        }
    }
}

#[async_trait]
impl Handler for RuntimeApi {
    async fn handle(&self, request: Request) -> Response {
        self.route(request).await
    }
}

/// Reads a reported error. What is not the usual JSON is kept as the message, so that nothing is lost.
async fn reported(head: &http::request::Parts, body: Body) -> Result<FunctionError, Response> {
    let bytes = match collect(body, ERROR_LIMIT).await {
        Ok(bytes) => bytes,
        Err(unread) => {
            return Err(error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                &unread.to_string(),
            ));
        }
    };
    let kind = head
        .headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok());
    let mut reported: FunctionError = serde_json::from_slice(&bytes).unwrap_or_else(|_| FunctionError {
        kind: String::new(),
        message: String::from_utf8_lossy(&bytes).into_owned(),
        trace: Vec::new(),
    });
    if reported.kind.is_empty() {
        reported.kind = kind.unwrap_or("Runtime.Unknown").to_owned();
    }
    Ok(reported)
}

fn accepted(result: Result<(), Refused>) -> Response {
    match result {
        Ok(()) => json_response(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.to_owned()),
        Err(refused) => refuse(&refused),
    }
}

fn refuse(refused: &Refused) -> Response {
    match refused {
        Refused::WrongId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refused::OutOfOrder { state, wanted } => error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!(
                "State transition from {state} to {wanted} failed for runtime. Error: State transition is not allowed"
            ),
        ),
    }
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    json_response(
        status,
        json!({ "errorMessage": message, "errorType": kind }).to_string(),
    )
}

fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
