//! The store in a directory, without a server: the default engine.
//!
//! # How it works
//! One committer thread owns all writing. It takes what has queued while the last group was on its way to the disk, decides
//! it batch by batch ([`aloft_store::engine`]), writes the whole group as one batch of the LSM tree, makes it durable with one
//! `fdatasync`, and only then answers. There is no artificial delay: a lone commit waits for nobody, and under load groups
//! grow by themselves. Reads go to the tree directly, from any thread, and show only what is durable.
//!
//! Below lies fjall 3, chosen by measurement over redb, LMDB and SQLite: 9 to 45 times fewer bytes written for each commit,
//! opening in a fraction of a second whatever the size, no C. Its price: reads slow down while compaction catches up.
//!
//! # Promises
//! What [`Embedded`] promises is the contract of `aloft_store`, on a local file system that keeps the promises of `fsync`:
//! a file's bytes and length are safe after `fdatasync` of it, a name in a directory after `fsync` of the directory. Nothing
//! else is assumed to survive a power cut, and the tests take everything else away.
//! - A directory belongs to one process at a time; a second is refused with the holder's process id.
//! - A failed write or sync ends all writing until the directory is opened anew: after a failed `fsync` nobody knows what is on
//!   the disk. Reads go on. A full disk is such a failure: the commit gets an error, what was acknowledged stays.
//! - A new directory appears whole or not at all: it is built beside its place, synced, and renamed.
//!
//! # Limits
//! The queue holds 1,024 requests and 64 MiB of batches; who finds it full waits. A group ends at 1,024 batches or 32 MiB.
//! Memory: a write buffer and a cache ([`Config`]), and what the shared engine keeps of the work.
//!
//! # What it never does
//! No network file systems (locks and syncs differ there), no second process, no compression of time: what is not asked for is
//! not written; an idle store touches nothing.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use aloft_base::SystemClock;
//! use aloft_store::{Batch, BatchId, Key, Store};
//! use aloft_store_embedded::{Config, Embedded};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let key = Key::new("greeting")?;
//! let store = Embedded::open(folder.path(), &Config::default(), Arc::new(SystemClock))?;
//! assert!(store.commit(Batch::new(BatchId(1)).put(key.clone(), "hello")).await?.is_committed());
//! store.close().await?;
//!
//! let store = Embedded::open(folder.path(), &Config::default(), Arc::new(SystemClock))?;
//! assert_eq!(store.get(&key).await?.unwrap().value, "hello");
//! # Ok::<(), aloft_store::Error>(())
//! # }).unwrap();
//! ```

mod committer;
mod config;
mod disk;
mod folder;
mod metrics;
mod store;

#[cfg(test)]
mod tests;

pub use committer::QueueCounters;
pub use config::Config;
pub use disk::DiskCounters;
pub use store::{Counters, Embedded};
