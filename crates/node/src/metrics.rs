//! What a node counts of its project. Labels are a closed set.

use std::time::Duration;

use aloft_observe::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// From an edited handler to a project whose requirements are installed.
const BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What is counted of reloads.
pub(crate) struct Reloads {
    ok: Counter,
    failed: Counter,
    duration: Histogram,
}

impl Reloads {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let reloads: Family<ByOutcome, Counter> = metrics.declare(
            "aloft_reloads",
            "Times that changed files of the project were taken up, by outcome (ok, failed)",
        );
        let count = |outcome| reloads.get_or_create_owned(&ByOutcome { outcome });
        Self {
            ok: count("ok"),
            failed: count("failed"),
            duration: metrics.histogram(
                "aloft_reload_seconds",
                "From seeing that files changed until their new state runs, or is refused",
                &BUCKETS,
            ),
        }
    }

    pub(crate) fn ended(&self, is_ok: bool, took: Duration) {
        if is_ok { &self.ok } else { &self.failed }.inc();
        self.duration.observe(took.as_secs_f64());
    }
}
