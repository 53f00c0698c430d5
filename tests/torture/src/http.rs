//! A plain HTTP client: one connection a call, every status an answer.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

/// Longer than a function's timeout and a pause of the platform together.
const BOUND: Duration = Duration::from_secs(45);

const CONTENT_TYPE: &str = "content-type";

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Calls; no answer is nothing. What is not JSON is null.
pub(crate) fn call(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Option<Answer> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(BOUND))
        .proxy(None)
        .build()
        .into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        None => agent.run(request.body(()).ok()?),
        Some(body) => {
            let is_typed = headers.iter().any(|(name, _)| *name == CONTENT_TYPE);
            let request = if is_typed {
                request
            } else {
                request.header(CONTENT_TYPE, "application/json")
            };
            agent.run(request.body(body.to_string()).ok()?)
        }
    };
    let mut answer = answer.ok()?;
    let status = answer.status().as_u16();
    let bytes = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_vec()
        .ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(Answer { status, body })
}
