//! The handler: a request's way to its function or file and back.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use aloft_base::{Chance, Clock, InvocationId};
use aloft_call::{Call, Caller, Fault, HttpCall, Invoke, Lineage, Payload, Principal, Qualifier, Trace};
use aloft_definition::Method;
use aloft_http::{Body, BodyError, Handler, Peer, Refusal, Request, Response, collect, full};
use aloft_observe::Metrics;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{StatusCode, Uri};

use crate::app::{Live, Target};
use crate::metrics::{Declared, RouteMetrics};
use crate::routes::Match;
use crate::{App, Config, answer, path};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Serves an application.
pub struct Gateway {
    config: Config,
    invoke: Arc<dyn Invoke>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    live: ArcSwap<Live>,
    declared: Declared,
    files: RouteMetrics,
    none: RouteMetrics,
}

/// A request under way: what its log line needs. One that the server refused has no method and no path to be trusted.
struct Access<'a> {
    id: InvocationId,
    method: &'a str,
    path: &'a str,
    began: Instant,
}

/// Where an answer came from.
enum Served<'a> {
    Route(&'a Target),
    Files,
    Nothing,
}

impl Gateway {
    /// A gateway that serves nothing yet.
    pub fn new(
        config: Config,
        invoke: Arc<dyn Invoke>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        metrics: &Metrics,
    ) -> Self {
        let declared = Declared::register(metrics);
        Self {
            live: ArcSwap::from_pointee(Live::new(App::default(), &declared)),
            files: declared.of("files"),
            none: declared.of("none"),
            config,
            invoke,
            clock,
            chance,
            declared,
        }
    }

    /// Serves this from now on. Requests under way end with what they began with.
    pub fn replace(&self, app: App) {
        self.live.store(Arc::new(Live::new(app, &self.declared)));
    }

    async fn route<'l>(
        &self,
        live: &'l Live,
        watched: &mut Watched<'l>,
        head: Parts,
        body: Body,
    ) -> (Served<'l>, Response) {
        let id = watched.access.id;
        let uri = head.uri.clone();
        let Some(segments) = path::segments(uri.path()) else {
            let message = match uri.path() {
                "*" => "the whole server has no options: ask for a path",
                _ => "the path is not valid: its percent-encoding is broken or not UTF-8",
            };
            return (
                Served::Nothing,
                answer::problem(StatusCode::BAD_REQUEST, message, id),
            );
        };
        match live.routes.find(&head.method, &segments) {
            Match::Route {
                target,
                values,
                method,
            } => {
                watched.target = Some(target);
                (
                    Served::Route(target),
                    self.call(target, values, method, id, head, body).await,
                )
            }
            Match::Methods(methods) => self.file(live, &segments, methods, id, &head).await,
        }
    }

    async fn call(
        &self,
        target: &Target,
        values: Vec<String>,
        method: Method,
        id: InvocationId,
        mut head: Parts,
        body: Body,
    ) -> Response {
        // The body is read before an instance is asked for: a slow client must not hold one.
        let body = match collect(body, self.config.body_bytes).await {
            Ok(bytes) => full(bytes),
            Err(error) => return unread(&error, id),
        };
        answer::drop_hop_by_hop(&mut head.headers);
        if method == Method::Get && head.method == http::Method::HEAD {
            // HEAD follows GET: the same call, and the server leaves the body out.
            head.method = http::Method::GET;
        }
        let peer = head
            .extensions
            .get::<Peer>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
        let call = Call {
            id,
            qualifier: Qualifier::Latest,
            caller: Caller {
                tenant: self.config.tenant.clone(),
                region: self.config.region.clone(),
                principal: Principal::Anonymous,
            },
            lineage: Lineage::default(),
            deadline: None,
            trace: self.trace(&head),
            payload: Payload::Http(HttpCall {
                head,
                body,
                route: target.route.clone(),
                variables: target.names.iter().cloned().zip(values).collect(),
                peer,
            }),
        };
        let outcome = self.invoke.invoke(&target.function, call).await;
        outcome
            .result
            .and_then(answer::answered)
            .unwrap_or_else(|fault: Fault| answer::fault(&fault, id, self.config.is_dev))
    }

    /// The trace that the request belongs to, or a new one. Two headers are none: nobody can say which is meant.
    fn trace(&self, head: &Parts) -> Trace {
        let mut given = head.headers.get_all(TRACEPARENT).iter();
        match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
            (Some(text), None) => Trace::parse(text),
            _ => None,
        }
        .unwrap_or_else(|| Trace::begin(&*self.chance))
    }

    /// What no route takes: a file, a refusal of the method, or nothing.
    async fn file<'l>(
        &self,
        live: &'l Live,
        segments: &[Cow<'_, str>],
        mut methods: Vec<Method>,
        id: InvocationId,
        head: &Parts,
    ) -> (Served<'l>, Response) {
        if let Some((folder, path)) = live.folder(segments) {
            let is_read = matches!(head.method, http::Method::GET | http::Method::HEAD);
            let found = if is_read {
                folder.answer(head, path, self.clock.now()).await
            } else {
                let has = folder.has(path, head.uri.path().ends_with('/')).await;
                has.map(|has| {
                    methods.extend(has.then_some(Method::Get));
                    None
                })
            };
            match found {
                Ok(Some(response)) => return (Served::Files, response),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(request_id = %id, %error, "a file could not be read");
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    return (Served::Files, answer::problem(status, "internal error", id));
                }
            }
        }
        let response = if methods.is_empty() {
            answer::problem(StatusCode::NOT_FOUND, "nothing is served at this path", id)
        } else {
            answer::not_allowed(&methods, id)
        };
        (Served::Nothing, response)
    }

    /// Counts and logs the answer, and puts the request's id on it.
    fn finish(&self, access: &Access<'_>, served: &Served<'_>, mut response: Response) -> Response {
        if let Ok(id) = HeaderValue::try_from(access.id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let bytes = http_body::Body::size_hint(response.body()).exact();
        self.record(access, served, response.status(), bytes);
        response
    }

    /// The metrics and the access log: one line a request.
    fn record(&self, access: &Access<'_>, served: &Served<'_>, status: StatusCode, bytes: Option<u64>) {
        let (metrics, route) = match served {
            Served::Route(target) => (&target.metrics, &*target.route),
            Served::Files => (&self.files, "files"),
            Served::Nothing => (&self.none, "none"),
        };
        let took = self.clock.instant().saturating_duration_since(access.began);
        metrics.answered(status, took);
        tracing::info!(
            target: "access",
            method = access.method,
            path = access.path,
            status = status.as_u16(),
            bytes,
            duration_ms = took.as_secs_f64() * 1_000.0,
            request_id = %access.id,
            route,
        );
    }
}

/// Counts and logs a request whose client went away before there was an answer: its future is dropped then, and nobody else
/// would ever tell of it.
struct Watched<'a> {
    gateway: &'a Gateway,
    access: Access<'a>,
    target: Option<&'a Target>,
    is_answered: bool,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let served = self.target.map_or(Served::Nothing, Served::Route);
            self.gateway.record(&self.access, &served, client_gone(), Some(0));
        }
    }
}

/// 499, nginx's word for a client that closed before it had its answer. It is never sent.
fn client_gone() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

fn unread(error: &BodyError, id: InvocationId) -> Response {
    let refusal = Refusal::from(error);
    let mut response = answer::problem(refusal.status, &refusal.message, id);
    if matches!(error, BodyError::NoRoom) {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[async_trait]
impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Response {
        let began = self.clock.instant();
        let id = InvocationId::draw(&*self.chance);
        let live = self.live.load_full();
        let (mut head, body) = request.into_parts();
        if head.uri.scheme().is_some() {
            // The absolute form is for proxies; only the path counts here.
            head.uri = head
                .uri
                .path_and_query()
                .cloned()
                .map_or_else(Uri::default, Uri::from);
        }
        let (method, uri) = (head.method.clone(), head.uri.clone());
        let access = Access {
            id,
            method: method.as_str(),
            path: uri.path(),
            began,
        };
        let mut watched = Watched {
            gateway: self,
            access,
            target: None,
            is_answered: false,
        };
        let (served, response) = self.route(&live, &mut watched, head, body).await;
        watched.is_answered = true;
        self.finish(&watched.access, &served, response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let id = InvocationId::draw(&*self.chance);
        let response = answer::problem(refusal.status, &refusal.message, id);
        let access = Access {
            id,
            method: "-",
            path: "-",
            began: self.clock.instant(),
        };
        self.finish(&access, &Served::Nothing, response)
    }
}
