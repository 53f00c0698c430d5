//! Function URLs: `/_url/{id}/…`, where a function answers for all paths below its address.

use std::sync::Arc;

use aloft_base::{InvocationId, Tenant};
use aloft_call::{Fault, Principal};
use aloft_function::{Catalogue, FunctionUrl, Load, UrlAuth, UrlMode};
use aloft_http::{Body, Handler, Refusal, Request, Response, full};
use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};

use crate::access::Served;
use crate::call::Asked;
use crate::{Gateway, answer, cors};

/// The id of a call as Lambda's clients know it.
const LAMBDA_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// What routes of these addresses are called.
const ROUTE: &str = "$default";

/// Tells who has signed a request.
#[async_trait]
pub trait Verify: Send + Sync + 'static {
    /// Whether a request with this head can be signed by anybody, so that a stranger's body is never taken in.
    async fn can_be_signed(&self, head: &Parts, is_invited: bool) -> bool;

    /// Whoever has signed it, for an address that wants that. The head is as it came; `is_invited` when it comes from no web page, or from
    /// one that the address names.
    async fn signer(&self, head: &Parts, body: &[u8], is_invited: bool) -> Option<(Tenant, Principal)>;
}

/// Answers at functions' addresses.
pub struct FunctionUrls {
    gateway: Arc<Gateway>,
    catalogue: Arc<Catalogue>,
    load: Arc<dyn Load>,
    verify: Arc<dyn Verify>,
}

impl FunctionUrls {
    /// How all addresses' paths begin.
    pub const PREFIX: &'static str = "/_url/";

    /// The addresses that the catalogue and the store know, called as the gateway calls functions.
    pub fn new(
        gateway: Arc<Gateway>,
        catalogue: Arc<Catalogue>,
        load: Arc<dyn Load>,
        verify: Arc<dyn Verify>,
    ) -> Self {
        Self {
            gateway,
            catalogue,
            load,
            verify,
        }
    }

    async fn find(&self, id: &str) -> Result<Option<Arc<FunctionUrl>>, Fault> {
        let Ok(id) = id.parse() else { return Ok(None) };
        match self.catalogue.url(id) {
            Some(url) => Ok(Some(url)),
            None => self.load.url(id).await,
        }
    }

    async fn answer(&self, id: InvocationId, mut head: Parts, body: Body) -> Response {
        let path = head.uri.path().strip_prefix(Self::PREFIX).unwrap_or_default();
        let (named, rest) = path.split_once('/').unwrap_or((path, ""));
        let (named, rest) = (named.to_owned(), rest.to_owned());
        let url = match self.find(&named).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                let message = "there is no function URL with this id";
                return answer::problem(StatusCode::NOT_FOUND, message, id);
            }
            Err(fault) => return self.gateway.fault(&fault, id),
        };
        if let Some(cors) = &url.cors
            && let Some(answer) = cors::answer(cors, &head)
        {
            return answer;
        }
        let wants = Wants::of(&url, &head);
        if let Wants::Signature { is_invited } = wants
            && !self.verify.can_be_signed(&head, is_invited).await
        {
            return forbidden();
        }
        let body = match self.gateway.body(body, id).await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let principal = match wants {
            Wants::Nothing => Principal::Anonymous,
            Wants::Signature { is_invited } => match self.verify.signer(&head, &body, is_invited).await {
                // An address lets in its own account.
                Some((tenant, signer)) if tenant == url.function.tenant => signer,
                Some(_) | None => return forbidden(),
            },
        };
        head.uri = below(&rest, head.uri.query());
        let asking = url.cors.as_ref().map(|_| head.headers.clone());
        let asked = Asked {
            function: &url.function,
            qualifier: url.qualifier.clone(),
            principal,
            route: Arc::from(ROUTE),
            variables: Vec::new(),
            api: Arc::from(named),
            is_streamed: url.mode == UrlMode::Streamed,
        };
        let mut response = self.gateway.ask(asked, id, head, full(body)).await;
        if let (Some(cors), Some(asking)) = (&url.cors, asking) {
            cors::mark(cors, &asking, response.headers_mut());
        }
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(LAMBDA_REQUEST_ID, id);
        }
        response
    }
}

/// What an address wants of who calls.
#[derive(Clone, Copy)]
enum Wants {
    Nothing,
    Signature { is_invited: bool },
}

impl Wants {
    fn of(url: &FunctionUrl, head: &Parts) -> Self {
        match url.auth {
            UrlAuth::None => Self::Nothing,
            UrlAuth::Iam => {
                let is_page = head.headers.contains_key(ORIGIN);
                let is_named = |cors| cors::is_named(cors, &head.headers);
                Self::Signature {
                    is_invited: !is_page || url.cors.as_ref().is_some_and(is_named),
                }
            }
        }
    }
}

#[async_trait]
impl Handler for FunctionUrls {
    async fn handle(&self, request: Request) -> Response {
        let (mut watched, head, body) = self.gateway.begin(request);
        watched.serve(Served::Urls);
        let response = self.answer(watched.id(), head, body).await;
        watched.finish(response)
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.gateway.refuse(refusal)
    }
}

/// The target as the function sees it: what lies below its address.
fn below(path: &str, query: Option<&str>) -> Uri {
    let target = match query {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    };
    // It is a part of one that was read.
    PathAndQuery::try_from(target).map_or_else(|_| Uri::default(), Uri::from)
}

fn forbidden() -> Response {
    let mut response = Response::new(full(r#"{"Message":"Forbidden"}"#));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
