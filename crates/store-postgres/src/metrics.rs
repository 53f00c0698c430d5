//! What a store shows of what it counts: read at each scrape, through a weak handle, so that being watched keeps no store open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use aloft_observe::Metrics;

use crate::{Counters, Postgres};

impl Postgres {
    /// Declares the store's metrics. Those that both durable engines count have the same names.
    pub fn declare(self: &Arc<Self>, metrics: &Metrics) {
        let read = |of: Of| {
            let store = Arc::downgrade(self);
            move || value(&store, of)
        };
        metrics.counter_of(
            "aloft_store_commits",
            "Batches that were committed",
            read(|c| loaded(&c.commits.commits)),
        );
        metrics.counter_of(
            "aloft_store_refusals",
            "Batches that were refused: conflicts, fences and lost tokens",
            read(|c| loaded(&c.commits.refusals)),
        );
        metrics.counter_of(
            "aloft_store_committed_bytes",
            "Keys and values of batches that were committed",
            read(|c| loaded(&c.commits.bytes)),
        );
        metrics.gauge_of(
            "aloft_store_running_commits",
            "Commits under way; at most 1024, more wait",
            read(|c| c.running as f64),
        );
        metrics.counter_of(
            "aloft_store_lost_commits",
            "Commits whose connection broke before the answer, so that their outcome was looked up",
            read(|c| loaded(&c.commits.lost)),
        );
        metrics.counter_of(
            "aloft_store_recovered_commits",
            "Commits whose outcome was looked up and that had happened",
            read(|c| loaded(&c.commits.recovered)),
        );
        metrics.gauge_of(
            "aloft_store_connections",
            "Open connections to the database",
            read(|c| loaded(&c.connections.open)),
        );
        metrics.counter_of(
            "aloft_store_failed_connections",
            "Times that connecting to the database failed",
            read(|c| loaded(&c.connections.failures)),
        );
        metrics.gauge_of(
            "aloft_store_snapshots",
            "Open snapshots; each holds a connection, and keeps the server from cleaning up",
            read(|c| c.snapshots as f64),
        );
        metrics.gauge_of(
            "aloft_store_horizon_age_seconds",
            "How long the oldest committed record has been hidden from readers behind an open transaction",
            read(|c| c.horizon_ms as f64 / 1_000.0),
        );
        metrics.counter_of(
            "aloft_store_journal_turns",
            "Times that the journal's ring turned",
            read(|c| c.turns as f64),
        );
        metrics.counter_of(
            "aloft_store_journal_carried_rows",
            "Rows of the journal that lived longer than their segment and were carried into the current one",
            read(|c| c.carried as f64),
        );
        metrics.counter_of(
            "aloft_store_journal_blocked_turns",
            "Times that somebody else's lock kept a finished segment from being truncated",
            read(|c| c.blocked as f64),
        );
    }
}

type Of = fn(Counters<'_>) -> f64;

fn loaded(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// `None` once the store is closed.
fn value(store: &Weak<Postgres>, of: Of) -> Option<f64> {
    let store = store.upgrade()?;
    Some(of(store.counters()))
}
