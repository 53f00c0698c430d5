//! The lines that Lambda writes around what a function prints.

use aloft_base::InvocationId;
use aloft_call::{Qualifier, Usage};

/// What an invocation printed, with the lines before and after it.
pub(super) fn around(id: InvocationId, usage: &Usage, printed: &[u8]) -> Vec<u8> {
    let version = Qualifier::numbered(usage.number);
    let start = format!("START RequestId: {id} Version: {version}\n");
    let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let init = usage
        .cold
        .map(|cold| format!("Init Duration: {:.2} ms\t", millis(cold.init)));
    let end = format!(
        "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory \
         Used: {} MB\t{}\n",
        millis(usage.run),
        usage.billed_ms(),
        usage.memory_limit >> 20,
        usage.memory_peak >> 20,
        init.unwrap_or_default()
    );
    [start.as_bytes(), printed, end.as_bytes()].concat()
}
