//! Rules: cursors over logs that match events and call functions.
//!
//! A change and its event are one commit: the change is appended to its table's log. A [`Rule`] is a cursor over that log.
//! Its reader wakes with the log, makes a CloudEvent of each record ([`Source`]), matches it against the compiled pattern, and
//! calls the function straight from the log: records of one key one after the other in the order of their commits (unless [`Order`]
//! says that none wait for one another), different keys at once. Success only moves the cursor, many events a commit. A failure joins its key's backlog in the same commit
//! that moves the cursor; retries and dead letters are `delivery`'s.
//!
//! - [`Rules::open`], [`Rules::apply`] (idempotent, replaces running rules), [`Rules::drain`].
//! - [`TableSource`]: how a table's change becomes an event; what its `type`, `subject` and `data` are stands there.
//! - [`Rules::status`]: how each is doing.
//! - [`Rules::letters`], [`Rules::event`], [`Rules::retry`]: what was given up.
//!
//! # Promises
//! A rule sees everything written after [`Rules::apply`] first returned with it, and goes on where it was after a restart, also after `kill -9`:
//! delivery is at least once, and a repeat carries the same event id. Two owners never both move a cursor. A
//! record that cannot be read, or an event that fails for ever, stops nothing else. What became too old unread is counted in a
//! dead letter, never passed over silently.
//!
//! # Limits
//! A rule reads at most 256 records or 8 MiB ahead of its cursor and makes 16 calls at a time (and as many retries). A crash
//! repeats at most what was read ahead. A delivered event costs the commit that made it and 1/n of a commit for n events settled together; n is 1
//! on a quiet table and up to 256 on a busy one. One more commit when a reader starts. An idle rule has a poll every 30 s and
//! no other timer.
//!
//! # What it never does
//! It knows no HTTP, no keys of tables and no function's contract. It keeps no events of its own: the log is the queue.
//! It never delivers what was written before the rule existed.

mod cursor;
mod error;
mod metrics;
mod read;
mod retire;
mod rule;
mod run;
mod source;
mod status;
mod trim;
mod window;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use metrics::Metrics;
pub use rule::{Order, Rule};
pub use run::{Config, Parts, Rules};
pub use source::{Source, TableSource};
pub use status::Status;
pub use trim::{Logs, TableLogs};
