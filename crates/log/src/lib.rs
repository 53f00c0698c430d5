//! The log: what functions say, and whatever else is put into log groups, kept durably and found again.
//!
//! - [`Logs`] are groups, streams and events under CloudWatch's names. Events are read in the order of time, forward and backward, of a
//!   group, of some of its streams ([`Streams`]), or of one invocation, which is found by an index and not by looking through the group.
//! - [`Writer`] takes what functions say. It never makes anybody wait: events gather in bounded memory, and one task keeps them, many
//!   functions' in one commit. What finds no room is counted, and a line in the log says how much is missing.
//! - [`Narrator`] makes the log's lines of what happens: the function's own, and Lambda's `START`, `END` and `REPORT`; [`record`] reads
//!   the feed for it.
//! - [`Pattern`] is CloudWatch's filter pattern: terms, and fields of JSON.
//! - [`Retention`] removes what is too old or too much.
//!
//! # Promises
//! What [`Logs::put`] has answered is durable. What functions say is kept within a second or so, unless the store is slower; a crash
//! loses what was said since, and never leaves half a commit. No event is shown that is older than its group's days.
//!
//! # Limits
//! Messages of 256 KiB. 8 MiB or 32,768 events wait to be kept, half of them of one group. A function's group keeps 14 days and 256 MiB
//! unless it is told otherwise, any other 1 GiB ([`Bounds`]). A page looks through 16 MiB; it may be empty and not the last.
//!
//! # What it never does
//! It knows no HTTP and no tokens. It reads no clock. It orders nothing but by the time that each event says of itself.

mod error;
mod event;
mod keep;
mod logs;
mod metrics;
mod narrate;
mod pattern;
mod read;
mod record;
mod retain;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

pub use aloft_store::Direction;
pub use error::Error;
pub use event::{
    EVENT_BYTES, Entry, Event, FUNCTIONS, Group, Kind, MAX_MESSAGE_BYTES, Position, RETENTION_DAYS, Stream,
    check_group, check_stream,
};
pub use logs::{Bounds, Logs};
pub use metrics::Metrics;
pub use narrate::{Narrator, PLATFORM, group_of};
pub use pattern::{InvalidPattern, Pattern};
pub use read::{Page, Query, Streams};
pub use record::record;
pub use retain::Retention;
pub use writer::Writer;
