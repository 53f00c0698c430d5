//! What a store shows of what it counts. The counters themselves are the engine's: read at each scrape, so that a commit
//! pays nothing for being watched, and through a weak handle, so that being watched keeps no store open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use aloft_observe::Metrics;

use crate::{Counters, Embedded};

impl Embedded {
    /// Declares the store's metrics.
    pub fn declare(self: &Arc<Self>, metrics: &Metrics) {
        let read = |of: Of| {
            let store = Arc::downgrade(self);
            move || value(&store, of)
        };
        metrics.counter_of(
            "aloft_store_commits",
            "Batches that were committed",
            read(|counters| &counters.engine.commits),
        );
        metrics.counter_of(
            "aloft_store_refusals",
            "Batches that were refused: conflicts, fences and lost tokens",
            read(|counters| &counters.engine.refusals),
        );
        metrics.counter_of(
            "aloft_store_groups",
            "Groups of requests that were decided together; commits by groups is how many share one",
            read(|counters| &counters.engine.groups),
        );
        metrics.counter_of(
            "aloft_store_fsyncs",
            "Times that a group was made durable; what the tree does in the background is not among them",
            read(|counters| &counters.disk.syncs),
        );
        metrics.counter_of(
            "aloft_store_written_bytes",
            "Keys and values that were handed to the tree, before it merges them",
            read(|counters| &counters.engine.bytes),
        );
        metrics.gauge_of(
            "aloft_store_queue_requests",
            "Requests that wait for the committer; at most 1024",
            read(|counters| &counters.queue.length),
        );
        metrics.gauge_of(
            "aloft_store_queue_longest_requests",
            "The most requests that waited for the committer since the node started",
            read(|counters| &counters.queue.longest),
        );
    }
}

type Of = fn(Counters<'_>) -> &AtomicU64;

/// `None` once the store is closed.
fn value(store: &Weak<Embedded>, of: Of) -> Option<f64> {
    let store = store.upgrade()?;
    Some(of(store.counters()).load(Ordering::Relaxed) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use aloft_base::SystemClock;
    use aloft_store::{Batch, BatchId, Key, Store};

    #[tokio::test]
    async fn a_commit_is_shown_and_a_closed_store_shows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), &Config::default(), Arc::new(SystemClock)).unwrap();
        let (store, metrics) = (Arc::new(store), Metrics::new());
        store.declare(&metrics);
        let shown = |name: &str| {
            let text = metrics.render();
            let found = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            found.map(|value| value.parse::<f64>().unwrap())
        };
        let before = shown("aloft_store_fsyncs_total").unwrap();
        let batch = Batch::new(BatchId(1)).put(Key::new("k").unwrap(), vec![7; 5_000]);
        assert!(store.commit(batch).await.unwrap().is_committed());
        assert_eq!(shown("aloft_store_commits_total"), Some(1.0));
        assert_eq!(shown("aloft_store_fsyncs_total"), Some(before + 1.0));
        assert!(shown("aloft_store_written_bytes_total").unwrap() >= 5_000.0);
        assert_eq!(shown("aloft_store_queue_requests"), Some(0.0));
        assert_eq!(shown("aloft_store_queue_longest_requests"), Some(1.0));
        Arc::into_inner(store).unwrap().close().await.unwrap();
        assert_eq!(shown("aloft_store_commits_total"), None);
    }
}
