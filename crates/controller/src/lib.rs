//! The controller: loads code when a call needs it, keeps it while calls come, unloads it when they stop.
//!
//! Every entry hands its calls to [`Controller`], which implements [`call::Invoke`](aloft_call::Invoke). Each version of a
//! function has a pool. What a pool does next is decided by a pure state machine, [`pool::State`]; the code around it only
//! carries the decisions out. Admission happens here and nowhere else:
//!
//! - a call takes the instance that was used last (its caches are warmest, and the others become idle and are unloaded);
//! - else it waits, and an instance is started for it if the function's `concurrency` allows; it takes whichever instance
//!   is free first, the new one or another's;
//! - at most `queue.length` calls wait, each at most `queue.wait`; what goes beyond is refused as busy;
//! - a call that runs has a permit of the node's bound, or of what is reserved for its function; when there is none it waits, and one
//!   that comes back goes to the function that holds the fewest (`gate`). A call that another call waits for goes beyond the bound;
//! - an instance is started only if the node has memory for it; to make room those are stopped that have been idle longest (`memory`);
//! - an instance without a call for `idle` is stopped; one that timed out, ended or broke is stopped and replaced.
//!
//! A call that has begun runs to its end even when its caller goes away; one that still waits is taken out of the queue, and
//! so is one whose caller's own deadline comes before an instance does. Every call ends in one
//! [`Outcome`](aloft_call::Outcome) and one metering record; one whose caller went away while it waited has only the record,
//! with the outcome `abandoned`. A call is cold when it got the instance that had just loaded; one that finds it idle is warm.
//!
//! A warm call takes no lock that another function's calls take, and waits for no disk.

mod admission;
mod caller;
mod controller;
mod core;
mod gate;
mod memory;
mod metrics;
pub mod pool;
mod record;
mod run;
mod slots;
#[cfg(test)]
mod tests;

pub use controller::{Config, Controller, InstanceStatus, Parts, PoolStatus};
