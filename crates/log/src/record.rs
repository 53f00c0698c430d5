//! From the feed into the log.

use std::time::Duration;

use aloft_base::{Clock, Stop};
use aloft_observe::{Feed, Missed, Subscription};

use crate::narrate::Narrator;
use crate::writer::Writer;

/// How long the feed may take for what was published before it is asked to stop: a queue that is full needs a third of a second.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Writes down what the feed tells, until it is asked to stop; then also what was published before.
pub async fn record(
    feed: Feed,
    mut subscription: Subscription,
    writer: Writer,
    clock: std::sync::Arc<dyn Clock>,
    stop: Stop,
) {
    let (mut narrator, mut dropped) = (Narrator::default(), feed.dropped_others());
    loop {
        let next = tokio::select! {
            // Both are safe to cancel.
            next = subscription.next() => next,
            () = stop.asked() => None,
        };
        let is_last = next.is_none();
        if is_last {
            feed.settle(LAST_WORDS).await;
        }
        let mut next = next.or_else(|| subscription.try_next());
        while let Some(told) = next {
            match told {
                Ok(notice) => narrator
                    .tell(&notice)
                    .into_iter()
                    .for_each(|entry| writer.push(entry)),
                Err(Missed(count)) => writer.push(Narrator::missed(count, clock.now())),
            }
            next = is_last.then(|| subscription.try_next()).flatten();
        }
        let now_dropped = feed.dropped_others();
        if now_dropped > dropped {
            writer.push(Narrator::missed(now_dropped - dropped, clock.now()));
            dropped = now_dropped;
        }
        if is_last {
            return;
        }
    }
}
