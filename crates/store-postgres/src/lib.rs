//! The store in a PostgreSQL database (15 or newer): the engine for those who have one.
//!
//! - [`Postgres::open`] connects, makes or migrates the schema, and takes the store; [`Config`] says where and how.
//! - A commit is one call of the function `commit` (`sql/functions.sql`) in READ COMMITTED: one round trip, on a connection
//!   that others share and pipeline on.
//! - Tasks are claimed from the owner's memory, as in every engine ([`aloft_store::work`]); only facts are written.
//!
//! # Order
//! A row's version and a record's position are the transaction's id. For two commits with a common key the later must have the
//! higher id, and PostgreSQL gives ids out when a transaction first writes or locks a row, so row locks come too late: their
//! order may be the reverse of the ids'. All locks here are advisory ones, which give out none, taken in one order before the
//! first write. A sequence that is read after the locks was rejected: readers stop before the oldest open transaction, and
//! with two orders of numbers they would skip what commits between. `FOR SHARE` of a partition's row as a fence was rejected
//! for the same reason; the gate, an advisory lock that each commit shares, takes its place.
//!
//! # The journal
//! Records, tasks and settlements are rows of one table in four partitions, written in turn and emptied by TRUNCATE. Nothing
//! in it is updated in place and no row is claimed, so a snapshot that somebody holds open for hours makes nothing bloat. What
//! outlives its partition is carried into the current one.
//!
//! # When an answer is lost
//! The old session is ended, and once it is gone the commit is looked up by its number, which each commit leaves in the
//! journal. Found, it happened; not found, it never will, and is sent again. Nothing is guessed.
//!
//! # Limits
//! One process owns the store at a time. Connections are not encrypted. Those of [`Config`] besides the contract's.
//!
//! # What it never does
//! It takes no row lock, holds no transaction open but snapshots (30 s), and notifies other nodes only from a connection of
//! its own, never in the data's transaction.
//!
//! No pool of the kept ones (deadpool, bb8) lends one connection to several at a time, which pipelining needs; sqlx does not
//! pipeline at all.

mod commit;
mod config;
mod connection;
mod courier;
mod fault;
mod flights;
mod horizon;
mod keeper;
mod lock;
mod metrics;
mod notify;
mod number;
mod owner;
mod pool;
mod read;
mod request;
mod schema;
mod shared;
mod snapshot;
mod statement;
mod store;
mod tasks;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use connection::ConnectionCounters;
pub use shared::CommitCounters;
pub use store::{Counters, Postgres};
