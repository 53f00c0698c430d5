//! The access log: each request is counted and logged once, whatever becomes of it.

use std::time::Instant;

use aloft_base::InvocationId;
use aloft_http::Response;
use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

use crate::app::Target;
use crate::gateway::Gateway;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where an answer came from.
#[derive(Clone, Copy)]
pub(crate) enum Served<'a> {
    Route(&'a Target),
    Urls,
    Files,
    Nothing,
}

/// A request under way: what its log line needs.
///
/// One whose client went away before there was an answer is logged, too: its future is dropped then, and nobody else would ever tell
/// of it.
pub(crate) struct Watched<'a> {
    gateway: &'a Gateway,
    id: InvocationId,
    /// One that the server refused has no method and no path to be trusted.
    request: Option<(Method, Uri)>,
    began: Instant,
    served: Served<'a>,
    is_answered: bool,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(gateway: &'a Gateway, request: Option<(Method, Uri)>) -> Self {
        Self {
            gateway,
            id: InvocationId::draw(&*gateway.chance),
            request,
            began: gateway.clock.instant(),
            served: Served::Nothing,
            is_answered: false,
        }
    }

    pub(crate) fn id(&self) -> InvocationId {
        self.id
    }

    /// Takes down who is to answer.
    pub(crate) fn serve(&mut self, served: Served<'a>) {
        self.served = served;
    }

    /// Counts and logs the answer, and puts the request's id on it.
    pub(crate) fn finish(mut self, mut response: Response) -> Response {
        self.is_answered = true;
        if let Ok(id) = HeaderValue::try_from(self.id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let bytes = http_body::Body::size_hint(response.body()).exact();
        self.record(response.status(), bytes);
        response
    }

    /// The metrics and the access log: one line a request.
    fn record(&self, status: StatusCode, bytes: Option<u64>) {
        let gateway = self.gateway;
        let (metrics, route) = match self.served {
            Served::Route(target) => (&target.metrics, &*target.route),
            Served::Urls => (&gateway.urls, "urls"),
            Served::Files => (&gateway.files, "files"),
            Served::Nothing => (&gateway.none, "none"),
        };
        let took = gateway.clock.instant().saturating_duration_since(self.began);
        metrics.answered(status, took);
        let request = self.request.as_ref();
        let (method, path) = request.map_or(("-", "-"), |(method, uri)| (method.as_str(), uri.path()));
        tracing::info!(
            target: "access",
            method,
            path,
            status = status.as_u16(),
            bytes,
            duration_ms = took.as_secs_f64() * 1_000.0,
            request_id = %self.id,
            route,
        );
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.record(client_gone(), Some(0));
        }
    }
}

/// 499, nginx's word for a client that closed before it had its answer. It is never sent.
fn client_gone() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}
