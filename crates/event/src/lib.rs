//! Events: the CloudEvents 1.0 envelope, and patterns over it.
//!
//! An [`Event`] is checked when it is made: whoever holds one holds a valid CloudEvent and need not check again. It is read
//! from and written as the JSON format (structured mode) and as HTTP headers with a body (binary mode), both without knowing
//! an HTTP library: headers are pairs of text.
//!
//! A [`Pattern`] says which events a rule wants, in the language of Amazon EventBridge's event patterns, matched against the
//! event as JSON. It is compiled once and then matches without allocating for text, and without building the event's JSON.
//!
//! Limits: an event is at most 6 MiB as JSON, has at most 64 extension attributes, and each attribute at most 16 KiB; a
//! pattern has at most 1,000 values, 64 KiB of text and a depth of 16. What is over a limit is refused, never cut.
//!
//! Lineage travels in two extension attributes, `aloftroot` (the invocation at the beginning of the chain) and `aloftdepth`
//! (how many events lie between), so that loops are recognised even when a chain leaves the platform and comes back.
//!
//! This crate never stores or sends anything, and knows no source and no target. The batched mode is not read: a sender may
//! use it only if the receiver asked for it, and nothing here asks.
//!
//! ```
//! use aloft_event::{Event, Pattern};
//! use serde_json::json;
//!
//! let event = Event::new("1", "/tables/orders", "aloft.table.insert")?
//!     .with_subject("o-17")?
//!     .with_json(json!({"new": {"total": 19.80, "status": "new"}}));
//! let pattern = Pattern::compile(&json!({
//!     "type": [{"prefix": "aloft.table."}],
//!     "data": {"new": {"total": [{"numeric": [">=", 10]}]}},
//! })).unwrap();
//! assert!(pattern.matches(&event));
//! # Ok::<(), aloft_event::Error>(())
//! ```

mod envelope;
mod error;
mod http;
mod json;
mod pattern;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use envelope::{Data, Event, Extension, MAX_ATTRIBUTE_BYTES, MAX_EVENT_BYTES, MAX_EXTENSIONS};
pub use error::Error;
pub use http::Message;
pub use pattern::{InvalidPattern, MATCHERS, Mistake, Pattern, Step};
pub use text::printable;
pub use time::parse_time;
