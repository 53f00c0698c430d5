//! The metering record of a call that ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aloft_base::{FunctionId, InvocationId, Timestamp};
use aloft_call::{Call, Direct, Payload, Usage};
use aloft_observe::{Found, Invocation, Notice};

/// What a record needs of a call, taken before the call is handed over.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) id: InvocationId,
    /// When it came.
    pub(crate) arrived: Instant,
    /// When its version was found and its code was ready, from when on it waits for an instance.
    pub(crate) ready: Instant,
    /// What it found then.
    pub(crate) found: Found,
    pub(crate) depth: u8,
    kind: &'static str,
    root: Option<InvocationId>,
    trace: u128,
}

impl Origin {
    pub(crate) fn of(call: &Call, arrived: Instant) -> Self {
        let kind = match call.payload {
            Payload::Http(_) => "http",
            Payload::Event(_) => "event",
            Payload::Direct(Direct {
                is_deferred: true, ..
            }) => "asynchronous",
            Payload::Direct(_) => "direct",
        };
        Self {
            id: call.id,
            arrived,
            ready: arrived,
            found: Found::default(),
            depth: call.lineage.depth,
            kind,
            root: call.lineage.root,
            trace: call.trace.trace,
        }
    }
}

/// The outcome in the record of a call whose caller went away while it waited.
pub(crate) const ABANDONED: &str = "abandoned";

/// The record of one call, with what it used and how long it took in all. A failure is its word and its sentence.
pub(crate) fn record(
    function: &FunctionId,
    origin: &Origin,
    (usage, total): (&Usage, Duration),
    failure: Option<(&str, String)>,
    at: Timestamp,
) -> Notice {
    let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Notice::Invocation(Box::new(Invocation {
        at,
        invocation: origin.id,
        tenant: function.tenant.clone(),
        function: function.name.clone(),
        version: usage.version.clone(),
        number: usage.number,
        kind: Arc::from(origin.kind),
        root: origin.root,
        depth: origin.depth,
        trace: origin.trace,
        cold: usage.cold.is_some(),
        found: origin.found,
        code_ms: millis(origin.ready.duration_since(origin.arrived)),
        queued_ms: millis(usage.queued),
        init_ms: usage.cold.map_or(0.0, |cold| millis(cold.init)),
        sandbox_ms: usage.cold.map_or(0.0, |cold| millis(cold.sandbox)),
        run_ms: millis(usage.run),
        total_ms: millis(total),
        billed_ms: usage.billed_ms(),
        memory_peak_bytes: usage.memory_peak,
        memory_limit_bytes: usage.memory_limit,
        in_bytes: usage.bytes.0,
        out_bytes: usage.bytes.1,
        outcome: Arc::from(failure.as_ref().map_or("ok", |(word, _)| word)),
        error: failure.map(|(_, sentence)| sentence),
        logging: usage.logging,
    }))
}
