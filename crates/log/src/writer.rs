//! The write path of what functions say: gathered in bounded memory, kept by one task. Whoever says something never waits.
//!
//! A task of its own, and not the feed's subscriber itself: the feed must be read while the store is slow, or it is lost whose lines
//! are lost. One group may use half of the memory, so that a function which prints without end does not silence the others.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{Backoff, Region, Stop, Tenant};
use tokio::sync::Notify;

use crate::event::{Entry, Kind};
use crate::keep::Owned;
use crate::{Logs, Metrics};

/// The bytes that wait. Each event counts for [`Entry::LEAST`] at least, which bounds how many there are.
const QUEUE_BYTES: usize = 8 << 20;
/// An account may have so many times the bytes that are free: one alone has three quarters of the queue, and whoever comes still finds room
/// (the scheme of Choudhury and Hahne, as in the feed). A group has half of the queue at most.
const SHARE: usize = 3;
/// What is lost is counted by group for so many of them, and together beyond.
const COUNTED_GROUPS: usize = 256;
/// How long what is said waits for what follows, to be kept in one commit with it.
const GATHER: Duration = Duration::from_millis(200);
/// So many bytes do not wait.
const ENOUGH_BYTES: usize = 256 << 10;
/// What is taken at once.
const TAKEN_BYTES: usize = 2 << 20;
/// After each commit of many, so that a flood leaves the disk to others: 20 MiB a second at most.
const PAUSE: Duration = Duration::from_millis(100);
/// Between attempts when the store does not take it.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    ceiling: Duration::from_secs(5),
};

/// Takes what is said. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Writer(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits.
    some: Notify,
    /// Enough waits.
    enough: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
    by_group: HashMap<Owned, usize>,
    by_tenant: HashMap<Tenant, usize>,
    /// What found no room, by group, with the stream of the last.
    lost: BTreeMap<Owned, (Entry, u64)>,
}

impl Writer {
    /// A writer that holds nothing.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            some: Notify::new(),
            enough: Notify::new(),
            metrics,
        }))
    }

    /// Takes what was said. Never waits: what finds no room is counted, and a line will tell.
    pub fn push(&self, entry: Entry) {
        let mut waiting = self.lock();
        let weight = entry.weight();
        let of_group = waiting.by_group.get(&entry.owned()).copied().unwrap_or(0);
        let of_tenant = waiting.by_tenant.get(&entry.tenant).copied().unwrap_or(0);
        let free = QUEUE_BYTES.saturating_sub(waiting.bytes);
        if weight > free || of_group + weight > QUEUE_BYTES / 2 || of_tenant + weight > SHARE * free {
            waiting.lose(entry);
            self.0.metrics.lost.inc();
            return;
        }
        waiting.bytes += weight;
        *waiting.by_group.entry(entry.owned()).or_default() += weight;
        *waiting.by_tenant.entry(entry.tenant.clone()).or_default() += weight;
        waiting.entries.push_back(entry);
        let is_enough = waiting.bytes >= ENOUGH_BYTES;
        drop(waiting);
        self.0.some.notify_one();
        if is_enough {
            self.0.enough.notify_one();
        }
    }

    /// Keeps what is pushed until it is asked to stop and nothing is left.
    pub async fn run(self, logs: Logs, region: Region, stop: Stop) {
        loop {
            if !stop.is_asked() {
                tokio::select! {
                    // All are safe to cancel: what waits stays where it is.
                    () = self.0.some.notified() => {}
                    () = stop.asked() => {}
                }
                tokio::select! {
                    () = tokio::time::sleep(GATHER) => {}
                    () = self.0.enough.notified() => {}
                    () = stop.asked() => {}
                }
            }
            loop {
                let (entries, is_more) = self.take();
                if entries.is_empty() {
                    break;
                }
                self.keep(&logs, &region, entries, &stop).await;
                if is_more && !stop.is_asked() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if stop.is_asked() {
                return;
            }
        }
    }

    async fn keep(&self, logs: &Logs, region: &Region, entries: Vec<Entry>, stop: &Stop) {
        for plan in logs.plan(entries) {
            let mut failed = 0;
            loop {
                let Err(error) = logs.keep_planned(region, &plan).await else {
                    self.0.metrics.kept.inc_by(plan.events());
                    break;
                };
                failed += 1;
                self.0.metrics.failures.inc();
                // What the store refuses for good it would refuse for ever, and what comes after would wait behind it.
                let is_over = !error.kind().is_transient() || (stop.is_asked() && failed > 3);
                let events = plan.events();
                if is_over {
                    tracing::error!(%error, events, "events of the log are lost: they cannot be kept");
                    self.0.metrics.lost.inc_by(events);
                    break;
                }
                tracing::warn!(%error, events, "events of the log wait: they cannot be kept now");
                let delay = BACKOFF.delay(failed, &*logs.0.chance);
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = stop.asked() => {}
                }
            }
        }
    }

    /// What is to be kept next, and whether more waits. What was lost is told when there is room again.
    fn take(&self) -> (Vec<Entry>, bool) {
        let mut waiting = self.lock();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < TAKEN_BYTES
            && let Some(entry) = waiting.entries.pop_front()
        {
            let weight = entry.weight();
            bytes += weight;
            waiting.bytes = waiting.bytes.saturating_sub(weight);
            if let Some(of_group) = waiting.by_group.get_mut(&entry.owned()) {
                *of_group = of_group.saturating_sub(weight);
            }
            if let Some(of_tenant) = waiting.by_tenant.get_mut(&entry.tenant) {
                *of_tenant = of_tenant.saturating_sub(weight);
            }
            taken.push(entry);
        }
        waiting.by_group.retain(|_, bytes| *bytes > 0);
        waiting.by_tenant.retain(|_, bytes| *bytes > 0);
        for (_, (entry, count)) in std::mem::take(&mut waiting.lost) {
            taken.push(Entry {
                kind: Kind::Platform,
                invocation: None,
                message: format!("{count} lines are missing here: they came faster than they could be kept"),
                record: None,
                ..entry
            });
        }
        (taken, !waiting.entries.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn lose(&mut self, entry: Entry) {
        let owned = entry.owned();
        let is_counted = self.lost.contains_key(&owned) || self.lost.len() < COUNTED_GROUPS;
        let key = if is_counted {
            owned
        } else {
            self.lost.keys().next_back().cloned().unwrap_or(owned)
        };
        let entry = Entry {
            message: String::new(),
            record: None,
            ..entry
        };
        match self.lost.get_mut(&key) {
            Some((last, count)) => {
                *count += 1;
                last.at = entry.at;
            }
            None => {
                self.lost.insert(key, (entry, 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::Timestamp;

    use super::*;

    fn entry(tenant: &str, group: &str, message: &str) -> Entry {
        Entry {
            tenant: tenant.parse().unwrap(),
            group: group.into(),
            stream: "s".into(),
            at: Timestamp::from_millis(1),
            kind: Kind::Stdout,
            invocation: None,
            message: message.to_owned(),
            record: None,
        }
    }

    /// How many bytes of an account wait.
    fn waiting(writer: &Writer, tenant: &str) -> usize {
        let waiting = writer.lock();
        waiting
            .by_tenant
            .get(&tenant.parse::<Tenant>().unwrap())
            .copied()
            .unwrap_or(0)
    }

    #[test]
    fn accounts_that_flood_leave_room_for_others() {
        let metrics = aloft_observe::Metrics::new();
        let writer = Writer::new(Metrics::register(&metrics));
        let (one, other, third) = ("111111111111", "222222222222", "333333333333");
        for message in ["", &"x".repeat(10_000)] {
            for _ in 0..50_000 {
                ["a", "b", "c"]
                    .iter()
                    .for_each(|group| writer.push(entry(one, group, message)));
                writer.push(entry(other, "a", message));
            }
            assert!(waiting(&writer, one) > QUEUE_BYTES / 4 && waiting(&writer, other) > QUEUE_BYTES / 4);
            assert!(writer.lock().entries.len() <= QUEUE_BYTES / Entry::LEAST);
            for _ in 0..100 {
                writer.push(entry(third, "a", "said"));
            }
            let (mut said, mut is_more) = (0, true);
            while is_more {
                let (taken, more) = writer.take();
                said += taken.iter().filter(|entry| entry.message == "said").count();
                is_more = more;
            }
            assert_eq!(said, 100, "a third one loses nothing");
            assert_eq!((waiting(&writer, one), writer.lock().bytes), (0, 0));
        }
    }
}
