//! The feed: a bounded queue in, one collector, a bounded memory of the latest, and subscribers who may fall behind.
//!
//! Publishing is one `try_send`. The collector alone touches the memory and the subscribers' channel, so that a warm call
//! shares no lock with another.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloft_base::{Policy, Tasks};
use tokio::sync::{broadcast, mpsc};

use crate::Notice;

const QUEUE: usize = 8_192;
const KEPT_NOTICES: usize = 65_536;
const KEPT_BYTES: usize = 16 << 20;
/// As many as may come in one pause, so that a batch does not push a subscriber behind.
const BEHIND: usize = 16_384;
/// Notices that are taken at once.
const BATCH: usize = 1_024;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(10);

/// What happens, as it happens. Cheap to clone; clones are the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    queue: mpsc::Sender<Notice>,
    kept: Arc<Mutex<Kept>>,
    subscribers: broadcast::Sender<Arc<Notice>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Kept {
    notices: VecDeque<Arc<Notice>>,
    bytes: usize,
}

/// A subscriber was too slow and missed this many notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed(pub u64);

/// A subscriber's end of the feed.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Arc<Notice>>);

impl Feed {
    /// A feed whose collector runs in `tasks`.
    pub fn start(tasks: &Tasks) -> Self {
        let (queue, incoming) = mpsc::channel(QUEUE);
        let (subscribers, _) = broadcast::channel(BEHIND);
        let kept = Arc::new(Mutex::new(Kept::default()));
        let feed = Self {
            queue,
            kept: kept.clone(),
            subscribers: subscribers.clone(),
            dropped: Arc::default(),
        };
        tasks.start(
            "feed",
            Policy::Vital,
            collect(incoming, kept, subscribers, tasks.clone()),
        );
        feed
    }

    /// Says that something happened. Never waits; drops the notice when the collector is too far behind.
    pub fn publish(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many notices were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What is kept, oldest first, and everything from then on without a gap.
    pub fn recent_and_subscribe(&self) -> (Vec<Arc<Notice>>, Subscription) {
        // The collector holds the same lock while it keeps and sends a notice, so nothing falls between the two.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (
            kept.notices.iter().cloned().collect(),
            Subscription(self.subscribers.subscribe()),
        )
    }
}

impl Subscription {
    /// The next notice if one is there already.
    pub fn try_next(&mut self) -> Option<Result<Arc<Notice>, Missed>> {
        match self.0.try_recv() {
            Ok(notice) => Some(Ok(notice)),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(Err(Missed(count))),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => None,
        }
    }

    /// The next notice; `None` when the feed has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<Arc<Notice>, Missed>> {
        match self.0.recv().await {
            Ok(notice) => Some(Ok(notice)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Err(Missed(count))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

async fn collect(
    mut incoming: mpsc::Receiver<Notice>,
    kept: Arc<Mutex<Kept>>,
    subscribers: broadcast::Sender<Arc<Notice>>,
    tasks: Tasks,
) -> Result<(), Infallible> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let count = tokio::select! {
            // Both are safe to cancel: recv_many takes nothing unless it returns it.
            count = incoming.recv_many(&mut batch, BATCH) => count,
            () = tasks.stop().asked() => return Ok(()),
        };
        if count == 0 {
            return Ok(());
        }
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            for notice in batch.drain(..).map(Arc::new) {
                kept.keep(notice.clone());
                // Nobody may be listening; that is no failure.
                let _ = subscribers.send(notice);
            }
        }
        // Whoever watches sees it a moment later, and a busy function wakes this task a hundred times a second at most
        // instead of at each of its calls.
        tokio::time::sleep(PAUSE).await;
    }
}

impl Kept {
    fn keep(&mut self, notice: Arc<Notice>) {
        self.bytes += notice.weight();
        self.notices.push_back(notice);
        while self.bytes > KEPT_BYTES || self.notices.len() > KEPT_NOTICES {
            let Some(oldest) = self.notices.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(oldest.weight());
        }
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
            invocation: None,
            stream: Stream::Stdout,
            text: text.to_owned(),
        })
    }

    fn text(notice: &Notice) -> &str {
        match notice {
            Notice::Log(line) => &line.text,
            other => panic!("{other:?}"),
        }
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

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let mut kept = Kept::default();
        for _ in 0..40 {
            kept.keep(Arc::new(line(&"x".repeat(1 << 20))));
        }
        assert!(kept.bytes <= KEPT_BYTES);
        assert_eq!(kept.notices.len(), 15);
    }
}
