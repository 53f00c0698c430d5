//! One life of a node: what the scenario wants of it, over its own store, clock and chance, and the front where it takes
//! requests. It ends when it is told to, when its store is broken, or when its start fails, as the real one does; otherwise
//! the world ends it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Policy, SeededChance, Stop, Tasks};
use aloft_store::Store;
use anyhow::Result;
use tokio::sync::mpsc;

use crate::blobs::NodeBlobs;
use crate::clock::NodeClock;
use crate::front::{Request, unknown};
use crate::history::{Ask, Seen, Told};
use crate::machine::Gate;
use crate::scenario::later::Later;
use crate::scenario::orders::Orders;
use crate::scenario::{files, jobs, ledger};
use crate::shared::Shared;
use crate::store::NodeStore;

/// Requests that wait at a node's front; what comes beyond is refused.
const FRONT: usize = 64;

/// What a node stands on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) store: Arc<dyn Store>,
    /// The same, as what may have an owner.
    pub(crate) own: Arc<NodeStore>,
    pub(crate) blobs: Arc<NodeBlobs>,
    pub(crate) clock: Arc<NodeClock>,
    pub(crate) chance: Arc<SeededChance>,
}

/// Lives until `stop` is asked for. `node` is its number.
pub(crate) async fn live(parts: Parts, node: usize, stop: Stop) {
    let tasks = Tasks::new(Stop::new());
    match start(&parts, &tasks).await {
        Ok(runs) => {
            let (sender, requests) = mpsc::channel(FRONT);
            if let Some(front) = parts.shared.state().fronts.get_mut(node) {
                *front = Some(sender);
            }
            serve(&parts, &runs, &tasks, requests, &stop).await;
            if let Some(orders) = &runs.orders {
                orders.stop().await;
            }
            if let Some(later) = &runs.later {
                later.stop().await;
            }
            tasks.drain(Duration::from_secs(5)).await;
            if parts.shared.scenario.has_lease {
                parts.own.give_back().await;
            }
            parts.gate.pass().await;
            parts.gate.leave();
        }
        Err(error) => {
            let (life, now) = (parts.gate.life, parts.clock.world_ms());
            let mut state = parts.shared.state();
            state
                .trace
                .note(now, format_args!("life {life} could not start: {error:#}"));
            drop(state);
            parts.gate.crash();
        }
    }
}

/// What of the platform runs on a node that is asked for something.
#[derive(Clone, Default)]
struct Runs {
    orders: Option<Orders>,
    later: Option<Later>,
}

async fn start(parts: &Parts, tasks: &Tasks) -> Result<Runs> {
    let scenario = parts.shared.scenario;
    if scenario.has_lease {
        parts.own.own().await?;
        parts
            .shared
            .see(parts.clock.world_ms(), Seen::Owned(parts.gate.life));
        let (own, stop) = (parts.own.clone(), tasks.stop().clone());
        tasks.start(
            "lease",
            Policy::Alone,
            endless(async move { own.keep(&stop).await }),
        );
    }
    let mut runs = Runs::default();
    if scenario.has_orders {
        runs.orders = Some(Orders::start(parts, tasks).await?);
    }
    if scenario.has_later {
        runs.later = Some(Later::start(parts, tasks).await?);
    }
    let stop = tasks.stop().clone();
    if scenario.has_files {
        let collect = files::collect(parts.clone(), stop.clone());
        tasks.start("collector", Policy::Alone, endless(collect));
    }
    if scenario.has_jobs {
        let work = jobs::work(parts.clone(), stop.clone());
        tasks.start("worker", Policy::Alone, endless(work));
    }
    if scenario.has_ledger {
        tasks.start("owner", Policy::Alone, endless(ledger::own(parts.clone(), stop)));
    }
    Ok(runs)
}

async fn endless(work: impl Future<Output = ()>) -> Result<(), Infallible> {
    work.await;
    Ok(())
}

async fn serve(
    parts: &Parts,
    runs: &Runs,
    tasks: &Tasks,
    mut requests: mpsc::Receiver<Request>,
    stop: &Stop,
) {
    loop {
        // All three are safe to cancel: a request that was taken is handled before the next wait.
        let request = tokio::select! {
            () = stop.asked() => return,
            _ = parts.store.broken() => return,
            request = requests.recv() => request,
        };
        let Some(request) = request else { return };
        let (parts, runs) = (parts.clone(), runs.clone());
        tasks.start("request", Policy::Alone, async move {
            let (op, life) = (request.op, parts.gate.life);
            let see = |seen| {
                // Only where requests are made that may take effect long after they were asked.
                if parts.shared.scenario.has_aliases {
                    parts.shared.see(parts.clock.world_ms(), seen);
                }
            };
            see(Seen::Handles(op, life));
            let told = answer(&parts, &runs, op, &request.ask).await;
            parts.gate.pass().await;
            see(Seen::Handled(op, life, told.clone()));
            parts.shared.state().answers.answer(request.ticket, told);
            Ok::<(), Infallible>(())
        });
    }
}

async fn answer(parts: &Parts, runs: &Runs, op: u64, ask: &Ask) -> Told {
    match (ask, &runs.orders) {
        (Ask::Enqueue { job }, _) => told(jobs::enqueue(parts, *job).await.map_err(Into::into)),
        (Ask::Jobs, _) => told(jobs::done(&parts.store).await.map(Told::Jobs)),
        (Ask::Ledger, _) => told(ledger::read(&parts.store).await.map(Told::Ledger)),
        (Ask::Store { name, content }, _) => told(files::store(parts, name, *content).await),
        (Ask::Forget { name }, _) => told(files::forget(parts, name).await),
        (Ask::Fetch { name }, _) => told(files::fetch(parts, name).await),
        (Ask::Files, _) => told(files::count(parts).await),
        (Ask::Later { number, name }, _) => match &runs.later {
            Some(later) => told(later.accept(*number, name).await),
            None => unknown("this node makes no calls later"),
        },
        (Ask::GivenUp, _) => match &runs.later {
            Some(later) => told(later.given_up().await),
            None => unknown("this node makes no calls later"),
        },
        (
            Ask::Call { .. }
            | Ask::Edit { .. }
            | Ask::Publish
            | Ask::Point { .. }
            | Ask::Unpoint { .. }
            | Ask::Unpublish { .. }
            | Ask::List,
            _,
        ) => match &runs.later {
            Some(later) => told(later.answered(ask).await),
            None => unknown("this node has no functions with versions"),
        },
        (_, Some(orders)) => orders.answer(op, ask).await,
        (_, None) => unknown("this node has no tables"),
    }
}

/// What a client is told, also when it did not work.
pub(crate) fn told(answered: Result<Told>) -> Told {
    answered.unwrap_or_else(|error| unknown(&format!("{error:#}")))
}

/// A node's own chance: another one in each life.
pub(crate) fn chance(shared: &Shared) -> Arc<SeededChance> {
    Arc::new(SeededChance::new(shared.chance.next_u64()))
}
