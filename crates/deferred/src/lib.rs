//! Calls that are accepted now and made later: Lambda's invocation type `Event`.
//!
//! [`Deferred::accept`] answers when the call is durable. From then on it ends: the function took it, somebody whom its user named was told
//! that it did not, or it is a dead letter with the reason. Delivery is at least once, under one request id for all attempts.
//!
//! Each function has a queue of its own, so that a slow one never stands before another's. A queue is a lane of `aloft-delivery`, each call
//! with an ordering key of its own, and all that lies behind is that crate's: attempts, retries, events that end the node, dead letters,
//! redrive. What is Lambda's stands here: its bounds ([`Bounds`]), the times between attempts (one minute after the first failure, two after
//! the second; [`Parts::spacing`] scales them), the record that a destination gets ([`record`]), and what goes with a dead letter, which
//! is the event itself ([`record::attributes`]). Whoever is told that a call was given up is told in the commit that ends it.
//!
//! A queue has a runner while something waits in it, and for up to a minute after that; an idle platform has none.
//!
//! # Limits
//! A payload of 1 MiB. [`CONCURRENCY`] calls of one queue at a time; what a function does not take then is throttled by its own bounds,
//! and tried for as long as its age allows.
//!
//! # What it never does
//! It knows no function and reads no configuration: who accepts a call says what its bounds are.

mod error;
mod item;
mod queues;
mod record;
mod target;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use item::{Bounds, Item, MAX_PAYLOAD};
pub use queues::{CONCURRENCY, Deferred, Parts, Queues};
