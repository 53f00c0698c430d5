//! What deliveries count. Labels are bounded: rules that are defined, and the closed set of reasons. Both shapes (a rule's cursor
//! and its retries) count into the same numbers, so that `delivered` is every delivery once.

use aloft_observe::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::Reason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    rule: String,
    reason: &'static str,
}

/// What deliveries count, of all rules.
#[derive(Debug, Clone)]
pub struct Metrics {
    delivered: Family<ByRule, Counter>,
    failed: Family<ByRule, Counter>,
    retries: Family<ByRule, Counter>,
    dead: Family<ByReason, Counter>,
    restarts: Family<ByRule, Counter>,
    held: Family<ByRule, Gauge>,
    trips: Family<ByRule, Counter>,
    waiting: Family<ByRule, Gauge>,
    oldest: Family<ByRule, Gauge>,
}

impl Metrics {
    /// Declares the metrics.
    pub fn register(registry: &Registry) -> Self {
        Self {
            delivered: registry.declare("aloft_delivery_delivered", "Events that a rule's target took"),
            failed: registry.declare("aloft_delivery_failed_attempts", "Attempts that failed, by rule"),
            retries: registry.declare(
                "aloft_delivery_retries",
                "Attempts that were put off to a later time",
            ),
            dead: registry.declare(
                "aloft_delivery_dead_letters",
                "Events that were given up, by rule and reason",
            ),
            restarts: registry.declare(
                "aloft_delivery_restarts",
                "Times that a rule's reader or its retries broke off and began anew; the log says why",
            ),
            held: registry.declare(
                "aloft_delivery_held",
                "Whether a rule's events wait because its target could take none of several in a row: 1 if they do",
            ),
            trips: registry.declare(
                "aloft_delivery_trips",
                "Times that a rule's target could take none of so many events in a row that the rest waited",
            ),
            waiting: registry.declare(
                "aloft_delivery_waiting_events",
                "Events that failed and wait to be tried again, with those that wait behind them; counted every 30 s, in at most 10,000 keys",
            ),
            oldest: registry.declare(
                "aloft_delivery_oldest_waiting_seconds",
                "Age of the oldest event that failed and waits, measured every 30 s; 0 when none waits",
            ),
        }
    }

    /// The handles of one rule, looked up once.
    pub fn of(&self, rule: &str) -> RuleMetrics {
        let by_rule = ByRule {
            rule: rule.to_owned(),
        };
        let metrics = RuleMetrics {
            delivered: self.delivered.get_or_create_owned(&by_rule),
            failed: self.failed.get_or_create_owned(&by_rule),
            retries: self.retries.get_or_create_owned(&by_rule),
            restarts: self.restarts.get_or_create_owned(&by_rule),
            held: self.held.get_or_create_owned(&by_rule),
            trips: self.trips.get_or_create_owned(&by_rule),
            waiting: self.waiting.get_or_create_owned(&by_rule),
            oldest: self.oldest.get_or_create_owned(&by_rule),
            dead: self.dead.clone(),
            rule: rule.to_owned(),
        };
        // So that each series begins with a zero: the first dead letter is an increase that an alert sees.
        for reason in Reason::ALL {
            metrics.dead_of(reason);
        }
        metrics
    }
}

/// The handles of one rule.
#[derive(Debug, Clone)]
pub struct RuleMetrics {
    /// Events that the target took.
    pub delivered: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Attempts that were put off.
    pub retries: Counter,
    /// Times that the reader or the retries broke off and began anew.
    pub restarts: Counter,
    /// 1 while events wait because the target could take none of several in a row.
    pub held: Gauge,
    /// Times that they began to.
    pub trips: Counter,
    /// Events that wait to be tried again.
    pub waiting: Gauge,
    /// The age of the oldest of them, in seconds.
    pub oldest: Gauge,
    dead: Family<ByReason, Counter>,
    rule: String,
}

impl RuleMetrics {
    /// Counts events that were given up.
    pub fn died(&self, reason: Reason, events: u64) {
        self.dead_of(reason).inc_by(events);
    }

    /// How many events were given up for this reason.
    pub fn dead(&self, reason: Reason) -> u64 {
        self.dead_of(reason).get()
    }

    fn dead_of(&self, reason: Reason) -> Counter {
        self.dead.get_or_create_owned(&ByReason {
            rule: self.rule.clone(),
            reason: reason.word(),
        })
    }
}
