//! What every floor of the house shares, and nothing that has a better home.
//!
//! - [`ErrorKind`]: the ten ways in which anything fails. Libraries say what happened; the edges (`aws`, `gateway`,
//!   `cli`) map a kind to a wire code, a status or an exit code, in one exhaustive `match` each.
//! - Ids, each a type of its own: [`Tenant`], [`Region`], [`FunctionName`], [`InvocationId`] …
//! - [`Clock`] and [`Chance`]: time and randomness come in as arguments. Nothing else in the platform reads the wall clock
//!   or asks for random bytes (a lint forbids it), so tests and the simulation drive both.
//! - [`Mac`], [`hex`] and [`unhex`]: HMAC-SHA256, and how digests are written and read.
//! - [`Backoff`]: the one retry delay, exponential with full jitter and a ceiling.
//! - [`Tasks`]: the one way to start background work: named, owned, stopped, and waited for.
//! - [`Egress`]: where a function may connect to.
//! - [`Logging`]: in which form and from which level on a function's log is written.
//! - [`Stall`]: notices that something takes too long, without a timer for each wait.
//! - [`Trace`]: the W3C trace that calls and events belong to.
//! - [`Turns`]: a lock for each key that is in use.
//! - [`Size`] and [`parse_duration`]: the units in which users write.
//!
//! ```
//! use aloft_base::{Size, parse_duration};
//! assert_eq!("128MB".parse::<Size>().unwrap().bytes(), 128 * 1024 * 1024);
//! assert_eq!(parse_duration("6h").unwrap().as_secs(), 21_600);
//! ```

mod backoff;
mod chance;
mod digest;
mod egress;
mod error;
mod id;
mod logging;
mod stall;
mod tasks;
mod time;
mod trace;
mod turns;
mod unit;

pub use backoff::Backoff;
pub use chance::{Chance, SeededChance, SystemChance};
pub use digest::{Mac, hex, unhex};
pub use egress::{Destination, Egress, Host, InvalidDestination};
pub use error::ErrorKind;
pub use id::{FunctionId, FunctionName, InvalidName, InvocationId, Region, RuleName, TableName, Tenant};
pub use logging::{Level, Logging, SystemLevel};
pub use stall::Stall;
pub use tasks::{Policy, Stop, Tasks};
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TokioClock};
pub use trace::Trace;
pub use turns::Turns;
pub use unit::{InvalidUnit, Size, format_duration, parse_duration};
