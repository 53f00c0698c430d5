//! The controller: finds the pool of a call's function, lets it decide, and runs the call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aloft_base::{Clock, FunctionName, Tasks};
use aloft_call::{Call, Fault, Invoke, Outcome, Usage};
use aloft_function::{Catalogue, Version};
use aloft_instance::Runtime;
use aloft_observe::{Feed, Metrics};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::metrics::Declared;
use crate::record::{Origin, record};
use crate::run::Pool;

/// What the controller is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Instances of one function that start at the same time, at most. More would only share the same cores. Default:
    /// twice the machine's cores, at least 4.
    pub parallel_starts: usize,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            parallel_starts: (2 * cores).max(4),
        }
    }
}

/// Loads, keeps and unloads instances, and runs calls on them. Cheap to clone; clones are the same controller.
#[derive(Clone)]
pub struct Controller(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    catalogue: Arc<Catalogue>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: Tasks,
    feed: Feed,
    metrics: Declared,
    pools: ArcSwap<BTreeMap<FunctionName, Arc<Pool>>>,
    /// The pools that were replaced and still run something, which keeps them alive. Held while `pools` is replaced; never
    /// on a warm call's way.
    retired: Mutex<Vec<Weak<Pool>>>,
    is_draining: AtomicBool,
    /// Told whenever an instance or a call has ended, for whoever drains.
    pub(crate) settled: Notify,
}

/// What a function's pool holds.
#[derive(Debug, Clone)]
pub struct PoolStatus {
    /// The version.
    pub version: Arc<Version>,
    /// Its instances.
    pub instances: Vec<InstanceStatus>,
    /// Instances that start.
    pub starting: usize,
    /// Calls that wait.
    pub waiting: usize,
}

/// One instance.
#[derive(Debug, Clone, Copy)]
pub struct InstanceStatus {
    /// Its number within the pool.
    pub number: u64,
    /// Whether a call runs on it.
    pub is_busy: bool,
    /// How many calls it has taken.
    pub calls: u64,
    /// How long it has lived.
    pub age: Duration,
    /// The most memory that it has used, in bytes.
    pub memory_peak: u64,
}

impl Controller {
    /// A controller without instances. Its background work runs in `tasks`.
    pub fn new(
        config: Config,
        catalogue: Arc<Catalogue>,
        runtime: Arc<dyn Runtime>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        feed: Feed,
        metrics: &Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            catalogue,
            runtime,
            clock,
            tasks,
            feed,
            metrics: Declared::register(metrics),
            pools: ArcSwap::default(),
            retired: Mutex::default(),
            is_draining: AtomicBool::new(false),
            settled: Notify::new(),
        }))
    }

    /// Retires the pools whose version is no longer the catalogue's. Called after the catalogue was replaced.
    pub fn retire_replaced(&self) {
        let inner = &self.0;
        let mut retired = inner.retired();
        let (kept, replaced): (BTreeMap<_, _>, BTreeMap<_, _>) = inner
            .pools
            .load()
            .iter()
            .map(|(name, pool)| (name.clone(), pool.clone()))
            .partition(|(name, pool)| {
                inner
                    .catalogue
                    .current(name)
                    .is_some_and(|current| *current == **pool.version())
            });
        inner.pools.store(Arc::new(kept));
        for pool in replaced.values() {
            inner.retire(pool, &mut retired);
        }
    }

    /// What runs now, by function.
    pub fn status(&self) -> Vec<PoolStatus> {
        let now = self.0.clock.instant();
        self.0
            .pools
            .load()
            .values()
            .map(|pool| pool.status(now))
            .collect()
    }

    /// Refuses new calls from now on; what runs and waits goes on.
    pub fn refuse_new(&self) {
        self.0.is_draining.store(true, Ordering::SeqCst);
    }

    /// Refuses new calls, lets what runs and waits come to its end for at most `bound`, then stops every instance. Returns
    /// whether all ended in time.
    pub async fn drain(&self, bound: Duration) -> bool {
        let inner = &self.0;
        self.refuse_new();
        let pools: Vec<Arc<Pool>> = {
            let retired = inner.retired();
            let current = inner.pools.load();
            let retired = retired.iter().filter_map(Weak::upgrade);
            current.values().cloned().chain(retired).collect()
        };
        for pool in &pools {
            pool.drain(inner);
        }
        let all_ended = async {
            loop {
                let settled = inner.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                if pools.iter().all(|pool| pool.is_empty()) {
                    return;
                }
                settled.await;
            }
        };
        let in_time = tokio::time::timeout(bound, all_ended).await.is_ok();
        for pool in &pools {
            pool.stop_all();
        }
        in_time
    }

    /// The pool of a function's current version; a new one if there is none yet.
    fn pool(&self, function: &FunctionName) -> Option<Arc<Pool>> {
        let inner = &self.0;
        let find = |version: &Arc<Version>| {
            let pools = inner.pools.load();
            let pool = pools.get(function)?;
            (Arc::ptr_eq(pool.version(), version) || **pool.version() == **version).then(|| pool.clone())
        };
        let version = inner.catalogue.current(function)?;
        if let Some(pool) = find(&version) {
            return Some(pool);
        }
        let mut retired = inner.retired();
        // Asked again: had the version been replaced meanwhile, its retired pool would come back to life.
        let version = inner.catalogue.current(function)?;
        if let Some(pool) = find(&version) {
            return Some(pool);
        }
        let pool = Pool::new(version, inner.config.parallel_starts, inner.metrics.of(function));
        if inner.is_draining.load(Ordering::SeqCst) {
            // Whoever drains may have looked at the pools already, and would not wait for this one.
            pool.drain(inner);
        }
        let mut pools = BTreeMap::clone(&inner.pools.load());
        let replaced = pools.insert(function.clone(), pool.clone());
        inner.pools.store(Arc::new(pools));
        if let Some(replaced) = replaced {
            inner.retire(&replaced, &mut retired);
        }
        Some(pool)
    }
}

#[async_trait]
impl Invoke for Controller {
    async fn invoke(&self, function: &FunctionName, call: Call) -> Outcome {
        let inner = &self.0;
        let origin = Origin::of(&call);
        let fault = if inner.is_draining.load(Ordering::Relaxed) {
            Fault::Draining
        } else {
            match self.pool(function) {
                Some(pool) => return pool.invoke(inner, call, origin).await,
                None => Fault::NoFunction {
                    name: function.to_string(),
                },
            }
        };
        let usage = Usage::default();
        inner.tell(function, &origin, &usage, Some((fault.word(), fault.to_string())));
        Outcome {
            id: origin.id,
            result: Err(fault),
            usage,
        }
    }
}

impl Inner {
    fn retired(&self) -> MutexGuard<'_, Vec<Weak<Pool>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Retires a pool that was replaced, and remembers it as long as it runs something.
    fn retire(self: &Arc<Self>, pool: &Arc<Pool>, retired: &mut Vec<Weak<Pool>>) {
        retired.retain(|former| former.strong_count() > 0);
        retired.push(Arc::downgrade(pool));
        pool.retire(self);
    }

    /// Publishes the metering record of a call that ended.
    pub(crate) fn tell(
        &self,
        function: &FunctionName,
        origin: &Origin,
        usage: &Usage,
        failure: Option<(&str, String)>,
    ) {
        self.feed
            .publish(record(function, origin, usage, failure, self.clock.now()));
    }
}
