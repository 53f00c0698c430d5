//! The feed: two bounded queues in, one collector, a bounded memory of the latest, and subscribers who may fall behind.
//!
//! Publishing is one `try_send`. The collector alone writes the memory, so that a warm call shares no lock with another. A
//! subscriber reads the same memory by number: tokio's broadcast channel would be a second one, bounded in count only.
//!
//! What functions print has a queue of its own, a share of each batch and a part of the memory: a function that prints without
//! end loses lines of its own (see [`Shares`]), but nobody's metering records, not even for a subscriber who fell behind. Each notice
//! has a number from when it was published, so that a record waits for the lines before it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::{Policy, Tasks};
use tokio::sync::{mpsc, watch};

use crate::shares::{Shares, Size};
use crate::{Line, Notice};

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
    lines: mpsc::Sender<(u64, Line)>,
    others: mpsc::Sender<(u64, Notice)>,
    shared: Arc<Shared>,
}

/// What the collector takes in.
struct Incoming {
    lines: mpsc::Receiver<(u64, Line)>,
    others: mpsc::Receiver<(u64, Notice)>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// The number of the next notice; told to subscribers. None once the feed has ended.
    next: watch::Sender<Option<u64>>,
    shares: Mutex<Shares>,
    /// The number of what is published next.
    published: AtomicU64,
    /// How much of it has been taken in.
    taken: AtomicU64,
    dropped_lines: AtomicU64,
    dropped_others: AtomicU64,
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
            shares: Mutex::new(Shares::new(Size {
                lines: QUEUE,
                bytes: QUEUE_BYTES,
            })),
            published: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            dropped_lines: AtomicU64::new(0),
            dropped_others: AtomicU64::new(0),
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
        let number = || shared.published.fetch_add(1, Ordering::Relaxed);
        let line = match notice {
            Notice::Log(line) => line,
            other => {
                if self.others.try_send((number(), other)).is_err() {
                    shared.dropped_others.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
        };
        let Some((said, line)) = shared.shares().admit(line) else {
            shared.dropped_lines.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for line in said.into_iter().chain([line]) {
            // There is a place, for it was counted. Once the feed has ended nobody misses it.
            let _ = self.lines.try_send((number(), line));
        }
    }

    /// How many notices were dropped because their queue was full.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped_lines.load(Ordering::Relaxed) + self.dropped_others()
    }

    /// Those among them that are no lines. How many lines are missing is said among the lines.
    pub fn dropped_others(&self) -> u64 {
        self.shared.dropped_others.load(Ordering::Relaxed)
    }

    /// Waits until all that was published so far is kept, for so long at most.
    pub async fn settle(&self, most: Duration) {
        let published = self.shared.published.load(Ordering::Relaxed);
        let is_settled = || {
            // What is published meanwhile counts as well: it is behind the rest.
            let taken = self.shared.taken.load(Ordering::Relaxed);
            taken + self.dropped_others() >= published
        };
        let mut waited = Duration::ZERO;
        while !is_settled() && waited < most {
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        }
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

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
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
    // What was published behind lines that are still in their queue.
    let mut behind = VecDeque::new();
    loop {
        let count = tokio::select! {
            // All are safe to cancel: recv_many takes nothing unless it returns it.
            count = incoming.lines.recv_many(&mut lines, LINES) => count,
            count = incoming.others.recv_many(&mut others, BATCH) => count,
            () = tasks.stop().asked() => 0,
        };
        // In this order: the lines before what is taken here are in their queue by then.
        take(&mut incoming.others, &mut others, BATCH);
        take(&mut incoming.lines, &mut lines, LINES);
        behind.extend(others.drain(..));
        let gaps = {
            let mut shares = shared.shares();
            lines.iter().for_each(|(_, line)| shares.release(line));
            shares.gaps()
        };
        let last = lines.last().map(|(number, _)| *number);
        let may_wait = count > 0 && !incoming.lines.is_empty() && behind.len() <= QUEUE;
        let until = last.filter(|_| may_wait).unwrap_or(u64::MAX);
        let next = {
            let mut kept = shared.kept();
            let mut taken = lines.len();
            for (number, line) in lines.drain(..) {
                taken += keep_until(&mut kept, &mut behind, number);
                kept.keep(Arc::new(Notice::Log(line)));
            }
            for gap in gaps {
                kept.keep(Arc::new(Notice::Log(gap)));
            }
            taken += keep_until(&mut kept, &mut behind, until);
            shared.taken.fetch_add(taken as u64, Ordering::Relaxed);
            kept.next
        };
        if count == 0 {
            shared.next.send_replace(None);
            return Ok(());
        }
        shared
            .next
            .send_if_modified(|told| told.as_mut().map(|told| *told = next).is_some());
        // Whoever watches sees it a moment later, and a busy function wakes this task a hundred times a second at most
        // instead of at each of its calls.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Keeps what was published before this number; returns how much that was.
fn keep_until(kept: &mut Kept, behind: &mut VecDeque<(u64, Notice)>, until: u64) -> usize {
    let before = behind.len();
    while let Some((number, _)) = behind.front()
        && *number < until
        && let Some((_, notice)) = behind.pop_front()
    {
        kept.keep(Arc::new(notice));
    }
    before - behind.len()
}

/// Takes what is there already, up to a batch.
fn take<T>(queue: &mut mpsc::Receiver<T>, batch: &mut Vec<T>, most: usize) {
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
    use crate::Stream;
    use aloft_base::{Stop, Timestamp};

    fn line(text: &str) -> Notice {
        line_of("f", text)
    }

    fn line_of(function: &str, text: &str) -> Notice {
        Notice::Log(Line {
            at: Timestamp::from_millis(1),
            tenant: aloft_base::Tenant::local(),
            function: function.parse().unwrap(),
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
        assert_eq!(feed.dropped(), 12, "the collector has had no turn yet");
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
        assert_eq!(feed.dropped_others(), 0);
        // What was published behind lines comes when they have come.
        tokio::time::sleep(PAUSE * 40).await;
        while let Some(notice) = subscription.try_next() {
            reloads += usize::from(matches!(*notice.unwrap(), Notice::Reload(_)));
        }
        assert_eq!(reloads, 200);
    }

    /// A record comes after the lines of its call, however many those are; and who prints little loses nothing.
    #[tokio::test(start_paused = true)]
    async fn what_is_published_later_comes_later() {
        let feed = Feed::start(&Tasks::new(Stop::new()));
        let (_, mut subscription) = feed.recent_and_subscribe();
        for number in 0..QUEUE {
            feed.publish(line(&number.to_string()));
        }
        feed.publish(line_of("quiet", "said"));
        feed.publish(reload(1));
        feed.publish(line_of("quiet", "later"));
        feed.settle(PAUSE * 100).await;
        let mut told = Vec::new();
        while let Some(notice) = subscription.try_next() {
            told.push(match &*notice.unwrap() {
                Notice::Log(line) => line.text.clone(),
                _ => "reload".to_owned(),
            });
        }
        let half = QUEUE / 2;
        let (loud, rest) = told.split_at(half);
        assert_eq!(loud[half - 1], (half - 1).to_string());
        assert_eq!(
            rest,
            [
                &format!("{half} lines are missing here: they came faster than they could be taken in"),
                "said",
                "reload",
                "later",
            ]
        );
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
