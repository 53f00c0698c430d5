//! What stands before a rule's target: how many attempts are under way at once, of the rule's log and of its retries together, and
//! whether the target is worth trying at all ([`crate::breaker`]).
//!
//! It is a target itself. An event that it holds back is an attempt that takes longer: its place in the order of its key, its claim and
//! its retries stay as they are. After a minute the attempt ends as not having reached the target, which uses up no retry.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_base::Chance;
use aloft_call::Event;
use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::breaker::{Admission, Breaker, Ended};
use crate::{Effect, Failure, RuleMetrics, Target};

/// How long an event waits for the breaker before its attempt ends. Less than what a claim holds beyond an attempt.
const PATIENCE: Duration = Duration::from_secs(60);
/// When an event that waited for a probe's end is tried again.
const SOON: Duration = Duration::from_secs(1);

/// A target behind a bound of concurrency and a breaker.
pub struct Gate {
    target: Arc<dyn Target>,
    rule: Arc<str>,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    moved: Notify,
    chance: Arc<dyn Chance>,
    metrics: RuleMetrics,
}

impl Gate {
    /// A gate before a rule's target that lets `concurrency` attempts through at a time.
    pub fn new(
        target: Arc<dyn Target>,
        rule: &str,
        concurrency: usize,
        chance: Arc<dyn Chance>,
        metrics: RuleMetrics,
    ) -> Self {
        // A rule that is changed starts with a closed breaker.
        metrics.held.set(0);
        Self {
            target,
            rule: rule.into(),
            permits: Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            breaker: Mutex::default(),
            moved: Notify::new(),
            chance,
            metrics,
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an attempt may begin. Its end is to be told to what this returns.
    async fn admitted(&self) -> Result<Attempt<'_>, Failure> {
        let patience = Instant::now() + PATIENCE;
        loop {
            // Before the question, so that no change between it and the wait is missed.
            let moved = self.moved.notified();
            let now = Instant::now();
            let until = match self.breaker().admit(now) {
                Admission::Go => return Ok(Attempt::new(self, false)),
                Admission::Probe => return Ok(Attempt::new(self, true)),
                Admission::Wait(until) => until,
            };
            if now >= patience {
                let retry_after = until.map_or(SOON, |until| until - now);
                let message = "the target could take none of several events in a row; it is probed from time to time, and events wait meanwhile";
                return Err(Failure::new(Effect::Ages { retry_after }, "held", message));
            }
            let wake = until.map_or(patience, |until| until.min(patience));
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn ended(&self, is_probe: bool, ended: Ended) {
        let (changed, is_open) = {
            let mut breaker = self.breaker();
            let changed = breaker.ended(is_probe, ended, Instant::now(), &*self.chance);
            (changed, breaker.is_open())
        };
        if changed && is_open {
            self.metrics.trips.inc();
            tracing::warn!(rule = %self.rule, "the target could take none of several events in a row; its events wait, and one from time to time probes it");
        } else if changed {
            tracing::info!(rule = %self.rule, "the target takes events again");
        }
        self.metrics.held.set(i64::from(is_open));
        if changed || is_probe {
            self.moved.notify_waiters();
        }
    }
}

/// An attempt under way. One that is dropped (a rule that stops, a panic) has an unknown end, so that no probe is waited for in
/// vain.
struct Attempt<'a> {
    gate: &'a Gate,
    is_probe: bool,
    ended: Ended,
}

impl<'a> Attempt<'a> {
    fn new(gate: &'a Gate, is_probe: bool) -> Self {
        Self {
            gate,
            is_probe,
            ended: Ended::Unknown,
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.gate.ended(self.is_probe, self.ended);
    }
}

#[async_trait]
impl Target for Gate {
    async fn deliver(&self, event: &Event, attempt: u32) -> Result<(), Failure> {
        // Nobody closes it.
        let _permit = self.permits.acquire().await;
        let mut under_way = self.admitted().await?;
        let result = self.target.deliver(event, attempt).await;
        under_way.ended = match &result {
            Err(failure) if failure.is_unseen => Ended::Badly(name_of(event)),
            Err(Failure {
                effect: Effect::Final(_),
                ..
            }) => Ended::Unknown,
            // The target was at work; that it failed is between it and the event.
            Ok(()) | Err(_) => Ended::Well,
        };
        let is_probe = under_way.is_probe;
        drop(under_way);
        match result {
            // The events that wait are spared their retries, and so are the one that is sent ahead and those that were under way when the
            // others began to wait: else a second attempt that had just begun would be an event's last.
            Err(failure) if failure.is_unseen && (is_probe || self.breaker().is_open()) => {
                Err(failure.aged())
            }
            result => result,
        }
    }
}

/// A number for an event, the same for each of its attempts.
fn name_of(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.event.source(), event.event.id()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::TRIP;
    use aloft_base::SeededChance;
    use aloft_call::{Fault, FunctionError};

    /// Takes nothing, as a function that cannot be loaded, once all have come.
    struct Unloadable(tokio::sync::Barrier);

    #[async_trait]
    impl Target for Unloadable {
        async fn deliver(&self, _: &Event, _: u32) -> Result<(), Failure> {
            self.0.wait().await;
            Err(Failure::from(&Fault::Init(FunctionError::default())))
        }
    }

    #[tokio::test]
    async fn attempts_that_were_under_way_when_events_began_to_wait_use_up_no_retry() {
        const EVENTS: usize = 3 * TRIP;
        let metrics = crate::Metrics::register(&aloft_observe::Metrics::new());
        let gate = Gate::new(
            Arc::new(Unloadable(tokio::sync::Barrier::new(EVENTS))),
            "receipt",
            EVENTS,
            Arc::new(SeededChance::new(1)),
            metrics.of("receipt"),
        );
        let event = |number: usize| {
            let event = aloft_event::Event::new(number.to_string(), "/tables/orders", "aloft.table.insert");
            Event {
                event: event.unwrap(),
                change: None,
            }
        };
        let attempts = (0..EVENTS).map(|number| {
            let (gate, event) = (&gate, event(number));
            async move { gate.deliver(&event, 2).await.unwrap_err().effect }
        });
        let effects = futures_util::future::join_all(attempts).await;
        let counted = effects.iter().filter(|effect| **effect == Effect::Counts).count();
        // Until then nobody knew that it is not the event's fault; the one that showed it is spared, too.
        assert_eq!(counted, TRIP - 1, "{effects:?}");
    }
}
