//! What is counted of the log.

use prometheus_client::metrics::counter::Counter;

/// What is counted of the log.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) kept: Counter,
    pub(crate) lost: Counter,
    pub(crate) failures: Counter,
}

impl Metrics {
    /// Declares them.
    pub fn register(metrics: &aloft_observe::Metrics) -> Self {
        Self {
            kept: metrics.declare(
                "aloft_log_kept_events",
                "Events of functions that the durable log has taken",
            ),
            lost: metrics.declare(
                "aloft_log_lost_events",
                "Events of functions that came faster than the durable log could take them, or that it could not take",
            ),
            failures: metrics.declare(
                "aloft_log_failed_commits",
                "Attempts to keep events of functions that the store did not take",
            ),
        }
    }
}
