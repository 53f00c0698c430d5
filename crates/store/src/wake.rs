//! Wakes: "something may be new here". A waiter remembers what it has been told, so that what happens between a look and
//! the wait that follows is never lost: subscribe, look, wait, look …
//!
//! A wake is a hint. It may come for nothing, and a poll every 30 s stands behind it on engines whose wakes travel between
//! machines; here nothing else runs while nothing happens. On PostgreSQL: `LISTEN aloft` on a connection of its own and one
//! coalesced `NOTIFY aloft, 'log:7,lane:9'` from another, never in the data transaction (it costs 13 times there).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{Lane, LogId};

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A record in this log.
    Log(LogId),
    /// A task in this lane.
    Lane(Lane),
}

/// The store's wakes. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>);

impl Wake {
    /// Without waiters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A waiter for records of `log`. It knows of nothing that happened before this call.
    pub fn log(&self, log: LogId) -> Waiter {
        self.waiter(Topic::Log(log))
    }

    /// A waiter for tasks of `lane`: enqueued, released or handed on. A task that becomes due wakes nobody:
    /// [`Store::next_due`](crate::Store::next_due) tells when to look again.
    pub fn lane(&self, lane: Lane) -> Waiter {
        self.waiter(Topic::Lane(lane))
    }

    /// For engines: tells the waiters of a topic. What nobody waits for is forgotten, so the map is no larger than the
    /// number of waiters.
    pub fn notify(&self, topic: Topic) {
        let mut topics = self.topics();
        if let Some(sender) = topics.get(&topic)
            && sender.send(()).is_err()
        {
            topics.remove(&topic);
        }
    }

    fn waiter(&self, topic: Topic) -> Waiter {
        let mut topics = self.topics();
        if topics.len() >= 64 && topics.len().is_power_of_two() {
            topics.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = topics.entry(topic).or_insert_with(|| watch::channel(()).0);
        Waiter(sender.subscribe(), self.clone())
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for one topic.
#[derive(Debug, Clone)]
pub struct Waiter(
    watch::Receiver<()>,
    #[allow(dead_code, reason = "keeps the sender alive")] Wake,
);

impl Waiter {
    /// Waits until something may be new since the waiter was made or last returned. Safe to cancel: nothing is lost.
    pub async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            // The sender lives as long as the map, and the map as long as this waiter: a closed channel cannot be, and
            // waiting forever is the only answer that wakes nobody for nothing.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_happens_between_look_and_wait_is_not_lost() {
        let wake = Wake::new();
        let mut waiter = wake.log(LogId(1));
        wake.notify(Topic::Log(LogId(1)));
        wake.notify(Topic::Log(LogId(1)));
        timeout(Duration::from_secs(5), waiter.wait()).await.unwrap();
        assert!(
            timeout(Duration::ZERO, waiter.wait()).await.is_err(),
            "two wakes before a look are one"
        );
        wake.notify(Topic::Log(LogId(2)));
        wake.notify(Topic::Lane(Lane(1)));
        assert!(
            timeout(Duration::ZERO, waiter.wait()).await.is_err(),
            "other topics wake nobody here"
        );
    }

    #[tokio::test]
    async fn topics_without_waiters_are_forgotten() {
        let wake = Wake::new();
        for number in 0..1_000 {
            drop(wake.lane(Lane(number)));
        }
        assert!(wake.topics().len() <= 128);
        drop(wake.lane(Lane(5_000)));
        wake.notify(Topic::Lane(Lane(5_000)));
        assert!(!wake.topics().contains_key(&Topic::Lane(Lane(5_000))));
    }
}
