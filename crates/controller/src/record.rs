//! The metering record of a call that ended.

use std::sync::Arc;

use aloft_base::{FunctionName, InvocationId, Timestamp};
use aloft_call::{Call, Payload, Usage};
use aloft_observe::{Invocation, Notice};

/// What a record needs of a call, taken before the call is handed over.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) id: InvocationId,
    kind: &'static str,
    root: Option<InvocationId>,
}

impl Origin {
    pub(crate) fn of(call: &Call) -> Self {
        let kind = match call.payload {
            Payload::Http(_) => "http",
            Payload::Event(_) => "event",
            Payload::Direct(_) => "direct",
        };
        Self {
            id: call.id,
            kind,
            root: call.lineage.root,
        }
    }
}

/// The outcome in the record of a call whose caller went away while it waited.
pub(crate) const ABANDONED: &str = "abandoned";

/// The record of one call. A failure is its word and its sentence.
pub(crate) fn record(
    function: &FunctionName,
    origin: &Origin,
    usage: &Usage,
    failure: Option<(&str, String)>,
    at: Timestamp,
) -> Notice {
    let millis = |duration: std::time::Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Notice::Invocation(Box::new(Invocation {
        at,
        invocation: origin.id,
        function: function.clone(),
        version: usage.version.clone(),
        number: usage.number,
        kind: Arc::from(origin.kind),
        root: origin.root,
        cold: usage.cold.is_some(),
        queued_ms: millis(usage.queued),
        init_ms: usage.cold.map_or(0.0, |cold| millis(cold.init)),
        run_ms: millis(usage.run),
        billed_ms: usage.billed_ms(),
        memory_peak_bytes: usage.memory_peak,
        memory_limit_bytes: usage.memory_limit,
        in_bytes: usage.bytes.0,
        out_bytes: usage.bytes.1,
        outcome: Arc::from(failure.as_ref().map_or("ok", |(word, _)| word)),
        error: failure.map(|(_, sentence)| sentence),
    }))
}
