//! The handler: a request's way to its function or file and back.

use std::borrow::Cow;
use std::sync::Arc;

use aloft_base::{Chance, Clock, InvocationId};
use aloft_call::{Principal, Qualifier, Streams};
use aloft_definition::Method;
use aloft_http::{Body, Handler, Refusal, Request, Response, full};
use aloft_observe::Metrics;
use aloft_tenant::Tenants;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::request::Parts;
use http::{StatusCode, Uri};

use crate::access::{Served, Watched};
use crate::app::{Live, Target};
use crate::call::Asked;
use crate::metrics::{Declared, RouteMetrics};
use crate::routes::Match;
use crate::{App, Config, answer, path};

/// Serves an application.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) streams: Streams,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    /// How many requests the functions of accounts may get, where a node has several.
    pub(crate) tenants: Option<Tenants>,
    live: ArcSwap<Live>,
    declared: Declared,
    pub(crate) urls: RouteMetrics,
    pub(crate) files: RouteMetrics,
    pub(crate) none: RouteMetrics,
    /// What the API of routes is called.
    api: Arc<str>,
}

impl Gateway {
    /// A gateway that serves nothing yet.
    pub fn new(
        config: Config,
        streams: Streams,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        metrics: &Metrics,
    ) -> Self {
        let declared = Declared::register(metrics);
        Self {
            live: ArcSwap::from_pointee(Live::new(App::default(), &declared)),
            urls: declared.of("urls"),
            files: declared.of("files"),
            none: declared.of("none"),
            api: Arc::from("aloft"),
            tenants: None,
            config,
            streams,
            clock,
            chance,
            declared,
        }
    }

    /// The same, where accounts have quotas of requests.
    #[must_use]
    pub fn bounded_by(self, tenants: Option<Tenants>) -> Self {
        Self { tenants, ..self }
    }

    /// Serves this from now on. Requests under way end with what they began with.
    pub fn replace(&self, app: App) {
        self.live.store(Arc::new(Live::new(app, &self.declared)));
    }

    /// Begins with a request.
    pub(crate) fn begin(&self, request: Request) -> (Watched<'_>, Parts, Body) {
        let (mut head, body) = request.into_parts();
        if head.uri.scheme().is_some() {
            // The absolute form is for proxies; only the path counts here.
            head.uri = head
                .uri
                .path_and_query()
                .cloned()
                .map_or_else(Uri::default, Uri::from);
        }
        let request = (head.method.clone(), head.uri.clone());
        (Watched::new(self, Some(request)), head, body)
    }

    async fn route<'l>(
        &'l self,
        live: &'l Live,
        watched: &mut Watched<'l>,
        head: Parts,
        body: Body,
    ) -> Response {
        let id = watched.id();
        let uri = head.uri.clone();
        let Some(segments) = path::segments(uri.path()) else {
            let message = match uri.path() {
                "*" => "the whole server has no options: ask for a path",
                _ => "the path is not valid: its percent-encoding is broken or not UTF-8",
            };
            return answer::problem(StatusCode::BAD_REQUEST, message, id);
        };
        match live.routes.find(&head.method, &segments) {
            Match::Route {
                target,
                values,
                method,
            } => {
                watched.serve(Served::Route(target));
                self.call(target, values, method, id, head, body).await
            }
            Match::Methods(methods) => {
                let (served, response) = self.file(live, &segments, methods, id, &head).await;
                watched.serve(served);
                response
            }
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
        let body = if target.is_streamed {
            body
        } else {
            match self.body(body, id).await {
                Ok(body) => full(body),
                Err(refused) => return refused,
            }
        };
        if method == Method::Get && head.method == http::Method::HEAD {
            // HEAD follows GET: the same call, and the server leaves the body out.
            head.method = http::Method::GET;
        }
        let asked = Asked {
            function: &target.function,
            qualifier: Qualifier::Latest,
            principal: Principal::Anonymous,
            route: target.route.clone(),
            variables: target.names.iter().cloned().zip(values).collect(),
            api: self.api.clone(),
            is_streamed: true,
        };
        self.ask(asked, id, head, body).await
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
}

#[async_trait]
impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Response {
        let live = self.live.load_full();
        let (mut watched, head, body) = self.begin(request);
        let response = self.route(&live, &mut watched, head, body).await;
        watched.finish(response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let watched = Watched::new(self, None);
        let response = answer::problem(refusal.status, &refusal.message, watched.id());
        watched.finish(response)
    }
}
