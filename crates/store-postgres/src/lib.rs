//! The store in a PostgreSQL database: the engine for those who have one.

mod commit;
mod config;
mod connection;
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
