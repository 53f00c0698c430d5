//! Calls that are made later: clients hand them over and do not wait. All of it is the platform's own code; only what runs inside an
//! instance is played. Of every other call somebody is told when it was given up; the rest become dead letters then.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, FunctionId, InvocationId, Policy, Tasks};
use aloft_call::{
    Call, Caller, Fault as CallFault, Invoke, Lineage, Outcome, Payload, Principal, Qualifier, Trace,
};
use aloft_controller::Controller;
use aloft_deferred::{Bounds, Deferred, Item};
use aloft_delivery::{Ground, Letter, LetterId};
use aloft_function::{Catalogue, Load, NoOthers};
use aloft_observe::Metrics;
use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::aliases::Named;
use super::orders::{DRAIN, controller, id, namespace, version};
use crate::front::unknown;
use crate::history::{Ask, Seen, Told};
use crate::node::Parts;

/// The function that is called.
pub(crate) const WORKER: &str = "worker";
/// The function that is told.
pub(crate) const WITNESS: &str = "witness";
/// How often a call that failed is made again.
const RETRIES: u32 = 2;
/// Between the first two attempts. Lambda's minute would make runs long, and shows nothing else.
const SPACING: Duration = Duration::from_secs(2);

/// What of the platform runs on a node.
#[derive(Clone)]
pub(crate) struct Later {
    deferred: Deferred,
    controller: Controller,
    ground: Ground,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    /// What is called, where it has versions and aliases.
    named: Option<Named>,
}

/// Tells when attempts begin and end.
struct Watched {
    parts: Parts,
    inner: Controller,
}

#[async_trait]
impl Invoke for Watched {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        let number = match &call.payload {
            Payload::Direct(direct) if function.name.as_str() == WORKER => number_of(&direct.body),
            _ => None,
        };
        let Some(number) = number.filter(|_| self.parts.shared.scenario.has_aliases) else {
            return self.inner.invoke(function, call).await;
        };
        let see = |seen| self.parts.shared.see(self.parts.clock.world_ms(), seen);
        let attempt = self.parts.shared.number();
        see(Seen::Attempts {
            attempt,
            number,
            life: self.parts.gate.life,
        });
        let outcome = self.inner.invoke(function, call).await;
        self.parts.gate.pass().await;
        let is_missing = matches!(outcome.result, Err(CallFault::NoFunction { .. }));
        see(Seen::Attempted(attempt, is_missing));
        outcome
    }
}

impl Later {
    /// Starts it, in the order in which a node does.
    pub(crate) async fn start(parts: &Parts, tasks: &Tasks) -> Result<Self> {
        let (clock, chance): (Arc<dyn Clock>, Arc<dyn Chance>) = (parts.clock.clone(), parts.chance.clone());
        let (catalogue, metrics) = (Arc::new(Catalogue::new()), Metrics::new());
        let ground = Ground::open(parts.store.clone(), &namespace(), clock.clone(), chance.clone()).await?;
        let named = parts.shared.scenario.has_aliases;
        let named = named.then(|| Named::new(parts, &catalogue));
        let load: Arc<dyn Load> = match &named {
            Some(named) => named.load.clone(),
            None => Arc::new(NoOthers),
        };
        let controller = controller(parts, tasks, &catalogue, &metrics, load);
        let deferred = aloft_deferred::Parts {
            ground: ground.clone(),
            namespace: namespace(),
            invoke: Arc::new(Watched {
                parts: parts.clone(),
                inner: controller.clone(),
            }),
            spacing: SPACING,
            drain: DRAIN,
            metrics: aloft_rule::Metrics::register(&metrics).deliveries(),
        };
        let deferred = Deferred::new(deferred, tasks.stop().child());
        match &named {
            None => catalogue.replace([version(WORKER)?, version(WITNESS)?]),
            Some(named) => {
                catalogue.replace([version(WITNESS)?]);
                named.begin().await?;
                follow(catalogue, controller.clone(), tasks);
            }
        }
        deferred.resume().await?;
        Ok(Self {
            deferred,
            controller,
            ground,
            clock,
            chance,
            named,
        })
    }

    /// Stops it, in the order in which a node does.
    pub(crate) async fn stop(&self) {
        self.controller.refuse_new();
        self.deferred.drain(DRAIN).await;
        self.controller.drain(DRAIN).await;
    }

    /// Accepts a call.
    pub(crate) async fn accept(&self, number: u64, name: &Qualifier) -> Result<Told> {
        let name = match &self.named {
            None => name.clone(),
            Some(named) => match named.accepted(name).await? {
                Some(name) => name,
                None => return Ok(Told::Missing),
            },
        };
        // Half of them have a witness: as their destination, as their dead letter, or as both.
        let witness = |is_told: bool| {
            let name = is_told.then(|| WITNESS.parse().map(|name| (name, Qualifier::Latest)));
            name.transpose()
        };
        let (has_witness, is_dead_letter) = (number.is_multiple_of(2), number.is_multiple_of(4));
        let item = Item {
            function: WORKER.parse()?,
            qualifier: name,
            arn: WORKER.to_owned(),
            payload: number.to_string().into(),
            context: None,
            trace: Trace::begin(&*self.chance),
            bounds: Bounds {
                retries: RETRIES,
                on_failure: witness(has_witness && (!is_dead_letter || number.is_multiple_of(8)))?,
                dead_letter: witness(is_dead_letter)?,
                ..Bounds::default()
            },
        };
        let id = InvocationId::draw(&*self.chance);
        self.deferred.accept(&item, id, Lineage::default()).await?;
        Ok(Told::Accepted)
    }

    /// Answers what concerns versions and aliases.
    pub(crate) async fn answered(&self, ask: &Ask) -> Result<Told> {
        match (ask, &self.named) {
            (Ask::Call { number, name }, _) => self.call_by(*number, name).await,
            (_, Some(named)) => named.answered(ask).await,
            (_, None) => Ok(unknown("what this node calls has no versions")),
        }
    }

    async fn call_by(&self, number: u64, name: &Qualifier) -> Result<Told> {
        let call = Call {
            id: InvocationId::draw(&*self.chance),
            qualifier: name.clone(),
            caller: Caller {
                tenant: namespace().tenant,
                region: namespace().region,
                principal: Principal::Anonymous,
            },
            payload: Payload::Direct(number.to_string().into()),
            lineage: Lineage::default(),
            deadline: self.clock.instant().checked_add(Duration::from_secs(10)),
            trace: Trace::begin(&*self.chance),
            stream: None,
        };
        let outcome = self.controller.invoke(&id(WORKER)?, call).await;
        Ok(match outcome.result {
            Ok(_) => Told::Ran {
                version: outcome.usage.number,
            },
            Err(CallFault::NoFunction { .. }) => Told::Missing,
            Err(fault) => unknown(&fault.to_string()),
        })
    }

    /// The calls that were given up and that nobody was told about.
    pub(crate) async fn given_up(&self) -> Result<Told> {
        let (mut calls, mut before) = (Vec::new(), None::<LetterId>);
        loop {
            let (page, more) = self.ground.letters().list(before, 100).await?;
            calls.extend(page.iter().filter_map(|listed| self.call(&listed.letter)));
            before = page.last().map(|listed| listed.id);
            if !more || before.is_none() {
                return Ok(Told::GivenUp(calls));
            }
        }
    }

    fn call(&self, letter: &Letter) -> Option<(String, u64)> {
        let (_, function) = letter.name.split_once('/')?;
        Some((function.to_owned(), number_of(&self.deferred.payload(letter)?)?))
    }
}

/// Follows what is changed of functions, as a node does.
fn follow(catalogue: Arc<Catalogue>, controller: Controller, tasks: &Tasks) {
    let stop = tasks.stop().clone();
    tasks.start("follow the functions that change", Policy::Alone, async move {
        let followed = async {
            loop {
                for function in catalogue.changed().await {
                    controller.renew(&function).await;
                }
            }
        };
        tokio::select! {
            // Both are safe to cancel: with the node, what runs ends.
            () = followed => {}
            () = stop.asked() => {}
        }
        Ok::<(), Infallible>(())
    });
}

/// The number of the call that a function is called with, or told about.
pub(crate) fn number_of(payload: &Bytes) -> Option<u64> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    value.as_u64().or_else(|| value.get("requestPayload")?.as_u64())
}
