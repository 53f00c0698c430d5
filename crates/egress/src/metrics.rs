//! What is counted. A place is what the function's definition names, or `any`: labels are bounded by what users write, never by what a
//! function asks for.

use aloft_observe::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlace {
    function: String,
    place: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirection {
    function: String,
    place: String,
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    function: String,
    reason: &'static str,
}

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    connections: Family<ByPlace, Counter>,
    bytes: Family<ByDirection, Counter>,
    refused: Family<ByReason, Counter>,
    pub(crate) open: Gauge,
}

/// The counters of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        Self {
            connections: registry.declare(
                "aloft_egress_connections",
                "Connections of functions to the outside that were made, by the place of the function's egress that opened them (or any)",
            ),
            bytes: registry.declare(
                "aloft_egress_bytes",
                "Bytes that functions exchanged with the outside, by place and direction (sent, received)",
            ),
            refused: registry.declare(
                "aloft_egress_refused",
                "Names and connections that functions were refused, by reason (unlisted, closed, unresolved, unreachable, limit, host)",
            ),
            open: registry.declare(
                "aloft_egress_open_connections",
                "Connections of functions to the outside that are open",
            ),
        }
    }

    /// Counts a connection that was made.
    pub(crate) fn connected(&self, function: &str, place: &str) -> Counted {
        let (function, place) = (function.to_owned(), place.to_owned());
        let labels = ByPlace { function, place };
        self.connections.get_or_create_owned(&labels).inc();
        let bytes = |direction| {
            self.bytes.get_or_create_owned(&ByDirection {
                function: labels.function.clone(),
                place: labels.place.clone(),
                direction,
            })
        };
        Counted {
            sent: bytes("sent"),
            received: bytes("received"),
        }
    }

    pub(crate) fn refused(&self, function: &str, reason: &'static str) {
        let function = function.to_owned();
        let labels = ByReason { function, reason };
        self.refused.get_or_create_owned(&labels).inc();
    }
}
