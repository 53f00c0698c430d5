//! The gateway's metrics. Labels are bounded: the routes of the definition, `urls`, `files` and `none`, and five status classes.

use std::time::Duration;

use aloft_observe::{Histograms, Metrics};
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    route: String,
    status: &'static str,
}

/// From a quarter of a millisecond, a warm call's order, to a minute.
const BUCKETS: [f64; 14] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0,
];

/// What the gateway counts.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    requests: Family<ByStatus, Counter>,
    duration: Histograms<ByRoute>,
}

impl Declared {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.declare(
                "aloft_http_requests",
                "Requests to the application, by route (or urls, files, none) and status class",
            ),
            duration: metrics.histograms(
                "aloft_http_request_seconds",
                "From a request's head until its answer's head, by route (or urls, files, none)",
                &BUCKETS,
            ),
        }
    }

    /// The handles of one route, looked up once, so that a request takes no lock that all share.
    pub(crate) fn of(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            ok: self.requests.get_or_create_owned(&ByStatus {
                route: route.to_owned(),
                status: "2xx",
            }),
            duration: self.duration.get_or_create_owned(&ByRoute {
                route: route.to_owned(),
            }),
            all: self.clone(),
            route: route.to_owned(),
        }
    }
}

/// The handles of one route.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    ok: Counter,
    duration: Histogram,
    all: Declared,
    route: String,
}

impl RouteMetrics {
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        let status = match status.as_u16() / 100 {
            2 => {
                self.ok.inc();
                return;
            }
            1 => "1xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.all
            .requests
            .get_or_create(&ByStatus {
                route: self.route.clone(),
                status,
            })
            .inc();
    }
}
