//! The feed: two bounded queues in, one collector, a bounded memory of the latest, and subscribers who may fall behind.
//!
//! Publishing is one `try_send`. The collector alone writes the memory, so that a warm call shares no lock with another. A
//! subscriber reads the same memory by number: tokio's broadcast channel would be a second one, bounded in count only.
//!
//! What functions print has a queue of its own, a share of each batch and a part of the memory: a function that prints without
//! end loses lines, its own and its neighbours', but nobody's metering records, not even for a subscriber who fell behind.
//! (Behind a flood a record may come before the last lines of its call.)

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{Policy, Tasks};
use tokio::sync::{mpsc, watch};

use crate::Notice;

/// Places of each queue.
const QUEUE: usize = 8_192;
/// Bytes of queued lines.
const QUEUE_BYTES: usize = 16 << 20;
/// What is remembered of the lines, and as much again of what else happened.
const KEPT_NOTICES: usize = 65_536;
const KEPT_BYTES: usize = 16 << 20;
/// Notices that are taken at once, lines not among them.
const BATCH: usize = 1_024;
/// Lines that are taken at once: some 25,000 a second, so that what is kept spans seconds and subscribers can follow.
const LINES: usize = 256;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(10);

/// What happens, as it happens. Cheap to clone; clones are the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    lines: mpsc::Sender<Notice>,
    others: mpsc::Sender<Notice>,
    shared: Arc<Shared>,
}

/// What the collector takes in.
struct Incoming {
    lines: mpsc::Receiver<Notice>,
    others: mpsc::Receiver<Notice>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// The number of the next notice; told to subscribers. None once the feed has ended.
    next: watch::Sender<Option<u64>>,
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The latest notices, in one numbering.
#[derive(Debug, Default)]
struct Kept {
    lines: Memory,
    others: Memory,
    next: u64,
}

/// Numbered notices of one kind, oldest first, bounded in count and bytes.
#[derive(Debug, Default)]
struct Memory {
    notices: VecDeque<(u64, Arc<Notice>)>,
    bytes: usize,
}

/// A subscriber was too slow and missed this many notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed(pub u64);

/// A subscriber's place in the feed. It holds nothing but a number: one that falls behind costs no memory.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    at: u64,
    next: watch::Receiver<Option<u64>>,
}

impl Feed {
    /// A feed whose collector runs in `tasks`.
    pub fn start(tasks: &Tasks) -> Self {
        let (lines, incoming_lines) = mpsc::channel(QUEUE);
        let (others, incoming_others) = mpsc::channel(QUEUE);
        let incoming = Incoming {
            lines: incoming_lines,
            others: incoming_others,
        };
        let shared = Arc::new(Shared {
            kept: Mutex::default(),
            next: watch::Sender::new(Some(0)),
            queued_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        });
        tasks.start(
            "feed",
            Policy::Vital,
            collect(incoming, shared.clone(), tasks.clone()),
        );
        Self {
            lines,
            others,
            shared,
        }
    }

    /// Says that something happened. Never waits; drops the notice when the collector is too far behind.
    pub fn publish(&self, notice: Notice) {
        let shared = &self.shared;
        let is_taken = if matches!(notice, Notice::Log(_)) {
            let weight = notice.weight();
            let queued = shared.queued_bytes.fetch_add(weight, Ordering::Relaxed);
            let is_taken = queued + weight <= QUEUE_BYTES && self.lines.try_send(notice).is_ok();
            if !is_taken {
                shared.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
            }
            is_taken
        } else {
            self.others.try_send(notice).is_ok()
        };
        if !is_taken {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many notices were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// What is kept, oldest first, and everything from then on without a gap.
    pub fn recent_and_subscribe(&self) -> (Vec<Arc<Notice>>, Subscription) {
        let kept = self.shared.kept();
        let subscription = Subscription {
            shared: self.shared.clone(),
            at: kept.next,
            next: self.shared.next.subscribe(),
        };
        (kept.all(), subscription)
    }

    /// Tells subscribers that nothing follows, so that whoever waits for more lets go.
    pub fn end(&self) {
        self.shared.next.send_replace(None);
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The next notice if one is there already.
    pub fn try_next(&mut self) -> Option<Result<Arc<Notice>, Missed>> {
        let kept = self.shared.kept();
        let (number, notice) = kept.from(self.at)?;
        let missed = number - self.at;
        if missed > 0 {
            self.at = *number;
            return Some(Err(Missed(missed)));
        }
        self.at += 1;
        Some(Ok(notice.clone()))
    }

    /// The next notice; `None` when the feed has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Arc<Notice>, Missed>> {
        loop {
            // Marked as seen before looking, so that what comes in between is not waited for in vain.
            let is_ended = self.next.borrow_and_update().is_none();
            if let Some(next) = self.try_next() {
                return Some(next);
            }
            if is_ended {
                return None;
            }
            self.next.changed().await.ok()?;
        }
    }
}

async fn collect(mut incoming: Incoming, shared: Arc<Shared>, tasks: Tasks) -> Result<(), Infallible> {
    let (mut lines, mut others) = (Vec::with_capacity(LINES), Vec::with_capacity(BATCH));
    loop {
        let count = tokio::select! {
            // All are safe to cancel: recv_many takes nothing unless it returns it.
            count = incoming.lines.recv_many(&mut lines, LINES) => count,
            count = incoming.others.recv_many(&mut others, BATCH) => count,
            () = tasks.stop().asked() => 0,
        };
        if count == 0 {
            shared.next.send_replace(None);
            return Ok(());
        }
        take(&mut incoming.lines, &mut lines, LINES);
        take(&mut incoming.others, &mut others, BATCH);
        let next = {
            let mut kept = shared.kept();
            for line in lines.drain(..) {
                shared.queued_bytes.fetch_sub(line.weight(), Ordering::Relaxed);
                kept.keep(Arc::new(line));
            }
            others.drain(..).for_each(|notice| kept.keep(Arc::new(notice)));
            kept.next
        };
        shared
            .next
            .send_if_modified(|told| told.as_mut().map(|told| *told = next).is_some());
        // Whoever watches sees it a moment later, and a busy function wakes this task a hundred times a second at most
        // instead of at each of its calls.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes what is there already, up to a batch.
fn take(queue: &mut mpsc::Receiver<Notice>, batch: &mut Vec<Notice>, most: usize) {
    while batch.len() < most
        && let Ok(notice) = queue.try_recv()
    {
        batch.push(notice);
    }
}

impl Kept {
    fn keep(&mut self, notice: Arc<Notice>) {
        let memory = match *notice {
            Notice::Log(_) => &mut self.lines,
            _ => &mut self.others,
        };
        memory.keep(self.next, notice);
        self.next += 1;
    }

    /// The first that has this number or a later one.
    fn from(&self, number: u64) -> Option<&(u64, Arc<Notice>)> {
        let firsts = [self.lines.from(number), self.others.from(number)];
        firsts.into_iter().flatten().min_by_key(|(number, _)| *number)
    }

    fn all(&self) -> Vec<Arc<Notice>> {
        let mut all: Vec<_> = self.lines.notices.iter().chain(&self.others.notices).collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, notice)| notice.clone()).collect()
    }
}

impl Memory {
    fn keep(&mut self, number: u64, notice: Arc<Notice>) {
        self.bytes += notice.weight();
        self.notices.push_back((number, notice));
        while self.bytes > KEPT_BYTES || self.notices.len() > KEPT_NOTICES {
            let Some((_, oldest)) = self.notices.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.weight());
        }
    }

    fn from(&self, number: u64) -> Option<&(u64, Arc<Notice>)> {
        let before = self.notices.partition_point(|(kept, _)| *kept < number);
        self.notices.get(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Line, Stream};
    use aloft_base::{Stop, Timestamp};

    fn line(text: &str) -> Notice {
        Notice::Log(Line {
            at: Timestamp::from_millis(1),
            function: "f".parse().unwrap(),
            version: None,
            number: 0,
            invocation: None,
            stream: Stream::Stdout,
            text: text.to_owned(),
            logging: aloft_base::Logging::Text,
        })
    }

    fn text(notice: &Notice) -> &str {
        match notice {
            Notice::Log(line) => &line.text,
            other => panic!("{other:?}"),
        }
    }

    fn reload(at: u64) -> Notice {
        Notice::Reload(crate::Reload {
            at: Timestamp::from_millis(at),
            ok: true,
            changed: vec![],
            error: None,
        })
    }

    #[tokio::test]
    async fn a_subscriber_sees_what_was_and_what_comes_without_a_gap() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        let (_, mut first) = feed.recent_and_subscribe();
        feed.publish(line("a"));
        assert_eq!(text(&first.next().await.unwrap().unwrap()), "a");
        let (recent, mut second) = feed.recent_and_subscribe();
        assert_eq!(recent.iter().map(|n| text(n)).collect::<Vec<_>>(), ["a"]);
        feed.publish(line("b"));
        assert_eq!(text(&second.next().await.unwrap().unwrap()), "b");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_subscriber_is_told_how_much_it_missed_and_an_ended_feed_ends_it() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        let (_, mut slow) = feed.recent_and_subscribe();
        let (_, mut fast) = feed.recent_and_subscribe();
        for _ in 0..40 {
            feed.publish(line(&"x".repeat(1 << 20)));
            fast.next().await.unwrap().unwrap();
        }
        assert_eq!(slow.next().await.unwrap().unwrap_err(), Missed(25));
        feed.end();
        for _ in 0..15 {
            slow.next().await.unwrap().unwrap();
        }
        assert!(slow.next().await.is_none());
        assert!(fast.next().await.is_none());
    }

    #[tokio::test]
    async fn lines_that_come_too_fast_are_dropped_and_counted() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        for _ in 0..20 {
            feed.publish(line(&"x".repeat(1 << 20)));
        }
        assert_eq!(feed.dropped(), 5, "the collector has had no turn yet");
    }

    /// Whatever a function prints, what else happens is told.
    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_loses_nothing_else() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        let (_, mut subscription) = feed.recent_and_subscribe();
        let mut reloads = 0;
        for round in 0..200 {
            for _ in 0..QUEUE {
                feed.publish(line(""));
            }
            feed.publish(reload(round));
            tokio::time::sleep(PAUSE).await;
            while let Some(notice) = subscription.try_next() {
                reloads += usize::from(matches!(*notice.unwrap(), Notice::Reload(_)));
            }
        }
        assert!(feed.dropped() > 0, "it was a flood");
        tokio::time::sleep(PAUSE * 2).await;
        while let Some(notice) = subscription.try_next() {
            reloads += usize::from(matches!(*notice.unwrap(), Notice::Reload(_)));
        }
        assert_eq!(reloads, 200);
    }

    /// One who reads nothing while a function prints is told how many lines are missing, and finds what else happened.
    #[tokio::test(start_paused = true)]
    async fn a_subscriber_who_fell_behind_misses_lines_only() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        let (_, mut slow) = feed.recent_and_subscribe();
        feed.publish(reload(1));
        for _ in 0..40 {
            tokio::time::sleep(PAUSE * 2).await;
            feed.publish(line(&"x".repeat(1 << 20)));
        }
        feed.publish(reload(2));
        tokio::time::sleep(PAUSE * 2).await;
        let (mut missed, mut lines, mut reloads) = (0, 0, 0);
        while let Some(next) = slow.try_next() {
            match next {
                Ok(notice) if matches!(*notice, Notice::Log(_)) => lines += 1,
                Ok(_) => reloads += 1,
                Err(Missed(count)) => missed += count,
            }
        }
        assert_eq!((missed, lines, reloads), (25, 15, 2));
        let (recent, _) = feed.recent_and_subscribe();
        assert!(matches!(*recent[0], Notice::Reload(_)) && matches!(*recent[16], Notice::Reload(_)));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let mut kept = Kept::default();
        for _ in 0..40 {
            kept.keep(Arc::new(line(&"x".repeat(1 << 20))));
        }
        assert!(kept.lines.bytes <= KEPT_BYTES);
        assert_eq!(kept.lines.notices.len(), 15);
    }
}
