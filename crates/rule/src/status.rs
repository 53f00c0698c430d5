//! How each rule is doing, for people who look.

use crate::{Order, Rules};

/// A rule that runs. Counts are since the node started.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its name.
    pub rule: String,
    /// The function that it calls.
    pub function: String,
    /// Which events wait for one another.
    pub order: Order,
    /// How many events are with the function at most.
    pub concurrency: usize,
    /// Whether its events wait because the function could take none of several in a row: see [`aloft_delivery::Gate`].
    pub is_held: bool,
    /// Records that it has read and not put behind its cursor.
    pub behind: u64,
    /// Events that the function took.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that were given up.
    pub dead: u64,
}

impl Rules {
    /// Every rule that runs, by name. While rules are being replaced it waits for that.
    pub async fn status(&self) -> Vec<Status> {
        let inner = self.inner();
        let running = inner.running.lock().await;
        let of = |rule: &crate::Rule| {
            let counts = inner.parts.metrics.of(&rule.name);
            let deliveries = &counts.deliveries;
            let dead = aloft_delivery::Reason::ALL.map(|reason| deliveries.dead(reason));
            Status {
                rule: rule.name.clone(),
                function: rule.function.to_string(),
                order: rule.order,
                concurrency: rule.concurrency,
                is_held: deliveries.held.get() != 0,
                behind: u64::try_from(counts.behind.get()).unwrap_or(0),
                delivered: deliveries.delivered.get(),
                failed: deliveries.failed.get(),
                dead: dead.into_iter().sum(),
            }
        };
        running.rules.values().map(|one| of(&one.rule)).collect()
    }
}
