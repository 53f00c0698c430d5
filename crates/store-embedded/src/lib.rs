//! The store in a directory, without a server: the default engine.
//!
//! # How it works
//! One committer thread owns all writing. It takes what has queued while the last group was on its way to the disk, decides
//! it batch by batch ([`aloft_store::engine`]), writes the whole group as one batch of the LSM tree, makes it durable with one
//! `fdatasync`, and only then answers. There is no artificial delay: a lone commit waits for nobody, and under load groups
//! grow by themselves. Reads go to the tree directly, from any thread, and show only what is durable.
//!
//! # What lies below, and why
//! fjall 3: an LSM tree in Rust. Four were measured with the same load (1 million rows of 1 KiB; a commit reads one key and
//! writes three; two cores; an append with `fdatasync` takes 150 to 189 µs). Mostly one run each: a difference under 1.5 times
//! means nothing.
//!
//! | | fjall 3.1 | redb 4.6 | LMDB (heed 0.22) | SQLite (rusqlite 0.43) |
//! |---|---|---|---|---|
//! | a lone commit against append and `fdatasync` | 1.1 – 1.5 | 2.0 – 2.3 | 2.1 – 2.4 | 0.96 – 1.01 |
//! | 64 writers in groups, commits/s | 15,100 (*) | 13,700 | 16,900 | 13,600 |
//! | KB written for a commit, alone / in a group | 1.3 / 1.3 | 60 / 14 | 55 / 12 | 59 / 33 |
//! | point reads/s, one thread | 276,000 | 325,000 | 568,000 | 158,000 |
//! | the same just after random rows were written over | 26,000 | 260,000 | 481,000 | 194,000 |
//! | MiB on disk: loaded, then written over twice | 1,014, 1,468 (**) | 1,333, 1,546 | 1,967, 2,167 | 1,118, 1,285 |
//! | opening after `kill -9`, files cached / not, ms | 68 – 249, 170 – 446 | 1,500 – 2,700, 15,000 | 1, 24 – 49 | 1 – 2, 3 – 60 |
//!
//! (*) 27,600 when a group is one write batch of fjall, as here, which gives up fjall's check for conflicts: the engine does that
//! itself. The others already wrote a group as one transaction; fjall alone got a second form, after the first had been seen. In
//! like form the four do not differ. (**) After opening anew; the most that was seen meanwhile is 3,324. Of the others nobody
//! looked for the most. None lost an acknowledged write to `kill -9`; the power cut was tested for this engine only.
//!
//! What decided: bytes written (9 to 45 times fewer, and a disk wears by bytes), opening in a fraction of a second at that
//! size, no C; not speed. No engine groups commits usefully by itself; the committer above is ours with any of them. The price
//! is reads that slow down while compaction catches up, and room of up to three times the data meanwhile. redb is ruled out by
//! how it opens; SQLite is the fallback, and close. RocksDB was given up for its build, some 19 minutes; nothing says it is
//! slower.
//!
//! Whether the price is bearable under this engine's own load, and what the contract costs above fjall alone, is shown by
//! `cargo xtask bench store full`; its figures stand in `docs/performance.md`.
//!
//! # Promises
//! What [`Embedded`] promises is the contract of `aloft_store`, on a local file system that keeps the promises of `fsync`:
//! a file's bytes and length are safe after `fdatasync` of it, a name in a directory after `fsync` of the directory. Nothing
//! else is assumed to survive a power cut, and the tests take everything else away.
//! - A directory belongs to one process at a time; a second is refused with the holder's process id.
//! - A failed write or sync ends all writing until the directory is opened anew: after a failed `fsync` nobody knows what is on
//!   the disk. Reads go on. A full disk is such a failure: the commit gets an error, what was acknowledged stays.
//! - A group that was on its way to the disk when the power failed is there wholly or not at all. Whole
//!   groups behind a damaged one mean that the disk lost what it had confirmed: opening is refused, nothing is changed.
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
mod journal;
mod metrics;
mod store;

#[cfg(test)]
mod tests;

pub use committer::QueueCounters;
pub use config::Config;
pub use disk::DiskCounters;
pub use store::{Counters, Embedded};
