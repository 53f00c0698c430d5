//! The queues: one for each function that has been called so, and the runners of those in which something waits.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{FunctionName, InvocationId, Policy as Restart, Stop, Tasks, Tenant, Timestamp};
use aloft_call::{Invoke, Lineage};
use aloft_delivery::{
    Backlogs, Content, Ground, KeyHash, Letter, LetterId, Metrics, Parcel, Parked, Policy, Route, RuleId,
    Runner,
};
use aloft_store::layout::{self, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, commit_decided};
use async_trait::async_trait;
use bytes::Bytes;

use crate::target::{Calls, read};
use crate::{Bounds, Error, Item, MAX_PAYLOAD};

/// Calls of one queue that are made at a time.
pub const CONCURRENCY: usize = 32;
/// The kind of queues' names in the store's layout.
const KIND: &str = "asynchronous calls";
/// What the name of a queue begins with in dead letters, logs and metrics; no rule's name has a slash.
const PREFIX: &str = "async/";
/// Names of one page.
const PAGE: usize = 1_000;

/// What the queues stand on.
pub struct Parts {
    /// What all deliveries of the node share.
    pub ground: Ground,
    /// Whose functions they are.
    pub namespace: Namespace,
    /// What runs functions.
    pub invoke: Arc<dyn Invoke>,
    /// The time between attempts of a function that failed: once after the first failure, twice after the second. Lambda's is 60 s.
    pub spacing: Duration,
    /// How long a queue that stops waits for what is in flight.
    pub drain: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// Calls that are accepted now and made later. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Deferred(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) parts: Parts,
    tasks: Tasks,
    /// The ids of queues, which never change, so that accepting costs no look-up.
    ids: Mutex<BTreeMap<FunctionName, RuleId>>,
    /// By function, whether something was added since its runner last found nothing.
    running: Mutex<BTreeMap<FunctionName, bool>>,
}

/// The queues of accounts.
#[async_trait]
pub trait Queues: Send + Sync + 'static {
    /// Those of an account.
    ///
    /// # Errors
    /// The store's, when they are asked for the first time.
    async fn of(&self, tenant: &Tenant) -> Result<Deferred, Error>;
}

/// Where there is one account.
#[async_trait]
impl Queues for Deferred {
    async fn of(&self, _: &Tenant) -> Result<Deferred, Error> {
        Ok(self.clone())
    }
}

impl Deferred {
    /// The queues of a namespace; what waits in them waits until [`resume`](Self::resume). All end when `stop` is asked for.
    pub fn new(parts: Parts, stop: Stop) -> Self {
        Self(Arc::new(Inner {
            parts,
            tasks: Tasks::new(stop),
            ids: Mutex::default(),
            running: Mutex::default(),
        }))
    }

    /// Goes on with what waits. Called once functions can be called.
    pub async fn resume(&self) -> Result<(), Error> {
        let inner = &self.0;
        let store = &inner.parts.ground.store;
        let mut last = None::<String>;
        loop {
            let (names, more) =
                layout::list(&**store, &inner.parts.namespace, KIND, last.as_deref(), PAGE).await?;
            let snapshot = store.snapshot().await?;
            for (name, id) in &names {
                let Ok(function) = name.parse::<FunctionName>() else {
                    continue;
                };
                inner.ids().insert(function.clone(), RuleId(*id));
                if Backlogs::new(RuleId(*id)).any(&*snapshot).await? {
                    inner.wake(&function, RuleId(*id));
                }
            }
            last = names.into_iter().last().map(|(name, _)| name);
            if !more {
                return Ok(());
            }
        }
    }

    /// Accepts a call. When this returns, the call is durable, and will end one way or another. `caused` is the lineage of the call itself.
    pub async fn accept(&self, item: &Item, id: InvocationId, caused: Lineage) -> Result<(), Error> {
        let now = self.0.parts.ground.clock.now();
        let lineage = caused.root.map(|root| (root, caused.depth));
        let parcel = self.0.parcel(id, item, lineage, now);
        self.0.commit(&(item.clone(), parcel)).await
    }

    /// Whether a dead letter is of a call that was accepted here.
    pub fn owns(&self, letter: &Letter) -> bool {
        letter.name.starts_with(PREFIX)
    }

    /// What the call of a dead letter would be made with, JSON.
    pub fn payload(&self, letter: &Letter) -> Option<Bytes> {
        match &letter.content {
            Content::One(parcel) => read(parcel).ok().map(|item| item.payload),
            Content::Raw(_) | Content::Range(_) => None,
        }
    }

    /// Makes the call of a dead letter anew, with all retries before it.
    pub async fn retry(&self, id: LetterId) -> Result<(), Error> {
        let letters = self.0.parts.ground.letters();
        let letter = letters.show(id).await?;
        letters.retry(id, |letter| Some(letter.rule)).await?;
        let function = letter
            .name
            .strip_prefix(PREFIX)
            .and_then(|name| name.parse().ok());
        if let Some(function) = function {
            self.0.wake(&function, letter.rule);
        }
        Ok(())
    }

    /// The functions whose queues are at work.
    pub fn working(&self) -> Vec<String> {
        self.0.running().keys().map(ToString::to_string).collect()
    }

    /// Stops all queues and waits for them, at most `bound`. Returns whether all ended in time.
    pub async fn drain(&self, bound: Duration) -> bool {
        self.0.tasks.drain(bound).await
    }
}

/// Whether a call may be added at all.
pub(crate) fn check((item, parcel): &(Item, Parcel)) -> Result<(), Error> {
    if item.payload.len() > MAX_PAYLOAD {
        return Err(Error::TooLarge(item.payload.len()));
    }
    match parcel.lineage {
        Some((_, depth)) if depth > Lineage::DEEPEST => Err(Error::Loop(depth)),
        _ => Ok(()),
    }
}

impl Inner {
    /// The bounds of a call as the policy has them.
    pub(crate) fn policy(&self, bounds: &Bounds) -> Policy {
        Policy {
            spacing: Some(self.parts.spacing),
            ..Policy::new(bounds.retries, bounds.maximum_age)
        }
    }

    pub(crate) fn parcel(
        &self,
        id: InvocationId,
        item: &Item,
        lineage: Option<(InvocationId, u8)>,
        now: Timestamp,
    ) -> Parcel {
        // A key of its own: nobody waits behind it.
        let event = id.to_string();
        let key = KeyHash::of(event.as_bytes());
        Parcel {
            lineage,
            ..Parcel::new(event, key, now, item.encode())
        }
    }

    /// Adds a call in a commit of its own.
    pub(crate) async fn commit(self: &Arc<Self>, call: &(Item, Parcel)) -> Result<(), Error> {
        check(call)?;
        let ground = &self.parts.ground;
        for attempt in 1..=ATTEMPTS {
            let batch = self.add(ground.batch(), call).await?;
            if commit_decided(&*ground.store, batch, attempt, &*ground.chance).await? {
                self.wake_known(&call.0.function);
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Adds a call to a batch. Its queue is at work from then on.
    pub(crate) async fn add(
        self: &Arc<Self>,
        batch: Batch,
        (item, parcel): &(Item, Parcel),
    ) -> Result<Batch, Error> {
        let ground = &self.parts.ground;
        let id = self.id(&item.function).await?;
        let snapshot = ground.store.snapshot().await?;
        let parked = [Parked {
            parcel: parcel.clone(),
            due: ground.clock.now(),
        }];
        // A key of one call cannot be full.
        let (batch, _) = Backlogs::new(id)
            .park(batch, &*snapshot, &parked, &*ground.chance)
            .await?;
        self.wake(&item.function, id);
        Ok(batch)
    }

    /// Makes sure that somebody works on a queue to which something was added. Answers whether there is such a queue.
    pub(crate) fn wake_known(self: &Arc<Self>, function: &FunctionName) -> bool {
        let id = self.ids().get(function).copied();
        if let Some(id) = id {
            self.wake(function, id);
        }
        id.is_some()
    }

    async fn id(&self, function: &FunctionName) -> Result<RuleId, Error> {
        if let Some(id) = self.ids().get(function) {
            return Ok(*id);
        }
        let name = Name {
            namespace: &self.parts.namespace,
            kind: KIND,
            name: function.as_str(),
        };
        let ground = &self.parts.ground;
        let id = layout::ensure(&*ground.store, name, &*ground.chance).await?;
        let id = RuleId(id.ok_or(Error::Contended)?);
        self.ids().insert(function.clone(), id);
        Ok(id)
    }

    /// Makes sure that somebody works on a queue.
    fn wake(self: &Arc<Self>, function: &FunctionName, id: RuleId) {
        let mut running = self.running();
        if let Some(is_fresh) = running.get_mut(function) {
            *is_fresh = true;
            return;
        }
        running.insert(function.clone(), false);
        drop(running);
        let (inner, function, stop) = (self.clone(), function.clone(), self.tasks.stop().clone());
        self.tasks
            .start("asynchronous calls", Restart::Alone, async move {
                inner.work(&function, id, stop).await;
                Ok::<(), Infallible>(())
            });
    }

    /// Works on a queue until nothing has been in it for a while.
    async fn work(self: &Arc<Self>, function: &FunctionName, id: RuleId, stop: Stop) {
        let name = format!("{PREFIX}{function}");
        loop {
            let route = Route {
                rule: id,
                name: name.as_str().into(),
                to: Some(Arc::new(Calls { inner: self.clone() })),
            };
            let (ground, metrics) = (self.parts.ground.clone(), self.parts.metrics.of(&name));
            let runner = Runner::new(ground, route, CONCURRENCY, self.parts.drain, metrics);
            runner.ending_idle().run(stop.clone()).await;
            let mut running = self.running();
            // Whoever adds a call commits it before he wakes the queue, so what he added has been seen unless this is set.
            match running.get_mut(function) {
                Some(is_fresh) if *is_fresh && !stop.is_asked() => *is_fresh = false,
                _ => {
                    running.remove(function);
                    return;
                }
            }
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<FunctionName, RuleId>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<FunctionName, bool>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
