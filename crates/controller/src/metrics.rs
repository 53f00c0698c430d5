//! The controller's metrics. Labels are bounded: functions that are defined, and the faults' words.

use aloft_base::FunctionId;
use aloft_observe::{Histograms, Metrics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFunction {
    tenant: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    tenant: String,
    function: String,
    outcome: &'static str,
}

/// What the controller counts.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    invocations: Family<ByOutcome, Counter>,
    duration: Histograms<ByFunction>,
    cold_starts: Family<ByFunction, Counter>,
    instances: Family<ByFunction, Gauge>,
    concurrency: Family<ByFunction, Gauge>,
}

/// From half a millisecond to a function's longest timeout.
const DURATION_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 900.0,
];

impl Declared {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            invocations: metrics.declare(
                "aloft_function_invocations",
                "Calls that ended, by function and outcome (ok, or the fault's word)",
            ),
            duration: metrics.histograms(
                "aloft_function_run_seconds",
                "How long the code of calls ran, without waiting and loading",
                &DURATION_BUCKETS,
            ),
            cold_starts: metrics.declare(
                "aloft_function_cold_starts",
                "Calls for which an instance was started",
            ),
            instances: metrics.declare("aloft_function_instances", "Instances that are loaded"),
            concurrency: metrics.declare(
                "aloft_function_concurrency",
                "Calls that run, or for which an instance starts",
            ),
        }
    }

    /// The handles of one function, looked up once, so that a warm call takes no shared lock.
    pub(crate) fn of(&self, function: &FunctionId) -> FunctionMetrics {
        let by_function = ByFunction {
            tenant: function.tenant.to_string(),
            function: function.name.to_string(),
        };
        FunctionMetrics {
            ok: self.invocations.get_or_create_owned(&ByOutcome {
                tenant: function.tenant.to_string(),
                function: function.name.to_string(),
                outcome: "ok",
            }),
            duration: self.duration.get_or_create_owned(&by_function),
            cold_starts: self.cold_starts.get_or_create_owned(&by_function),
            instances: self.instances.get_or_create_owned(&by_function),
            concurrency: self.concurrency.get_or_create_owned(&by_function),
            all: self.clone(),
            function: function.clone(),
        }
    }
}

/// The handles of one function.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    ok: Counter,
    pub(crate) duration: Histogram,
    pub(crate) cold_starts: Counter,
    pub(crate) instances: Gauge,
    pub(crate) concurrency: Gauge,
    all: Declared,
    function: FunctionId,
}

impl FunctionMetrics {
    pub(crate) fn ended(&self, fault: Option<&'static str>) {
        match fault {
            None => self.ok.inc(),
            Some(outcome) => {
                let labels = ByOutcome {
                    tenant: self.function.tenant.to_string(),
                    function: self.function.name.to_string(),
                    outcome,
                };
                self.all.invocations.get_or_create(&labels).inc()
            }
        };
    }
}
