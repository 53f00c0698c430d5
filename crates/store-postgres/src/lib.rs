//! The store in a PostgreSQL database: the engine for those who have one. No extension, no right but to create a schema.
//!
//! # A commit
//! One function call in READ COMMITTED, one round trip. In this order:
//! 1. *Locks.* Advisory locks of the transaction: the *gate*, shared; then those of every key that the batch expects, puts or
//!    deletes and of every ordering key that it appends under, by a 32-bit hash, ascending, so that nobody waits in a ring. Two keys
//!    of one hash wait for each other without need. Absent keys are locked like present ones.
//! 2. *Checks*, each with a snapshot taken after the locks: the owner's epoch, fences, versions.
//! 3. Only when all hold a *transaction id*, which is the version of what is put and the position of what is appended; then the writes.
//!
//! Why so: a position must be the same for every reader, sort as the commits of a key did, and let no reader skip. A number drawn
//! after the locks skips (who drew the lower one may commit later). The transaction id does not, if readers stop at the oldest one
//! that is still open; but row locks (`FOR UPDATE`, `FOR SHARE`) have the server assign it *before* they are granted, and then two
//! commits on one key may commit in the other order. Advisory locks assign none. So of two commits with a key in common the later
//! has the higher id, also when the key was deleted and made anew in between. The id has 64 bits here and never wraps; a schema
//! that was dumped and restored into another cluster, whose ids are lower, adds a shift from then on.
//!
//! The gate as an advisory lock, instead of `FOR SHARE` on a row, which would also come too early: 239 bytes of WAL a commit
//! instead of 401, since a row lock writes into the row and soon makes a multixact; as many commits a second within the noise.
//!
//! Commits that wait go together ([`Config::writers`] couriers, up to 64 batches without a lock in common): one transaction, statements
//! over sets. Each is still refused alone. What takes the gate alone: takeovers of the store and of partitions, and batches with more
//! than 64 locks, since the server's table of locks has room for `max_locks_per_transaction` (64) of each session.
//!
//! # The journal
//! Records, tasks and their settlements are rows of one table in a ring of four segments, and each commit has at least one there.
//! Nothing in it is updated, claimed or vacuumed. When the current segment is full the next becomes current, what lives in the oldest
//! is carried on page by page, and the oldest is truncated. So a foreign snapshot of ten minutes costs a queue nothing: there are no
//! dead rows for it to keep. A foreign lock (pg_dump's) keeps the ring from turning; it grows meanwhile, a warning says so.
//!
//! Rejected: claims in rows with SKIP LOCKED (each claim an update that a foreign snapshot keeps), a delete of each settled task,
//! and partitions that are made and dropped by date (each is a change of the catalogue).
//!
//! # A lost answer
//! A commit runs to its end whether or not its caller waits. If its connection breaks before the answer, the old session is ended and
//! waited for; then the journal is asked for the commit's number. It is there: it happened. It is not: it never will, and is
//! sent again. Nothing is guessed. Who waited [`Config::patience`] is told that the database is away; the same batch handed over
//! again joins the one under way.
//!
//! # One owner
//! One process owns a schema, under an epoch that each takeover raises and each commit checks behind the gate. The lease, judged by
//! the database's clock, decides only when a takeover may happen. A start waits for a lease that nobody renews, and is refused with the
//! holder's name if somebody does. Tasks are claimed in the owner's memory ([`aloft_store::work`]).
//!
//! # Readers of logs
//! They stay behind the oldest open transaction of the whole server, in whatever database: rows of logs that are newer are hidden. Waiters
//! are woken when records can be read. How long the oldest has been hidden is a metric, and after 5 s a warning names who holds it.
//!
//! # Promises
//! Those of `aloft_store`, on PostgreSQL 15 or newer with `fsync` and `full_page_writes` on (else a warning). `synchronous_commit` is
//! raised to `on` in our sessions where it is weaker, so what others see and what is acknowledged is durable. With asynchronous
//! replicas a failover may lose what was acknowledged: that is the replica's promise and not ours.
//!
//! # Limits
//! 1,024 commits and 64 MiB of batches under way; who finds it full waits. Connections: [`Config::writers`] + [`Config::readers`] +
//! [`Config::snapshots`] + 2. Statements end after 30 s, waits for locks after 10 s. A snapshot holds a connection and keeps vacuum from
//! what changed since, 30 s at most. A start reads past what is settled in the journal of a lane that it opens: 3 µs a task, and
//! no more tasks than a ring holds.
//!
//! # What it never does
//! No TLS yet: `sslmode=require` is refused, not ignored. No pooler in transaction mode between (sessions are set up and statements are
//! prepared once). No NOTIFY in the data's transactions: wakes of other processes travel on a connection of their own.
//!
//! ```no_run
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use aloft_base::{SystemChance, SystemClock};
//! use aloft_store::{Batch, BatchId, Key, Store};
//! use aloft_store_postgres::{Config, Postgres};
//!
//! let config = Config::new("postgresql://postgres@/postgres?host=/run/postgresql");
//! let store = Postgres::open(config, Arc::new(SystemClock), Arc::new(SystemChance)).await?;
//! let key = Key::new("greeting")?;
//! assert!(store.commit(Batch::new(BatchId(1)).put(key, "hello")).await?.is_committed());
//! store.close().await?;
//! # Ok::<(), aloft_store::Error>(())
//! # }).unwrap();
//! ```

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
