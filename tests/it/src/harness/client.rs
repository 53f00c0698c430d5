//! A plain HTTP client: one connection per call, no redirects, every status an answer.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Request;
use ureq::{Agent, Body};

/// Longer than any answer of the platform may take, cold start on two busy cores included.
const BOUND: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?} {}", self.text()))
    }

    /// Checks the status, and shows the answer when it is another.
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Checks an error of the platform itself: `{"message","request_id"}`, each with something in it.
    pub(crate) fn refusal(self, statuses: &[u16]) -> Value {
        assert!(
            statuses.contains(&self.status),
            "{} is none of {statuses:?}: {}",
            self.status,
            self.text()
        );
        let body = self.json();
        for key in ["message", "request_id"] {
            assert!(
                body[key].as_str().is_some_and(|text| !text.is_empty()),
                "no {key} in {body}"
            );
        }
        body
    }
}

/// `GET`, which must be answered.
pub(crate) fn get(url: &str) -> Answer {
    call("GET", url, &[], b"")
}

/// JSON, which must be answered.
pub(crate) fn send(method: &str, url: &str, body: &Value) -> Answer {
    call(
        method,
        url,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
}

/// A call that must be answered.
pub(crate) fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_call(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// A call that may find nobody: a platform that is being killed answers nothing.
pub(crate) fn try_call(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .timeout_global(Some(BOUND))
        .proxy(None)
        .build()
        .into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = if body.is_empty() {
        agent.run(request.body(()).map_err(|error| error.to_string())?)
    } else {
        agent.run(request.body(body).map_err(|error| error.to_string())?)
    };
    read(answer.map_err(|error| error.to_string())?)
}

fn read(mut answer: ureq::http::Response<Body>) -> Result<Answer, String> {
    let named = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (
            name.as_str().to_owned(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    };
    let headers = answer.headers().iter().map(named).collect();
    let body = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_to_vec()
        .map_err(|error| error.to_string())?;
    Ok(Answer {
        status: answer.status().as_u16(),
        headers,
        body,
    })
}
