//! The Runtime API (2018-06-01) over HTTP, for the one runtime that lives behind this listener. Paths, status codes and
//! error types are those of AWS's `aws-lambda-runtime-interface-emulator`, `rapi/`.

use std::sync::Arc;

use aloft_call::Qualifier;
use aloft_http::{Body, BodyError, Handler, Peer, Request, Response, full};
use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::answer::{self, Unread};
use super::exchange::{Exchange, Job, Refused, Reply};
use super::{reported, stream};

/// Lambda's limit for an answer: 6 MiB and 100 bytes.
pub(crate) const ANSWER_LIMIT: usize = (6 << 20) + 100;
const ARN: &str = "lambda-runtime-invoked-function-arn";
const PREFIX: &str = "/2018-06-01/";
/// Where extensions ask for logs, now and formerly.
const TELEMETRY: [&str; 2] = ["/2022-07-01/telemetry", "/2020-08-15/logs"];
/// The query of an answer, or of an error, whose sender asks for the next invocation with it: `POST …/{id}/response?next`. It
/// is the one thing here that Lambda does not have, and saves the platform's own bootstraps a request for each invocation.
const NEXT: &str = "next";
/// How a runtime says that it sends its answer piece by piece. It is gathered for a caller who wants it as a whole.
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// Answers one instance's runtime.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    exchange: Arc<Exchange>,
    /// The function's ARN, which is shown to it as what it was invoked by, with the qualifier behind it.
    arn: HeaderValue,
}

impl RuntimeApi {
    pub(crate) fn new(exchange: Arc<Exchange>, arn: &str) -> Self {
        Self {
            exchange,
            arn: HeaderValue::from_str(arn).unwrap_or_else(|_| HeaderValue::from_static("")),
        }
    }

    /// Answers a request; one with `?next` that ends an invocation gets the next invocation for its answer.
    async fn route(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        if let Some(response) = self.step(&head, body).await {
            return response;
        }
        if head.uri.query() != Some(NEXT) {
            return json_response(StatusCode::ACCEPTED, r#"{"status":"OK"}"#);
        }
        if let Some(peer) = head.extensions.get::<Peer>() {
            // What was answered has gone to the caller, and the next invocation may be long in coming.
            peer.release();
        }
        self.next().await
    }

    /// What is to be answered; nothing when the runtime has told something and that is accepted.
    async fn step(&self, head: &Parts, body: Body) -> Option<Response> {
        if head.method == Method::PUT && TELEMETRY.contains(&head.uri.path()) {
            // Extensions live with this answer, which Lambda's emulator gives them.
            let message = "the platform tells nobody inside a sandbox what it logs";
            return Some(error(StatusCode::ACCEPTED, "Telemetry.NotSupported", message));
        }
        let Some(path) = head.uri.path().strip_prefix(PREFIX) else {
            let message = "the Runtime API is under /2018-06-01/";
            return Some(error(StatusCode::NOT_FOUND, "NotFound", message));
        };
        let parts: Vec<&str> = path.split('/').collect();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["runtime", "invocation", "next"]) => Some(self.next().await),
            (&Method::POST, ["runtime", "invocation", id, "response"]) => self.response(id, head, body).await,
            (&Method::POST, ["runtime", "invocation", id, "error"]) => {
                let reply = match reported::read(head, body).await {
                    (error, true) => Reply::Error(error),
                    (error, false) => Reply::Broken(error),
                };
                accepted(self.exchange.answer(id, reply))
            }
            (&Method::POST, ["runtime", "init", "error"]) => {
                let (error, _) = reported::read(head, body).await;
                accepted(self.exchange.fail_init(error))
            }
            (&Method::GET, ["ping"]) => Some(Response::new(full("pong"))),
            _ => {
                let message = "the Runtime API has no such path or method";
                Some(error(StatusCode::NOT_FOUND, "NotFound", message))
            }
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
        if let Some(context) = job.context {
            set("lambda-runtime-client-context", context);
        }
        headers.insert(ARN, self.arn.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if job.qualifier != Qualifier::Latest {
            let arn = [self.arn.as_bytes(), b":", job.qualifier.to_string().as_bytes()].concat();
            if let Ok(arn) = HeaderValue::from_bytes(&arn) {
                headers.insert(ARN, arn);
            }
        }
        response
    }

    /// Whatever is wrong with an answer ends the call, and the caller and the runtime are told the same.
    async fn response(&self, id: &str, head: &Parts, body: Body) -> Option<Response> {
        let mode = head.headers.get(RESPONSE_MODE);
        let is_streamed = mode.is_some_and(|mode| mode.as_bytes() == b"streaming");
        if is_streamed && let Some((to, relay)) = self.exchange.stream(id) {
            let (reply, broken) = stream::relay(to, head, body).await;
            let accepted = accepted(relay.end(reply));
            return accepted.or_else(|| broken.map(|broken| unread(&broken)));
        }
        let answer = answer::read(body, ANSWER_LIMIT).await;
        if mode.is_some_and(|mode| !mode.is_empty() && mode.as_bytes() != b"streaming") {
            let message = "Invalid function response mode";
            let reply = Reply::Error(reported::wrong("Runtime.InvalidResponseModeHeader", message));
            let refusal = || error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", message);
            return self.fail(id, reply, refusal);
        }
        match answer {
            Ok(heard) => {
                // Only who streams has something to add.
                let reply = match reported::trailing(&heard.trailers) {
                    Some(error) => Reply::Error(error),
                    None if is_streamed && stream::is_headed(head) => Reply::Headed(heard.bytes),
                    None => Reply::Answer(heard.bytes),
                };
                accepted(self.exchange.answer(id, reply))
            }
            // The runtime lives on.
            Err(Unread::TooLarge { size }) => self.fail(
                id,
                Reply::TooLarge {
                    size,
                    limit: ANSWER_LIMIT,
                },
                || {
                    error(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "RequestEntityTooLarge",
                        &format!("Exceeded maximum allowed payload size ({ANSWER_LIMIT} bytes)."),
                    )
                },
            ),
            Err(Unread::Broken(broken)) => {
                let reply = Reply::Broken(reported::truncated(&broken));
                self.fail(id, reply, || unread(&broken))
            }
        }
    }

    /// Ends the call with what is wrong with its answer, and refuses that to the runtime.
    fn fail(&self, id: &str, reply: Reply, refusal: impl FnOnce() -> Response) -> Option<Response> {
        accepted(self.exchange.answer(id, reply)).or_else(|| Some(refusal()))
    }
}

#[async_trait]
impl Handler for RuntimeApi {
    async fn handle(&self, request: Request) -> Response {
        self.route(request).await
    }
}

fn accepted(result: Result<(), Refused>) -> Option<Response> {
    result.err().map(|refused| refuse(&refused))
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

fn unread(broken: &BodyError) -> Response {
    let (status, kind) = match broken {
        BodyError::NoRoom => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        _ => (StatusCode::BAD_REQUEST, "TruncatedHTTPRequest"),
    };
    error(status, kind, &broken.to_string())
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    json_response(
        status,
        json!({ "errorMessage": message, "errorType": kind }).to_string(),
    )
}

fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
