//! What rules count. Labels are bounded: rules that are defined.

use std::sync::atomic::AtomicU64;

use aloft_delivery::RuleMetrics;
use aloft_observe::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRule {
    rule: String,
}

/// What rules count, and what their deliveries do.
#[derive(Debug, Clone)]
pub struct Metrics {
    deliveries: aloft_delivery::Metrics,
    matched: Family<ByRule, Counter>,
    behind: Family<ByRule, Gauge>,
    lag: Family<ByRule, Seconds>,
    trimmed: Counter,
}

impl Metrics {
    /// Declares the metrics, and those of deliveries.
    pub fn register(registry: &Registry) -> Self {
        Self {
            deliveries: aloft_delivery::Metrics::register(registry),
            matched: registry.declare("aloft_rule_matched", "Events that a rule's pattern wants"),
            behind: registry.declare(
                "aloft_rule_behind_records",
                "Records that a rule has read and not put behind its cursor; at most 256, more wait in the log",
            ),
            lag: registry.declare(
                "aloft_rule_lag_seconds",
                "Age of the oldest record that a rule has read and not put behind its cursor",
            ),
            trimmed: registry.declare(
                "aloft_rule_log_trimmed_records",
                "Records that no rule needs and that were removed",
            ),
        }
    }

    /// What deliveries count, for others than rules.
    pub fn deliveries(&self) -> aloft_delivery::Metrics {
        self.deliveries.clone()
    }

    pub(crate) fn of(&self, rule: &str) -> Counts {
        let by_rule = ByRule {
            rule: rule.to_owned(),
        };
        Counts {
            deliveries: self.deliveries.of(rule),
            matched: self.matched.get_or_create_owned(&by_rule),
            behind: self.behind.get_or_create_owned(&by_rule),
            lag: self.lag.get_or_create_owned(&by_rule),
        }
    }

    pub(crate) fn trimmed(&self, records: u64) {
        self.trimmed.inc_by(records);
    }
}

/// The handles of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) deliveries: RuleMetrics,
    pub(crate) matched: Counter,
    pub(crate) behind: Gauge,
    pub(crate) lag: Seconds,
}
