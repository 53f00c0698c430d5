//! What builds count. Labels are closed sets; what is found ready is no build.

use std::time::Duration;

use aloft_observe::{Histograms, Metrics as Registry};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    what: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWhat {
    what: &'static str,
}

/// From a small function's copy to a large download.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// What builds count.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) code: Kind,
    pub(crate) requirements: Kind,
}

/// The handles of one kind of build.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    ok: Counter,
    failed: Counter,
    duration: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let builds: Family<ByOutcome, Counter> = registry.declare(
            "aloft_builds",
            "Builds that ended, of code or requirements, by outcome (ok, failed)",
        );
        let duration: Histograms<ByWhat> = registry.histograms(
            "aloft_build_seconds",
            "How long builds of code or requirements took that were done",
            &BUCKETS,
        );
        let kind = |what| {
            let count = |outcome| builds.get_or_create_owned(&ByOutcome { what, outcome });
            Kind {
                ok: count("ok"),
                failed: count("failed"),
                duration: duration.get_or_create_owned(&ByWhat { what }),
            }
        };
        Self {
            code: kind("code"),
            requirements: kind("requirements"),
        }
    }
}

impl Kind {
    /// Counts a build that took so long.
    pub(crate) fn ended(&self, is_ok: bool, took: Duration) {
        if is_ok {
            self.ok.inc();
            self.duration.observe(took.as_secs_f64());
        } else {
            self.failed.inc();
        }
    }
}
