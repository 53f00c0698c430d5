//! What the AWS wire counts. Labels are bounded: operations that exist, and codes.

use std::time::Duration;

use aloft_observe::{Histograms, Metrics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::service::Operation;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    service: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    service: &'static str,
    operation: &'static str,
}

/// From 50 µs, a read from memory, to 5 s.
const BUCKETS: [f64; 12] = [
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0,
];

/// The label of requests that never came to an operation.
const NONE: &str = "none";

#[derive(Debug)]
pub(crate) struct Declared {
    requests: Family<ByOutcome, Counter>,
    /// By operation, looked up once: a request takes no shared lock.
    done: Vec<(Operation, Counter, Histogram)>,
}

impl Declared {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let requests: Family<ByOutcome, Counter> = metrics.declare(
            "aloft_aws_requests",
            "Requests on the AWS wire that were answered, by service, operation and outcome (ok, or the error's code)",
        );
        let duration: Histograms<ByOperation> = metrics.histograms(
            "aloft_aws_request_seconds",
            "How long requests on the AWS wire took that were done, from the head's arrival to the answer's",
            &BUCKETS,
        );
        let handles = |asked: Operation| {
            let (service, operation) = (asked.service().name(), asked.name());
            let ok = requests.get_or_create_owned(&ByOutcome {
                service,
                operation,
                outcome: "ok",
            });
            let duration = duration.get_or_create_owned(&ByOperation { service, operation });
            (asked, ok, duration)
        };
        let done = Operation::all().map(handles).collect();
        Self { requests, done }
    }

    pub(crate) fn done(&self, operation: Operation, took: Duration) {
        if let Some((_, ok, duration)) = self.done.iter().find(|(other, ..)| *other == operation) {
            ok.inc();
            duration.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn failed(&self, operation: Option<Operation>, code: &'static str) {
        self.requests
            .get_or_create(&ByOutcome {
                service: operation.map_or(NONE, |operation| operation.service().name()),
                operation: operation.map_or(NONE, Operation::name),
                outcome: code,
            })
            .inc();
    }
}
