//! The controller: finds the pool of a call's function, lets it decide, and runs the call.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aloft_base::{Chance, Clock, FunctionId, Policy, Size, Tasks};
use aloft_call::{Call, Fault, Invoke, Outcome, Qualifier, Usage};
use aloft_function::{Catalogue, Found, Load, Version, Warm, Warmth};
use aloft_instance::Runtime;
use aloft_observe::{Feed, Metrics};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::memory::Memory;
use crate::metrics::Declared;
use crate::record::{Origin, record};
use crate::run::Pool;
use crate::slots::Slots;

/// How long instances that were stopped may take to be gone when the platform ends: longer than any contract lets them.
const GONE: Duration = Duration::from_secs(4);

/// What the controller is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Instances of one function that start at the same time, at most. More would only share the same cores. Default:
    /// twice the machine's cores, at least 4.
    pub parallel_starts: usize,
    /// Calls that run at once, at most, on the whole node. Default: 1,000, as of an account of Lambda's.
    pub concurrency: usize,
    /// The memory that instances may use together. Default: no bound.
    pub memory: Size,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            parallel_starts: (2 * cores).max(4),
            concurrency: 1_000,
            memory: Size::from_bytes(u64::MAX),
        }
    }
}

/// What a controller stands on.
pub struct Parts {
    /// What it is told.
    pub config: Config,
    /// Which version each call gets.
    pub catalogue: Arc<Catalogue>,
    /// Versions that the catalogue does not know yet.
    pub load: Arc<dyn Load>,
    /// What starts instances.
    pub runtime: Arc<dyn Runtime>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For aliases that split calls.
    pub chance: Arc<dyn Chance>,
    /// Who owns the background work.
    pub tasks: Tasks,
    /// Where the records of calls go.
    pub feed: Feed,
}

/// Which pool: a function's version by its number.
pub(crate) type Key = (FunctionId, u64);

/// Loads, keeps and unloads instances, and runs calls on them. Cheap to clone; clones are the same controller.
#[derive(Clone)]
pub struct Controller(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    catalogue: Arc<Catalogue>,
    load: Arc<dyn Load>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    pub(crate) tasks: Tasks,
    pub(crate) slots: Slots,
    pub(crate) memory: Memory,
    feed: Feed,
    metrics: Declared,
    pools: ArcSwap<BTreeMap<Key, Arc<Pool>>>,
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
    /// A controller without instances.
    pub fn new(parts: Parts, metrics: &Metrics) -> Self {
        let Parts {
            config,
            catalogue,
            load,
            runtime,
            clock,
            chance,
            tasks,
            feed,
        } = parts;
        Self(Arc::new(Inner {
            memory: Memory::new(config.memory),
            slots: Slots::new(config.concurrency, catalogue.clone()),
            config,
            catalogue,
            load,
            runtime,
            clock,
            chance,
            tasks,
            feed,
            metrics: Declared::register(metrics),
            pools: ArcSwap::default(),
            retired: Mutex::default(),
            is_draining: AtomicBool::new(false),
            settled: Notify::new(),
        }))
    }

    /// The numbers of a function's versions that have a pool.
    pub(crate) fn numbers(&self, function: &FunctionId) -> Vec<u64> {
        let range = (function.clone(), 0)..=(function.clone(), u64::MAX);
        let pools = self.0.pools.load();
        pools.range(range).map(|((_, number), _)| *number).collect()
    }

    /// Retires the pools of some functions whose version the catalogue does not have. Called after the project was replaced, and after a
    /// function's versions that have a pool were loaded anew: of another one that changes at the same time they are not yet.
    pub fn retire_replaced(&self, is_meant: impl Fn(&FunctionId) -> bool) {
        let inner = &self.0;
        let mut retired = inner.retired();
        let (kept, replaced): (BTreeMap<_, _>, BTreeMap<_, _>) = inner
            .pools
            .load()
            .iter()
            .map(|(key, pool)| (key.clone(), pool.clone()))
            .partition(|((function, number), pool)| {
                let current = inner.catalogue.numbered(function, *number);
                !is_meant(function) || current.is_some_and(|current| *current == **pool.version())
            });
        inner.pools.store(Arc::new(kept));
        for pool in replaced.values() {
            inner.retire(pool, &mut retired);
        }
    }

    /// Loads anew what runs of a function that was changed, and retires what is not the same any more. What cannot be loaded is retired, too:
    /// whoever calls it is told why.
    pub async fn renew(&self, function: &FunctionId) {
        for number in self.numbers(function) {
            let loaded = self.0.load.load(function, &Qualifier::numbered(number)).await;
            if let Err(fault) = loaded {
                tracing::debug!(function = %function.name, tenant = %function.tenant, number, %fault, "what runs cannot be loaded anew");
            }
        }
        self.retire_replaced(|name| name == function);
    }

    /// Does ahead what the first start of an instance of a version would wait for.
    ///
    /// # Errors
    /// Why no instance of it can be started.
    pub async fn prepare(&self, version: &Arc<Version>) -> Result<(), Fault> {
        self.0.runtime.prepare(version).await
    }

    /// As [`prepare`](Self::prepare), while the caller goes on: whoever calls the version meanwhile waits for it, and is told what is
    /// wrong with it.
    pub fn begin_to_prepare(&self, version: Arc<Version>) {
        let inner = self.0.clone();
        self.0
            .tasks
            .start("get a version ready", Policy::Alone, async move {
                tokio::select! {
                    // Safe to cancel: whoever starts an instance does it then.
                    prepared = inner.runtime.prepare(&version) => if let Err(fault) = prepared {
                        tracing::debug!(function = %version.function.name, tenant = %version.function.tenant, %fault, "a version cannot be made ready");
                    },
                    () = inner.tasks.stop().asked() => {}
                }
                Ok::<(), Infallible>(())
            });
    }

    /// Keeps instances of a function's versions loaded, so many of each, and of its others none.
    pub fn keep(&self, function: &FunctionId, wanted: &[(Arc<Version>, usize)]) {
        let inner = &self.0;
        for (version, instances) in wanted {
            self.pool(version.clone()).keep(inner, *instances);
        }
        let is_wanted = |number: u64| wanted.iter().any(|(version, _)| version.number == number);
        for number in self.numbers(function) {
            let pool = inner.pools.load().get(&(function.clone(), number)).cloned();
            if let Some(pool) = pool.filter(|_| !is_wanted(number)) {
                pool.keep(inner, 0);
            }
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
    /// whether all ended in time. When it returns the instances are gone, or have had the time for it.
    pub async fn drain(&self, bound: Duration) -> bool {
        let inner = &self.0;
        self.refuse_new();
        let pools = inner.all_pools();
        for pool in &pools {
            pool.drain(inner);
        }
        let all_ended = wait_until(inner, || pools.iter().all(|pool| pool.is_empty()));
        let in_time = tokio::time::timeout(bound, all_ended).await.is_ok();
        for pool in &pools {
            pool.stop_all();
        }
        let gone = wait_until(inner, || pools.iter().all(|pool| pool.is_gone()));
        if tokio::time::timeout(GONE, gone).await.is_err() {
            tracing::warn!("instances are not gone, though they were stopped");
        }
        in_time
    }

    /// The version for a call.
    async fn version(&self, function: &FunctionId, qualifier: &Qualifier) -> Result<Arc<Version>, Fault> {
        let inner = &self.0;
        match inner.catalogue.find(function, qualifier, &*inner.chance) {
            Found::Version(version) => Ok(version),
            Found::Unknown(chosen) => match inner.load.load(function, &chosen).await {
                // The alias was moved since that version was chosen of it, and the version deleted.
                Err(Fault::NoFunction { .. }) if chosen != *qualifier => {
                    inner.load.load(function, qualifier).await
                }
                loaded => loaded,
            },
        }
    }

    /// The pool of a version; a new one if there is none yet.
    fn pool(&self, version: Arc<Version>) -> Arc<Pool> {
        let inner = &self.0;
        let key = (version.function.clone(), version.number);
        let find = |version: &Arc<Version>| {
            let pools = inner.pools.load();
            let pool = pools.get(&key)?;
            (Arc::ptr_eq(pool.version(), version) || **pool.version() == **version).then(|| pool.clone())
        };
        if let Some(pool) = find(&version) {
            return pool;
        }
        let mut retired = inner.retired();
        // Asked again: had the version been replaced meanwhile, its retired pool would come back to life.
        let version = inner
            .catalogue
            .numbered(&version.function, version.number)
            .unwrap_or(version);
        if let Some(pool) = find(&version) {
            return pool;
        }
        let metrics = inner.metrics.of(&version.function);
        let pool = Pool::new(version, inner, metrics);
        if inner.is_draining.load(Ordering::SeqCst) {
            // Whoever drains may have looked at the pools already, and would not wait for this one.
            pool.drain(inner);
        }
        let mut pools = BTreeMap::clone(&inner.pools.load());
        let replaced = pools.insert(key, pool.clone());
        inner.pools.store(Arc::new(pools));
        if let Some(replaced) = replaced {
            inner.retire(&replaced, &mut retired);
        }
        pool
    }
}

/// Waits until something is so of what instances and calls can change.
async fn wait_until(inner: &Inner, is_so: impl Fn() -> bool) {
    loop {
        let settled = inner.settled.notified();
        tokio::pin!(settled);
        settled.as_mut().enable();
        if is_so() {
            return;
        }
        settled.await;
    }
}

#[async_trait]
impl Invoke for Controller {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        let inner = &self.0;
        let origin = Origin::of(&call, inner.clock.instant());
        let fault = if inner.is_draining.load(Ordering::Relaxed) {
            Fault::Draining
        } else {
            match self.version(function, &call.qualifier).await {
                Ok(version) => return self.pool(version).invoke(inner, call, origin).await,
                Err(fault) => fault,
            }
        };
        let usage = Usage::default();
        inner.tell(function, &origin, &usage, Some((fault.word(), fault.to_string())));
        Outcome {
            id: origin.id,
            result: Err(fault),
            usage,
            tail: None,
        }
    }
}

impl Warm for Controller {
    fn warmth(&self, function: &FunctionId, number: u64) -> Warmth {
        let pools = self.0.pools.load();
        let pool = pools.get(&(function.clone(), number));
        pool.map(|pool| pool.warmth()).unwrap_or_default()
    }
}

impl Inner {
    /// Those of current versions, and those of replaced ones that still have calls.
    pub(crate) fn all_pools(&self) -> Vec<Arc<Pool>> {
        let retired = self.retired();
        let current = self.pools.load();
        let retired = retired.iter().filter_map(Weak::upgrade);
        current.values().cloned().chain(retired).collect()
    }

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
        function: &FunctionId,
        origin: &Origin,
        usage: &Usage,
        failure: Option<(&str, String)>,
    ) {
        let total = self.clock.instant().duration_since(origin.arrived);
        self.feed.publish(record(
            function,
            origin,
            (usage, total),
            failure,
            self.clock.now(),
        ));
    }
}
