//! Calls that are made later: clients hand them over and do not wait. All of it is the platform's own code; only what runs inside an
//! instance is played. Of every other call somebody is told when it was given up; the rest become dead letters then.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, InvocationId, Tasks};
use aloft_call::{Lineage, Qualifier, Trace};
use aloft_controller::Controller;
use aloft_deferred::{Bounds, Deferred, Item};
use aloft_delivery::{Ground, Letter, LetterId};
use aloft_function::Catalogue;
use aloft_observe::Metrics;
use anyhow::Result;
use bytes::Bytes;
use serde_json::Value;

use super::orders::{DRAIN, controller, namespace, version};
use crate::history::Told;
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
    chance: Arc<dyn Chance>,
}

impl Later {
    /// Starts it, in the order in which a node does.
    pub(crate) async fn start(parts: &Parts, tasks: &Tasks) -> Result<Self> {
        let (clock, chance): (Arc<dyn Clock>, Arc<dyn Chance>) = (parts.clock.clone(), parts.chance.clone());
        let (catalogue, metrics) = (Arc::new(Catalogue::new()), Metrics::new());
        let ground = Ground::open(parts.store.clone(), &namespace(), clock, chance.clone()).await?;
        let controller = controller(parts, tasks, &catalogue, &metrics);
        let deferred = aloft_deferred::Parts {
            ground: ground.clone(),
            namespace: namespace(),
            invoke: Arc::new(controller.clone()),
            spacing: SPACING,
            drain: DRAIN,
            metrics: aloft_rule::Metrics::register(&metrics).deliveries(),
        };
        let deferred = Deferred::new(deferred, tasks.stop().child());
        catalogue.replace([version(WORKER)?, version(WITNESS)?]);
        deferred.resume().await?;
        Ok(Self {
            deferred,
            controller,
            ground,
            chance,
        })
    }

    /// Stops it, in the order in which a node does.
    pub(crate) async fn stop(&self) {
        self.controller.refuse_new();
        self.deferred.drain(DRAIN).await;
        self.controller.drain(DRAIN).await;
    }

    /// Accepts a call.
    pub(crate) async fn accept(&self, number: u64) -> Result<Told> {
        let witness = number
            .is_multiple_of(2)
            .then(|| WITNESS.parse().map(|name| (name, Qualifier::Latest)))
            .transpose()?;
        let item = Item {
            function: WORKER.parse()?,
            qualifier: Qualifier::Latest,
            arn: WORKER.to_owned(),
            payload: number.to_string().into(),
            trace: Trace::begin(&*self.chance),
            bounds: Bounds {
                retries: RETRIES,
                on_failure: witness,
                ..Bounds::default()
            },
        };
        let id = InvocationId::draw(&*self.chance);
        self.deferred.accept(&item, id, Lineage::default()).await?;
        Ok(Told::Accepted)
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

/// The number of the call that a function is called with, or told about.
pub(crate) fn number_of(payload: &Bytes) -> Option<u64> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    value.as_u64().or_else(|| value.get("requestPayload")?.as_u64())
}
