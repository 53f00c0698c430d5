//! What is counted. A place is what the function's definition names, or `any`: labels are bounded by what users write, never by what a
//! function asks for.

use aloft_base::{Destination, Egress, FunctionId};
use aloft_observe::Metrics as Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlace {
    function: String,
    place: String,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirection {
    function: String,
    place: String,
    direction: &'static str,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    function: String,
    reason: &'static str,
    tenant: String,
}

impl ByReason {
    fn new(function: &FunctionId, reason: &'static str) -> Self {
        Self {
            function: function.name.to_string(),
            tenant: function.tenant.to_string(),
            reason,
        }
    }
}

/// Why something is refused.
const REASONS: [&str; 6] = ["unlisted", "closed", "unresolved", "unreachable", "limit", "host"];

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

    /// Shows what can be counted of a function before it is: a series that begins at its first event has lost that one for who takes
    /// differences.
    pub(crate) fn begin(&self, function: &FunctionId, egress: &Egress) {
        let places = match egress {
            Egress::None => Vec::new(),
            Egress::Any => vec!["any".to_owned()],
            Egress::Only(places) => places.iter().map(Destination::to_string).collect(),
        };
        for place in places {
            let _ = self.of(function, &place);
        }
        for reason in REASONS {
            let _ = self.refused.get_or_create_owned(&ByReason::new(function, reason));
        }
    }

    /// Counts a connection that was made.
    pub(crate) fn connected(&self, function: &FunctionId, place: &str) -> Counted {
        let (connections, counted) = self.of(function, place);
        connections.inc();
        counted
    }

    fn of(&self, function: &FunctionId, place: &str) -> (Counter, Counted) {
        let labels = ByPlace {
            function: function.name.to_string(),
            tenant: function.tenant.to_string(),
            place: place.to_owned(),
        };
        let connections = self.connections.get_or_create_owned(&labels);
        let bytes = |direction| {
            self.bytes.get_or_create_owned(&ByDirection {
                function: labels.function.clone(),
                tenant: labels.tenant.clone(),
                place: labels.place.clone(),
                direction,
            })
        };
        let counted = Counted {
            sent: bytes("sent"),
            received: bytes("received"),
        };
        (connections, counted)
    }

    pub(crate) fn refused(&self, function: &FunctionId, reason: &'static str) {
        let labels = ByReason::new(function, reason);
        self.refused.get_or_create_owned(&labels).inc();
    }
}
