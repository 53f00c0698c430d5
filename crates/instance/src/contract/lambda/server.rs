//! The Runtime API (2018-06-01) over HTTP, for the one runtime that lives behind this listener. Paths, status codes and
//! error types are those of AWS's `aws-lambda-runtime-interface-emulator`, `rapi/`.

use std::sync::Arc;

use aloft_http::{Body, BodyError, Deferrable, Handler, Request, Response, full};
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::answer::{self, Unread};
use super::exchange::{Exchange, Job, Refused, Reply};
use super::reported;

/// Lambda's limit for an answer: 6 MiB and 100 bytes.
pub(crate) const ANSWER_LIMIT: usize = (6 << 20) + 100;
const PREFIX: &str = "/2018-06-01/";
/// How a runtime says that it sends its answer piece by piece.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

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
            (&Method::POST, ["runtime", "invocation", id, "response"]) => {
                self.response(id, &head, body).await
            }
            (&Method::POST, ["runtime", "invocation", id, "error"]) => {
                let reply = match reported::read(&head, body).await {
                    (error, true) => Reply::Error(error),
                    (error, false) => Reply::Broken(error),
                };
                accepted(self.exchange.answer(id, reply))
            }
            (&Method::POST, ["runtime", "init", "error"]) => {
                let (error, _) = reported::read(&head, body).await;
                accepted(self.exchange.fail_init(error))
            }
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

    /// Whatever is wrong with an answer ends the call, and the caller and the runtime are told the same.
    async fn response(&self, id: &str, head: &http::request::Parts, body: Body) -> Response {
        let answer = answer::read(body, ANSWER_LIMIT).await;
        if let Some(mode) = head.headers.get(RESPONSE_MODE).filter(|mode| !mode.is_empty()) {
            let message = match mode.as_bytes() {
                b"streaming" => {
                    "streamed answers are not supported: answer at once, without the header \
                     Lambda-Runtime-Function-Response-Mode"
                }
                _ => "Invalid function response mode",
            };
            let reply = Reply::Error(reported::wrong("Runtime.InvalidResponseModeHeader", message));
            let refusal = || error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", message);
            return self.fail(id, reply, refusal);
        }
        match answer {
            Ok(bytes) => {
                let mut response = accepted(self.exchange.answer(id, Reply::Answer(bytes)));
                if response.status() == StatusCode::ACCEPTED {
                    // A runtime that has asked for the next invocation already has no use for the acknowledgement before.
                    response.extensions_mut().insert(Deferrable);
                }
                response
            }
            // The runtime lives on.
            Err(Unread::TooLarge { size }) => self.fail(id, Reply::TooLarge { size }, || {
                error(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    &format!("Exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes)."),
                )
            }),
            Err(Unread::Broken(broken)) => {
                let message = broken.to_string();
                let reply = Reply::Broken(reported::wrong("Runtime.TruncatedResponse", &message));
                self.fail(id, reply, || match broken {
                    BodyError::NoRoom => {
                        error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", &message)
                    }
                    _ => error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", &message),
                })
            }
        }
    }

    /// Ends the call with what is wrong with its answer, and refuses that to the runtime.
    fn fail(&self, id: &str, reply: Reply, refusal: impl FnOnce() -> Response) -> Response {
        match self.exchange.answer(id, reply) {
            Err(refused) => refuse(&refused),
            Ok(()) => refusal(),
        }
    }
}

#[async_trait]
impl Handler for RuntimeApi {
    async fn handle(&self, request: Request) -> Response {
        self.route(request).await
    }
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
