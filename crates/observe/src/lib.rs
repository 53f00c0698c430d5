//! Metrics, and the feed of what happens.
//!
//! - [`Metrics`] is the registry that `/_aloft/metrics` renders in Prometheus' text format. Each crate declares its own
//!   metrics here, in its `metrics.rs`; [`Metrics::of_node`] begins with those of the process and of the feed.
//! - [`Feed`] carries [`Notice`]s: builds, invocations (each one's metering record), log lines, reloads. The terminal, the
//!   JSON lines of `aloft dev --json` and `aloft logs` all read it. Publishing never waits and takes no lock that two calls
//!   share for long: a notice that finds the feed's queue full is dropped and counted, and so is a line whose function has as much there as is free for others,
//!   because a function must never be
//!   slowed by whoever watches it.
//!
//! Limits: 8,192 notices or 16 MiB of lines queued; 16 MiB or 65,536 notices kept, for those who ask later and for slow
//! subscribers, who are told how many they missed.
//!
//! This crate never writes to a terminal or a file.

mod feed;
mod metrics;
mod notice;
mod process;
mod redact;
mod shares;

pub use feed::{Feed, Missed, Subscription};
pub use metrics::{Buckets, Histograms, Metrics};
pub use notice::{Build, Found, Invocation, Line, Notice, Reload, Stream};
pub use redact::Redaction;
