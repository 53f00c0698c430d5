//! The two doors, and a request's way through: who asks, for what, may they, do it, answer.

use std::sync::Arc;

use aloft_base::{Chance, Clock, InvocationId, Region, Tenant};
use aloft_call::{Caller, Lineage, Principal};
use aloft_http::{Body, Handler, Refusal, Request, Response, collect};
use aloft_observe::Metrics;
use aloft_store::layout::Namespace;
use aloft_table::Tables;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::ORIGIN;
use http::request;

use crate::answer::{RequestId, failure, success};
use crate::dynamodb::{self, Context, Operation};
use crate::input::Members;
use crate::metrics::Declared;
use crate::sigv4::{Claim, Keys};
use crate::{Error, foreign};

/// The largest body of a request: DynamoDB's.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// What the wire stands on.
pub struct Parts {
    /// Where rows are.
    pub tables: Tables,
    /// The region whose namespace all requests share, whichever region they were signed for; that one shows in ARNs.
    pub region: Region,
    /// For signatures' ages and how long requests take.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub chance: Arc<dyn Chance>,
    /// Where to count.
    pub metrics: Metrics,
}

/// Who is believed at a port that anybody may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Whoever reaches it, with any key and for any region: only for loopback. Requests must still be signed, so that a
    /// program which forgot its credentials learns of it here. Web pages are refused: a page on the internet can reach a
    /// visitor's loopback.
    Loopback,
    /// Whoever proves to hold one of these keys.
    Keys(Keys),
}

/// The AWS wire. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    tables: Tables,
    region: Region,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    metrics: Declared,
}

impl Aws {
    /// The wire over these parts. Its metrics are registered, so there is one per node.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            tables,
            region,
            clock,
            chance,
            metrics,
        } = parts;
        Self(Arc::new(Inner {
            tables,
            region,
            clock,
            chance,
            metrics: Declared::register(&metrics),
        }))
    }

    /// What answers at a port that anybody may reach, for the account that a node has ([`Tenant::local`]).
    pub fn edge(&self, trust: Trust) -> Arc<dyn Handler> {
        Arc::new(Entry {
            aws: self.0.clone(),
            door: Door::Edge(trust),
        })
    }

    /// What answers where only this caller can ask. A request with a [`Lineage`] among its extensions writes on behalf of
    /// that chain of events.
    pub fn inside(&self, caller: Caller) -> Arc<dyn Handler> {
        Arc::new(Entry {
            aws: self.0.clone(),
            door: Door::Inside(caller),
        })
    }
}

/// Where requests come in.
struct Entry {
    aws: Arc<Inner>,
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
        let mut operation = None;
        match self.answer(&head, body, &mut operation).await {
            Ok(output) => {
                if let Some(operation) = operation {
                    self.aws
                        .metrics
                        .done(operation, self.aws.clock.instant() - started);
                }
                success(&id, output)
            }
            Err(error) => {
                self.aws.metrics.failed(operation, error.code().name);
                let name = operation.map_or("none", Operation::name);
                if error.is_ours() {
                    tracing::error!(request_id = id.as_str(), operation = name, %error, "a request failed");
                } else {
                    let code = error.code().name;
                    tracing::debug!(request_id = id.as_str(), operation = name, code, %error, "a request was refused");
                }
                match &error {
                    Error::OtherService(service) => foreign::refuse(&head, service, &id),
                    error => failure(&id, error),
                }
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let id = RequestId::draw(self.aws.chance.as_ref());
        failure(&id, &Error::Refused(refusal.clone()))
    }
}

impl Entry {
    async fn answer(
        &self,
        head: &request::Parts,
        body: Body,
        operation: &mut Option<Operation>,
    ) -> Result<Vec<u8>, Error> {
        let lineage = self.lineage(head);
        let (caller, body) = match &self.door {
            Door::Inside(caller) => {
                if let Ok(claim) = Claim::read(head) {
                    check_service(claim.scope.service)?;
                }
                (caller.clone(), read(body).await?)
            }
            Door::Edge(trust) => self.authenticate(trust, head, body).await?,
        };
        let wanted = dynamodb::target(head)?;
        *operation = Some(wanted);
        let namespace = Namespace {
            tenant: caller.tenant.clone(),
            region: self.aws.region.clone(),
        };
        let context = Context {
            tables: &self.aws.tables,
            caller: &caller,
            namespace: &namespace,
            lineage,
        };
        dynamodb::run(wanted, &context, Members::parse(&body)?).await
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
    ) -> Result<(Caller, Bytes), Error> {
        let claim = Claim::read(head)?;
        check_service(claim.scope.service)?;
        claim.check_terminator()?;
        let region = claim.scope.region;
        let region = region.parse().map_err(|_| {
            Error::InvalidSignature(format!(
                "Credential should be scoped to a valid region, not '{region}'."
            ))
        })?;
        let principal = Principal::Owner {
            key: claim.key.into(),
        };
        let body = match trust {
            Trust::Loopback if head.headers.contains_key(ORIGIN) => return Err(Error::WebPage),
            Trust::Loopback => read(body).await?,
            Trust::Keys(keys) => {
                let pending = keys.check_head(claim, head, self.aws.clock.now())?;
                let body = read(body).await?;
                pending.check(head, &body)?;
                body
            }
        };
        Ok((
            Caller {
                tenant: Tenant::local(),
                region,
                principal,
            },
            body,
        ))
    }
}

fn check_service(service: &str) -> Result<(), Error> {
    if service == dynamodb::SERVICE {
        Ok(())
    } else {
        Err(Error::OtherService(service.to_owned()))
    }
}

async fn read(body: Body) -> Result<Bytes, Error> {
    collect(body, MAX_BODY_BYTES)
        .await
        .map_err(|error| Error::Refused(Refusal::from(&error)))
}
