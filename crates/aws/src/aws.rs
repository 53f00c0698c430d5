//! The two doors, and a request's way through: who asks, for what, may they, do it, answer.

use std::sync::Arc;

use aloft_base::{Chance, Clock, InvocationId, Region, Tenant};
use aloft_call::{Caller, Lineage, Principal, Streams};
use aloft_http::{Body, BodyError, Handler, Refusal, Request, Response, collect};
use aloft_log::Logs;
use aloft_observe::Metrics;
use aloft_role::Roles;
use aloft_secret::Secrets;
use aloft_store::layout::Namespace;
use aloft_table::Tables;
use aloft_tenant::Tenants;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{Entry as Header, ORIGIN};
use http::{HeaderValue, request};

use crate::answer::{JSON, JSON_11, REQUEST_ID, RequestId, failure, success};
use crate::dynamodb::{self, Context};
use crate::input::Members;
use crate::lambda::{Downloads, Route};
use crate::metrics::Declared;
use crate::protocol::Protocol;
use crate::query::{self, Form};
use crate::service::{Operation, Service};
use crate::sigv4::{Claim, Keys, check_head};
use crate::{Error, iam, lambda, logs, secrets, sts};

/// The largest body of a request: DynamoDB's.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// That of log events: 1 MiB of messages, each byte of which may be six in JSON, and their envelope.
const LOGS_BODY_BYTES: usize = 8 << 20;

/// That of a secret's value of 64 KiB, each byte of which may be six in JSON, with its envelope.
const SECRETS_BODY_BYTES: usize = 1 << 20;

/// That of a request that is a few words.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// What the wire stands on.
pub struct Parts {
    /// Where rows are.
    pub tables: Tables,
    /// Where functions are.
    pub lambda: lambda::Parts,
    /// Where roles are.
    pub roles: Roles,
    /// Where logs are.
    pub logs: Logs,
    /// Where secrets are.
    pub secrets: Secrets,
    /// Calls functions for functions. [`Aws::edge`] is given its own.
    pub streams: Streams,
    /// The region whose namespace all requests share, whichever region they were signed for; that one shows in ARNs.
    pub region: Region,
    /// For signatures' ages and how long requests take.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub chance: Arc<dyn Chance>,
    /// Where to count.
    pub metrics: Metrics,
    /// How many requests accounts may send, where a node has several.
    pub tenants: Option<Tenants>,
}

/// Who is believed at a port that anybody may reach.
#[derive(Clone)]
pub enum Trust {
    /// Whoever reaches it, with any key and for any region: only for loopback. Requests must still be signed, so that a
    /// program which forgot its credentials learns of it here. Web pages are refused: a page on the internet can reach a
    /// visitor's loopback.
    Loopback,
    /// Whoever proves to hold one of these keys.
    Keys(Arc<dyn Keys>),
}

/// The AWS wire. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    tables: Tables,
    lambda: lambda::Parts,
    roles: Roles,
    logs: Logs,
    secrets: Secrets,
    streams: Streams,
    region: Region,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    metrics: Declared,
    tenants: Option<Tenants>,
    downloads: Downloads,
}

impl Aws {
    /// The wire over these parts. Its metrics are registered, so there is one per node.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            tables,
            lambda,
            roles,
            logs,
            secrets,
            streams,
            region,
            clock,
            chance,
            metrics,
            tenants,
        } = parts;
        let mut key = [0; 32];
        chance.fill(&mut key);
        Self(Arc::new(Inner {
            tables,
            lambda,
            roles,
            logs,
            secrets,
            streams,
            region,
            clock,
            chance,
            metrics: Declared::register(&metrics),
            tenants,
            downloads: Downloads::new(key),
        }))
    }

    /// What answers at a port that anybody may reach, for the account of whoever signed, and calls functions by `streams`.
    pub fn edge(&self, trust: Trust, streams: Streams) -> Arc<dyn Handler> {
        Arc::new(Entry {
            aws: self.0.clone(),
            streams,
            door: Door::Edge(trust),
        })
    }

    /// What answers where only this caller can ask. A request with a [`Lineage`] among its extensions writes on behalf of
    /// that chain of events.
    pub fn inside(&self, caller: Caller) -> Arc<dyn Handler> {
        Arc::new(Entry {
            aws: self.0.clone(),
            streams: self.0.streams.clone(),
            door: Door::Inside(caller),
        })
    }
}

/// Where requests come in.
struct Entry {
    aws: Arc<Inner>,
    streams: Streams,
    door: Door,
}

enum Door {
    Edge(Trust),
    Inside(Caller),
}

#[async_trait]
impl Handler for Entry {
    async fn handle(&self, request: Request) -> Response {
        let started = self.aws.clock.instant();
        let id = RequestId::draw(self.aws.chance.as_ref());
        let (head, body) = request.into_parts();
        if let (Door::Edge(_), Some(allowed)) = (
            &self.door,
            self.aws.downloads.allowed(&head, self.aws.clock.now()),
        ) {
            return lambda::download(&self.aws.lambda.builder, allowed).await;
        }
        let mut operation = None;
        match self.answer(&head, body, &id, &mut operation).await {
            Ok(response) => {
                if let Some(operation) = operation {
                    self.aws
                        .metrics
                        .done(operation, self.aws.clock.instant() - started);
                }
                response
            }
            Err(error) => {
                let protocol = Protocol::of(&head);
                let id = protocol.request_id(id, &error, &*self.aws.chance);
                self.aws.metrics.failed(operation, error.code().name);
                let name = operation.map_or("none", Operation::name);
                if error.is_ours() {
                    tracing::error!(request_id = id.as_str(), operation = name, %error, "a request failed");
                } else {
                    let code = error.code().name;
                    tracing::debug!(request_id = id.as_str(), operation = name, code, %error, "a request was refused");
                }
                protocol.failure(&id, &error)
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let id = RequestId::draw(self.aws.chance.as_ref());
        failure(&id, JSON, &Error::Refused(refusal.clone()))
    }
}

impl Entry {
    async fn answer(
        &self,
        head: &request::Parts,
        body: Body,
        id: &RequestId,
        operation: &mut Option<Operation>,
    ) -> Result<Response, Error> {
        let (caller, asked, body) = match &self.door {
            Door::Inside(caller) => {
                // What is not signed names its service in another header, and only DynamoDB's requests have that.
                let asked = match Claim::read(head) {
                    Ok(claim) => Asked::of(service(&claim)?, head),
                    Err(_) => Asked::DynamoDb,
                };
                let body = asked.read(body).await?;
                (caller.clone(), asked, body)
            }
            Door::Edge(trust) => self.authenticate(trust, head, body).await?,
        };
        if let Some(tenants) = &self.aws.tenants {
            tenants.take(&caller.tenant).map_err(Error::TooFast)?;
        }
        match asked {
            Asked::Lambda(route) => {
                let route = route?;
                *operation = Some(Operation::Lambda(route.operation));
                let mut response = self.lambda(&route, &caller, head, body).await?;
                if let Header::Vacant(free) = response.headers_mut().entry(REQUEST_ID) {
                    let id = RequestId::of(InvocationId::draw(&*self.aws.chance));
                    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
                        free.insert(id);
                    }
                }
                Ok(response)
            }
            Asked::DynamoDb => {
                let wanted = dynamodb::target(head)?;
                *operation = Some(Operation::DynamoDb(wanted));
                let output = self.dynamodb(wanted, &caller, head, &body).await?;
                Ok(success(id, JSON, output))
            }
            Asked::Logs => {
                let wanted = logs::target(head)?;
                *operation = Some(Operation::Logs(wanted));
                let context = logs::Context {
                    logs: &self.aws.logs,
                    caller: &caller,
                    namespace: &self.namespace(&caller),
                    now: self.aws.clock.now(),
                };
                let output = logs::run(wanted, &context, Members::parse(&body)?).await?;
                Ok(success(id, JSON_11, output))
            }
            Asked::Secrets => {
                let wanted = secrets::target(head)?;
                *operation = Some(Operation::Secrets(wanted));
                let context = secrets::Context {
                    secrets: &self.aws.secrets,
                    caller: &caller,
                    namespace: &self.namespace(&caller),
                    chance: &*self.aws.chance,
                    redaction: head.extensions.get(),
                };
                let output = secrets::run(wanted, &context, Members::parse(&body)?).await?;
                Ok(success(id, JSON_11, output))
            }
            Asked::Iam => {
                let form = Form::parse(head, &body)?;
                let wanted = iam::Operation::of(&form)?;
                *operation = Some(Operation::Iam(wanted));
                let context = iam::Context {
                    roles: &self.aws.roles,
                    caller: &caller,
                    namespace: &self.namespace(&caller),
                    form: &form,
                };
                let result = iam::run(wanted, &context).await?;
                let name = wanted.name();
                Ok(query::success(id, name, iam::NAMESPACE, result.as_deref()))
            }
            Asked::Sts => {
                let wanted = sts::Operation::of(&Form::parse(head, &body)?)?;
                *operation = Some(Operation::Sts(wanted));
                let result = sts::run(wanted, &caller)?;
                Ok(query::success(id, wanted.name(), sts::NAMESPACE, Some(&result)))
            }
        }
    }

    async fn dynamodb(
        &self,
        wanted: dynamodb::Operation,
        caller: &Caller,
        head: &request::Parts,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let namespace = self.namespace(caller);
        let context = Context {
            tables: &self.aws.tables,
            caller,
            namespace: &namespace,
            lineage: self.lineage(head),
            trace: lambda::trace_of(head, &*self.aws.chance),
        };
        dynamodb::run(wanted, &context, Members::parse(body)?).await
    }

    async fn lambda(
        &self,
        route: &Route,
        caller: &Caller,
        head: &request::Parts,
        body: Bytes,
    ) -> Result<Response, Error> {
        let namespace = self.namespace(caller);
        let lineage = match self.lineage(head) {
            Some((root, depth)) => Lineage {
                root: Some(root),
                depth,
            },
            None => Lineage::default(),
        };
        let context = lambda::Context {
            parts: &self.aws.lambda,
            streams: &self.streams,
            chance: &*self.aws.chance,
            caller,
            namespace: &namespace,
            route,
            headers: &head.headers,
            downloads: &self.aws.downloads,
            now: self.aws.clock.now(),
            lineage,
            trace: lambda::trace(head, &*self.aws.chance),
        };
        lambda::run(&context, body).await
    }

    fn namespace(&self, caller: &Caller) -> Namespace {
        Namespace {
            tenant: caller.tenant.clone(),
            region: self.aws.region.clone(),
        }
    }

    /// The chain that a request belongs to. Only the place where a function asks knows it; the edge's clients begin chains.
    fn lineage(&self, head: &request::Parts) -> Option<(InvocationId, u8)> {
        match &self.door {
            Door::Inside(_) => {
                let lineage = head.extensions.get::<Lineage>()?;
                Some((lineage.root?, lineage.depth))
            }
            Door::Edge(_) => None,
        }
    }

    /// Who asks, and the body, which is read only when the head is in order.
    async fn authenticate(
        &self,
        trust: &Trust,
        head: &request::Parts,
        body: Body,
    ) -> Result<(Caller, Asked, Bytes), Error> {
        let claim = Claim::read(head)?;
        let asked = Asked::of(service(&claim)?, head);
        Claim::check_path(head)?;
        claim.check_terminator()?;
        let region = claim.scope.region.parse().map_err(|_| {
            Error::InvalidSignature(format!(
                "Credential should be scoped to a valid region, not '{}'.",
                claim.scope.region
            ))
        })?;
        let (tenant, principal, body) = match trust {
            Trust::Loopback if head.headers.contains_key(ORIGIN) => return Err(Error::WebPage),
            Trust::Loopback => {
                let principal = Principal::Owner {
                    key: claim.key.into(),
                };
                (Tenant::local(), principal, asked.read(body).await?)
            }
            Trust::Keys(keys) => {
                let pending = check_head(claim, head, self.aws.clock.now())?
                    .held(&**keys)
                    .await?;
                let body = asked.read(body).await?;
                pending.check_held(&**keys).await?;
                pending.check(head, &body)?;
                (pending.holder.tenant, pending.holder.principal, body)
            }
        };
        let caller = Caller {
            tenant,
            region,
            principal,
        };
        Ok((caller, asked, body))
    }
}

/// The service that a request was signed for.
fn service(claim: &Claim<'_>) -> Result<Service, Error> {
    let name = &claim.scope.service;
    Service::named(name).ok_or_else(|| Error::OtherService(name.chars().take(64).collect()))
}

/// What a request asks for, as far as its head says.
enum Asked {
    DynamoDb,
    Iam,
    /// Told after it is known who asks.
    Lambda(Result<Route, Error>),
    Logs,
    Secrets,
    Sts,
}

impl Asked {
    fn of(service: Service, head: &request::Parts) -> Self {
        match service {
            Service::DynamoDb => Self::DynamoDb,
            Service::Iam => Self::Iam,
            Service::Lambda => Self::Lambda(Route::of(head)),
            Service::Logs => Self::Logs,
            Service::Secrets => Self::Secrets,
            Service::Sts => Self::Sts,
        }
    }

    /// The body, within the bound of what is asked for.
    async fn read(&self, body: Body) -> Result<Bytes, Error> {
        let bytes = match self {
            Self::DynamoDb => MAX_BODY_BYTES,
            Self::Logs => LOGS_BODY_BYTES,
            Self::Secrets => SECRETS_BODY_BYTES,
            Self::Lambda(Ok(route)) => route.operation.body_bytes(),
            Self::Iam | Self::Sts | Self::Lambda(Err(_)) => SMALL_BODY_BYTES,
        };
        collect(body, bytes).await.map_err(|error| match (self, &error) {
            (Self::Lambda(Ok(route)), BodyError::TooLarge { .. }) => route.operation.too_large().into(),
            _ => Error::Refused(Refusal::from(&error)),
        })
    }
}
