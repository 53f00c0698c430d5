//! One attempt of a call that waits, and what follows its end.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{FunctionName, InvocationId};
use aloft_call::{Answer, Bound, Call, Caller, Direct, Fault, Lineage, Payload, Principal, Qualifier};
use aloft_delivery::{Buried, Content, Deliver, Effect, Failure, Letter, Parcel, Policy, Reason};
use aloft_store::Batch;
use async_trait::async_trait;
use bytes::Bytes;

use crate::queues::{Inner, check};
use crate::record::{End, attributes, record};
use crate::{Bounds, Error, Item};

/// Calls the functions that parcels name.
pub(crate) struct Calls {
    pub(crate) inner: Arc<Inner>,
}

#[async_trait]
impl Deliver for Calls {
    fn policy(&self, parcel: &Parcel) -> Policy {
        let bounds = Item::decode(&parcel.body).ok().flatten().map(|item| item.bounds);
        self.inner.policy(&bounds.unwrap_or_default())
    }

    async fn deliver(&self, parcel: &Parcel, _: u32) -> Result<(), Failure> {
        let inner = &self.inner;
        let item = read(parcel)?;
        let id: InvocationId = parcel.event.parse().map_err(|_| unreadable("its request id"))?;
        let (root, depth) = parcel.lineage.unzip();
        let call = Call {
            id,
            qualifier: item.qualifier.clone(),
            caller: Caller {
                tenant: inner.parts.namespace.tenant.clone(),
                region: inner.parts.namespace.region.clone(),
                principal: Principal::Owner {
                    key: "asynchronous".into(),
                },
            },
            payload: Payload::Direct(Direct {
                context: item.context.clone(),
                is_deferred: true,
                ..Direct::from(item.payload.clone())
            }),
            lineage: Lineage {
                root,
                depth: depth.unwrap_or_default(),
            },
            deadline: None,
            trace: item.trace.child(&*inner.parts.ground.chance),
            stream: None,
        };
        let function = inner.parts.namespace.function(&item.function);
        let outcome = inner.parts.invoke.invoke(&function, call).await;
        let answer = match outcome.result {
            Ok(Answer::Bytes(bytes)) => bytes,
            Ok(Answer::Http(_) | Answer::Streamed) => Bytes::new(),
            Err(fault) => return Err(failure(&fault)),
        };
        if let Some(destination) = &item.bounds.on_success {
            let end = End::Done {
                version: outcome.usage.number,
                answer: &answer,
            };
            let told = self.tell(&item, parcel, destination.clone(), &end);
            // The call is made again rather than that nobody hears of it.
            told.await.map_err(|error| {
                let effect = match error {
                    Error::Loop(_) => Effect::Final(Reason::Loop),
                    _ => Effect::Ages {
                        retry_after: Duration::ZERO,
                    },
                };
                let message = format!("it was done, and its destination cannot be told: {error}");
                Failure::new(effect, "untold", message)
            })?;
        }
        Ok(())
    }

    async fn bury(&self, batch: Batch, letter: &Letter) -> Result<Buried, aloft_delivery::Error> {
        let told = self.farewells(letter);
        if told.is_empty() {
            return Ok(Buried::Not(batch));
        }
        let mut taken = batch;
        for call in &told {
            taken = match self.inner.add(taken, call).await {
                Ok(batch) => batch,
                Err(Error::Delivery(error)) => return Err(error),
                Err(Error::Store(error)) => return Err(error.into()),
                Err(_) => return Err(aloft_delivery::Error::Contended("a destination's queue")),
            };
        }
        Ok(Buried::Taken(taken))
    }

    fn is_buried(&self, letter: &Letter) -> bool {
        let told = self.farewells(letter);
        // A destination's queue was woken before the commit, which may have taken longer than a queue that is empty waits.
        let woken = told.iter().map(|(item, _)| self.inner.wake_known(&item.function));
        woken.fold(false, |any, is_known| any | is_known)
    }
}

impl Calls {
    /// The calls that tell of a delivery which was given up; none if nobody is to be told, or somebody cannot be.
    fn farewells(&self, letter: &Letter) -> Vec<(Item, Parcel)> {
        let Content::One(parcel) = &letter.content else {
            return Vec::new();
        };
        let Ok(item) = read(parcel) else {
            return Vec::new();
        };
        let reason = letter.reason;
        let destination = item.bounds.on_failure.clone().map(|destination| {
            let end = End::GivenUp { reason };
            self.message(&item, parcel, destination, self.record(&item, parcel, &end))
        });
        let dead_letter = item.bounds.dead_letter.clone().map(|destination| {
            let attributes = attributes(parcel, reason);
            self.message(
                &item,
                parcel,
                destination,
                (item.payload.clone(), Some(attributes)),
            )
        });
        let told: Vec<_> = destination.into_iter().chain(dead_letter).collect();
        // What a destination cannot take must not be lost.
        match told.iter().try_for_each(check) {
            Ok(()) => told,
            Err(error) => {
                tracing::warn!(function = %item.function, %error, "a destination cannot be told; the call is a dead letter");
                Vec::new()
            }
        }
    }

    async fn tell(
        &self,
        item: &Item,
        parcel: &Parcel,
        destination: (FunctionName, Qualifier),
        end: &End<'_>,
    ) -> Result<(), Error> {
        let said = self.record(item, parcel, end);
        self.inner
            .commit(&self.message(item, parcel, destination, said))
            .await
    }

    /// Lambda's record of what became of a call, which says all in its payload.
    fn record(&self, item: &Item, parcel: &Parcel, end: &End<'_>) -> (Bytes, Option<String>) {
        let now = self.inner.parts.ground.clock.now();
        (record(item, parcel, end, now), None)
    }

    /// The call that tells a destination, with its payload and its client's context.
    fn message(
        &self,
        item: &Item,
        parcel: &Parcel,
        (function, qualifier): (FunctionName, Qualifier),
        (payload, context): (Bytes, Option<String>),
    ) -> (Item, Parcel) {
        let now = self.inner.parts.ground.clock.now();
        let namespace = &self.inner.parts.namespace;
        let told = Item {
            arn: format!(
                "arn:aws:lambda:{}:{}:function:{function}:{qualifier}",
                namespace.region, namespace.tenant
            ),
            function,
            qualifier,
            payload,
            context,
            trace: item.trace,
            bounds: Bounds::default(),
        };
        let id = InvocationId::draw(&*self.inner.parts.ground.chance);
        let caused = parcel.event.parse().ok();
        let lineage = caused.map(|caused| {
            let (root, depth) = parcel.lineage.unwrap_or((caused, 0));
            (root, depth.saturating_add(1))
        });
        let message = self.inner.parcel(id, &told, lineage, now);
        (told, message)
    }
}

/// What a fault means for the call. One of a function of which nothing is to run is given up at once, as Lambda does.
fn failure(fault: &Fault) -> Failure {
    let failure = Failure::from(fault);
    match fault {
        Fault::Busy {
            bound: Bound::Nothing,
            ..
        } => Failure {
            effect: Effect::Final(Reason::Disabled),
            ..failure
        },
        _ => failure,
    }
}

pub(crate) fn read(parcel: &Parcel) -> Result<Item, Failure> {
    let item = Item::decode(&parcel.body).ok().flatten();
    item.ok_or_else(|| unreadable("what is stored of it"))
}

fn unreadable(what: &str) -> Failure {
    let message = format!("{what} cannot be read");
    Failure::new(Effect::Final(Reason::Unreadable), "unreadable", message)
}
