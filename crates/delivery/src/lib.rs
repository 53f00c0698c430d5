//! Durable delivery, written once: how an event reaches one target although the target fails, the platform is killed and the
//! disk is slow.
//!
//! - [`decide`] is the one policy, pure: after an attempt, done, retry (when) or dead letter (why). A [`Policy`] bounds how often
//!   a target runs and fails, and how old an event may become.
//! - [`Target`] is where an event goes; [`FunctionTarget`] is a function behind [`call::Invoke`](aloft_call::Invoke). Its fault
//!   becomes a [`Failure`], which says whether the attempt counts, only ages, or is final.
//! - [`Backlogs`]: what waits of one rule and one ordering key. A key whose delivery failed is parked with what follows
//!   it, in order, and all other keys go on.
//! - [`Gate`] stands before a target: so many attempts at a time, and none but probes while it cannot take any.
//! - [`Runner`] works one rule's retries: one commit per attempt.
//! - [`DeadLetters`]: what was given up, with the reason; listed, shown, retried, dropped.
//!
//! # Promises
//! Delivery is at least once, across crashes, and a repeat carries the same event id. Events of one key arrive in the order
//! of their commits, also past failures. Every event ends: delivered, or in the dead letter with a reason.
//!
//! # Limits
//! 1,000 parcels wait per key; what comes beyond is dead (`backlog_full`). An attempt takes at most 16 minutes. A
//! failure's message is cut to 4 KiB. A chain of events is at most 16 deep. Delays: 0 to 1 s after the first failure,
//! doubling to 5 minutes, drawn with full jitter. When the target did not even see 5 different events in a
//! row, the rest wait, and it is probed after 0 to 1 s, doubling to 30 s.
//!
//! # What it never does
//! It knows no table and no rule's pattern: a parcel's body is opaque, and whoever has events says how a parcel becomes one
//! ([`Unpack`]). It holds no snapshot and no lock while a target is at work. It never removes a dead letter by itself.
//!
//! ```
//! use std::time::Duration;
//! use aloft_base::{SeededChance, Timestamp};
//! use aloft_delivery::{Attempts, Decision, Effect, Failure, Policy, decide};
//!
//! let policy = Policy::new(5, Duration::from_secs(6 * 3_600));
//! let failure = Failure::new(Effect::Counts, "raised", "ValueError: no such order");
//! let (born, chance) = (Timestamp::from_millis(1_800_000_000_000), SeededChance::new(7));
//! let decision = decide(&policy, Attempts::default(), born, Some(&failure), born, &chance);
//! assert!(matches!(decision, Decision::Retry { at, .. } if at <= born + Duration::from_secs(1)));
//! ```

mod backlog;
mod breaker;
mod caught;
mod destination;
mod error;
mod failure;
mod gate;
mod ground;
mod letter;
mod metrics;
mod parcel;
mod policy;
mod run;
mod space;
mod target;

#[cfg(test)]
mod tests;

pub use backlog::{Backlogs, Parked};
pub use caught::caught;
pub use destination::{Buried, Deliver, Destination, Route, Unpack, attempt_once};
pub use error::Error;
pub use failure::{Effect, Failure};
pub use gate::Gate;
pub use ground::{Ground, STORE_BACKOFF};
pub use letter::{Content, DeadLetters, Letter, LetterId, Listed, Range};
pub use metrics::{Metrics, RuleMetrics};
pub use parcel::{Failures, KeyHash, Parcel};
pub use policy::{Attempts, Decision, Policy, Reason, decide};
pub use run::{Runner, beside};
pub use space::{RuleId, Space};
pub use target::{ATTEMPT_BOUND, FunctionTarget, Target};
