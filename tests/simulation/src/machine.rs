//! A machine: a single-threaded runtime of tokio's with paused time and a seed, on which one life of a node runs. The world
//! gives each machine its turns. One that gets none is paused; one that is dropped has crashed, and every task on it with it, at the
//! await where it stood.
//!
//! tokio itself is the executor, because the platform's timers, channels and `select!` are tokio's, and an executor of our own would run
//! other code than users do. Its only source of chance is the start of a `select!` and the order in which a watch wakes;
//! both come from the runtime's seed, which tokio takes when it is built with `--cfg tokio_unstable`.
//! `cargo xtask simulate` does that, in a target folder of its own. Rejected: turmoil (simulates a network, which does not exist
//! at this floor, and hosts built just like this file), madsim (replaces tokio by a fork that is behind, and the C library's
//! `getrandom` by unsafe code), `biased` in every `select!` (hides orders that users meet), loom and shuttle (exhaust
//! orders of threads; ours are orders of events).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::clock::NodeClock;

/// What a node's tasks pass before each effect: nothing of a dead node goes out.
pub(crate) struct Gate {
    /// Which life of which node, unique in the run.
    pub(crate) life: u64,
    is_dead: AtomicBool,
    is_clean: AtomicBool,
    died: Notify,
}

impl Gate {
    pub(crate) fn new(life: u64) -> Self {
        Self {
            life,
            is_dead: AtomicBool::new(false),
            is_clean: AtomicBool::new(false),
            died: Notify::new(),
        }
    }

    /// Ends the node here and now.
    pub(crate) fn crash(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// Notes that the node has ended by itself, having stopped all its work.
    pub(crate) fn leave(&self) {
        self.is_clean.store(true, Ordering::SeqCst);
        self.crash();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Whether it ended by itself.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean.load(Ordering::SeqCst)
    }

    /// Goes on if the node lives. A dead node's tasks stay here until they are dropped.
    pub(crate) async fn pass(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Crashes and does not return.
    pub(crate) async fn crash_here(&self) {
        self.crash();
        std::future::pending::<()>().await;
    }
}

/// One life of a node.
pub(crate) struct Machine {
    runtime: Runtime,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<NodeClock>,
    /// Until when it gets no turn.
    pub(crate) paused_until: Option<u64>,
}

impl Machine {
    /// A machine that begins at this moment of simulated time.
    pub(crate) fn new(gate: Arc<Gate>, now_ms: u64, skew: Duration, seed: u64) -> Result<Self> {
        let runtime = seeded(seed)?;
        let clock = runtime.block_on(async { Arc::new(NodeClock::new(now_ms, skew)) });
        Ok(Self {
            runtime,
            gate,
            clock,
            paused_until: None,
        })
    }

    /// Does something on the runtime that does not wait, such as starting a task.
    pub(crate) fn enter(&self, work: impl FnOnce()) {
        let _here = self.runtime.enter();
        work();
    }

    /// A turn: everything that happens up to this moment of simulated time, or up to its death.
    pub(crate) fn turn(&self, to_ms: u64) {
        let until = self.clock.at(to_ms);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.gate.died.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        });
    }

    /// The clock jumps to this moment of simulated time, as it does for a process that was stopped and goes on: all timers
    /// that came due meanwhile are due at once.
    pub(crate) fn wake_up(&mut self, now_ms: u64) {
        self.paused_until = None;
        let slept = self.clock.at(now_ms);
        self.runtime.block_on(async {
            let gap = slept.saturating_duration_since(tokio::time::Instant::now());
            tokio::time::advance(gap).await;
        });
    }

    /// How often tasks were polled.
    pub(crate) fn polls(&self) -> u64 {
        polls(&self.runtime)
    }
}

#[cfg(tokio_unstable)]
fn seeded(seed: u64) -> Result<Runtime> {
    let seed = tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes());
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).rng_seed(seed).build();
    runtime.context("a runtime could not be made")
}

#[cfg(tokio_unstable)]
fn polls(runtime: &Runtime) -> u64 {
    runtime.metrics().worker_poll_count(0)
}

/// Without a seed for tokio no run could be replayed.
#[cfg(not(tokio_unstable))]
fn seeded(_: u64) -> Result<Runtime> {
    let unused = Builder::new_current_thread().build();
    drop(unused.context("a runtime could not be made")?);
    anyhow::bail!(
        "this was built without `--cfg tokio_unstable`, so tokio cannot be seeded: run `cargo xtask simulate` instead"
    )
}

#[cfg(not(tokio_unstable))]
fn polls(_: &Runtime) -> u64 {
    0
}
