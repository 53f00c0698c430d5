//! Which request is which.

use std::convert::Infallible;
use std::sync::Arc;

use aloft_base::{Chance, Clock, ErrorKind, Policy, Region, Tasks, Tenant};
use aloft_call::Invoke;
use aloft_controller::Controller;
use aloft_function::{Catalogue, Functions};
use aloft_http::{Handler, Refusal, Request, Response, full};
use aloft_log::Logs;
use aloft_observe::{Feed, Metrics};
use aloft_tenant::Tenants;
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use tokio::sync::oneshot;

use crate::account::Accounts;
use crate::error::{Error, json_response};
use crate::guard::{Asker, Guard};
use crate::ready::Readiness;
use crate::{deliveries, instances, invocations, invoke, logs, rules, tenants};

/// What the API asks and shows.
pub struct Parts {
    /// Who may ask.
    pub guard: Guard,
    /// What runs functions.
    pub invoke: Arc<dyn Invoke>,
    /// What holds their instances.
    pub controller: Controller,
    /// The accounts, where a node has several.
    pub tenants: Option<Tenants>,
    /// What runs in the background, and holds what could not be delivered.
    pub accounts: Arc<dyn Accounts>,
    /// What functions said.
    pub logs: Logs,
    /// The functions of the project.
    pub catalogue: Arc<Catalogue>,
    /// Those that users make.
    pub functions: Functions,
    /// What happens.
    pub feed: Feed,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the node can do its work.
    pub readiness: Arc<Readiness>,
    /// Where changes run that must come to their end.
    pub tasks: Tasks,
    /// The region of all accounts' things.
    pub region: Region,
    /// For what is asked since some time ago.
    pub clock: Arc<dyn Clock>,
    /// For ids.
    pub chance: Arc<dyn Chance>,
}

/// The most of a body: a call's payload.
const BODY: usize = 6 << 20;

/// Answers `/_aloft/…`.
pub struct Api(Parts);

impl Api {
    /// The path under which everything lies.
    pub const PREFIX: &str = "/_aloft/";

    /// An API over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    async fn route(&self, request: Request) -> Result<Response, Error> {
        let parts = &self.0;
        let path = request
            .uri()
            .path()
            .strip_prefix(Self::PREFIX)
            .unwrap_or_default()
            .to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        let method = request.method().clone();
        match (&method, segments.as_slice()) {
            (&Method::GET, ["health"]) => {
                return Ok(json_response(StatusCode::OK, &json!({ "status": "ok" })));
            }
            (&Method::GET, ["ready"]) => return Ok(self.ready()),
            _ => {}
        }
        let (asker, request) = parts.guard.check(request, BODY).await?;
        let (tenant, request) = match self.asked(&asker, &segments, request).await? {
            Ok(asked) => asked,
            Err(answer) => return Ok(answer),
        };
        let account = parts.accounts.of(&tenant).await;
        let account = &account.map_err(|(kind, message)| Error::new(kind, message))?;
        match (&method, segments.as_slice()) {
            (&Method::GET, ["metrics"]) => {
                let mut response = Response::new(full(parts.metrics.render()));
                let kind =
                    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                Ok(response)
            }
            (&Method::POST, ["functions", name, "invoke"]) => {
                invoke::invoke(parts, account, name, request).await
            }
            (&Method::GET, ["logs"]) => {
                logs::logs(parts, account, request.uri().query().unwrap_or_default()).await
            }
            (&Method::GET, ["invocations", id]) => invocations::show(parts, account, id).await,
            (&Method::GET, ["instances"]) => Ok(json_response(
                StatusCode::OK,
                &instances::instances(&parts.controller, &account.namespace.tenant),
            )),
            (&Method::GET, ["rules"]) => {
                Ok(json_response(StatusCode::OK, &rules::rules(&account.rules).await))
            }
            (&Method::GET, ["deliveries"]) => {
                deliveries::list(&account.rules, request.uri().query().unwrap_or_default()).await
            }
            (&Method::GET, ["deliveries", id]) => deliveries::show(account, id).await,
            (&Method::POST, ["deliveries", id, "retry"]) => deliveries::retry(account, id).await,
            (&Method::DELETE, ["deliveries", id]) => deliveries::drop(&account.rules, id).await,
            _ => Err(Error::new(
                ErrorKind::Missing,
                format!("there is no {method} {}{path}", Self::PREFIX),
            )),
        }
    }

    /// Whose things are asked for; or the answer, where it is for whoever runs the node.
    async fn asked(
        &self,
        asker: &Asker,
        path: &[&str],
        request: Request,
    ) -> Result<Result<(Tenant, Request), Response>, Error> {
        if let Asker::Account(tenant) = asker {
            let is_operators = matches!(path, ["tenants" | "keys", ..])
                || (matches!(path, ["metrics"]) && *tenant != Tenant::local());
            if is_operators {
                let message = match self.0.tenants {
                    Some(_) => {
                        "this is for whoever runs the node: use --data with its folder, or an administrator's key"
                    }
                    None => {
                        "this node has one account, and anybody who reaches it has it: `aloft serve` serves several"
                    }
                };
                return Err(Error::new(ErrorKind::Denied, message));
            }
            if let Some(tenants) = &self.0.tenants {
                let wait = tenants.take(tenant);
                wait.map_err(|_| {
                    let message =
                        "the account sends more requests a second than its quota: try again in a second";
                    Error::new(ErrorKind::Throttled, message)
                })?;
            }
            return Ok(Ok((tenant.clone(), request)));
        }
        let Some(tenants) = &self.0.tenants else {
            return Ok(Ok((Tenant::local(), request)));
        };
        match path {
            ["tenants" | "keys", ..] => {}
            ["metrics"] => return Ok(Ok((Tenant::local(), request))),
            _ => {
                let message =
                    "whoever runs a service has none of the tenants' things: sign with a key of the tenant";
                return Err(Error::new(ErrorKind::Denied, message));
            }
        }
        match self.to_its_end(tenants.clone(), path, request).await? {
            Some(answer) => Ok(Err(answer)),
            None => Err(Error::new(
                ErrorKind::Missing,
                "there is no such thing of tenants and keys",
            )),
        }
    }

    /// What is asked of accounts, in a task of its own: a client that goes away must not leave what is known behind what is stored.
    async fn to_its_end(
        &self,
        tenants: Tenants,
        path: &[&str],
        request: Request,
    ) -> Result<Option<Response>, Error> {
        let parts = &self.0;
        let (catalogue, logs, region) = (parts.catalogue.clone(), parts.logs.clone(), parts.region.clone());
        let path: Vec<String> = path.iter().map(|segment| (*segment).to_owned()).collect();
        let (done, answer) = oneshot::channel();
        let work = async move {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            // Whoever asked may have gone.
            let _ = done.send(tenants::answer((&tenants, &catalogue, &logs), &region, &path, request).await);
            Ok::<(), Infallible>(())
        };
        parts.tasks.start("a change of accounts", Policy::Alone, work);
        let ended = || {
            Error::new(
                ErrorKind::Internal,
                "the platform ended while it did this; ask what became of it",
            )
        };
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    fn ready(&self) -> Response {
        let reasons = self.0.readiness.reasons();
        match reasons.is_empty() {
            true => json_response(StatusCode::OK, &json!({ "ready": true })),
            false => json_response(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "ready": false, "reasons": reasons }),
            ),
        }
    }
}

#[async_trait]
impl Handler for Api {
    async fn handle(&self, request: Request) -> Response {
        self.route(request).await.unwrap_or_else(|error| error.response())
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        json_response(
            refusal.status,
            &json!({ "message": refusal.message, "kind": ErrorKind::Invalid }),
        )
    }
}
