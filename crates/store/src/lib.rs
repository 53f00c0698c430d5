//! The ground that everything durable stands on: one contract, a suite that every engine passes, and what engines share.
//!
//! # The contract
//! - [`Store::commit`] is the only write. A [`Batch`] checks ([`fence`](Batch::fence), [`expect`](Batch::expect)), changes rows
//!   ([`put`](Batch::put), [`delete`](Batch::delete)), appends to logs and enqueues or settles tasks, all together or not at
//!   all. It is acknowledged when it is durable, never before.
//! - [`Store::get`] and [`Snapshot`] read rows, and never what is not durable yet.
//! - [`Store::read_log`] reads a log's shard from a [`Position`]; any number of readers, each with a cursor of its own.
//! - [`Store::receive`] claims due tasks from a [`Lane`]; a [`Token`] is the right to settle one, until it lapses.
//! - [`Wake`] tells when it is worth looking again.
//! - [`blobs`] keeps what is larger than a value, by references that are rows.
//! - [`commit_decided`] is for whoever decides anew when others were first: the one wait between attempts, and their bound.
//! - [`layout`] gives names numbers that are never used again, and reclaims what is under a number.
//!
//! # Promises
//! An acknowledged commit survives a kill and a power cut. Commits take effect one after another; decisions that name the keys
//! they depend on are serializable. A key's version grows, also across delete and re-creation. Records of a shard appear in the
//! order of commits and a reader skips none. A task is claimed by one at a time; a token that lapsed settles nothing. An
//! unclean restart counts as an attempt for every task that was due by then, so that work which kills the node ends somewhere.
//!
//! # Limits
//! Keys: 1 to 2,400 bytes (PostgreSQL's index row ends at 2,704). Values, records and task bodies: 1 MiB + 64 KiB. A batch: 16
//! MiB and 10,000 operations. A snapshot: 30 s. A claim: 12 h; 65,536 tasks may be claimed at a time.
//!
//! # What it never does
//! It knows no tables, queues or rules; it has no range locks (a decision over a range is guarded by a key made for it); it
//! updates nothing in place to claim a task; it never retries a refused batch by itself.
//!
//! # What engines share
//! [`engine`] is the contract over any ordered map with snapshots and atomic durable writes. [`Memory`] puts it over a map in
//! memory, for tests and the simulation; `store-embedded` over a directory. [`work`] is the owner's memory of tasks. [`mod@suite`] is what each of them must pass.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use aloft_base::SystemClock;
//! use aloft_store::{Batch, BatchId, Expect, Key, Memory, Outcome, Store};
//!
//! let store = Memory::new(Arc::new(SystemClock));
//! let key = Key::new("greeting")?;
//! let create = |id| Batch::new(BatchId(id)).expect(key.clone(), Expect::Absent).put(key.clone(), "hello");
//! assert!(store.commit(create(1)).await?.is_committed());
//! assert_eq!(store.commit(create(2)).await?, Outcome::Conflict(key.clone()));
//! assert_eq!(store.get(&key).await?.unwrap().value, "hello");
//! # Ok::<(), aloft_store::Error>(())
//! # }).unwrap();
//! ```

mod batch;
pub mod blobs;
mod decide;
pub mod engine;
mod error;
pub mod folder;
pub mod layout;
mod memory;
mod store;
pub mod suite;
mod types;
mod wake;
pub mod work;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use batch::{Batch, Committed, Enqueue, Expect, Operation, Outcome};
pub use decide::{ATTEMPTS, commit_decided};
pub use error::Error;
pub use memory::Memory;
pub use store::{Snapshot, Store};
pub use types::{
    BatchId, Claim, Direction, Entry, Epoch, Key, KeyRange, Lane, Lease, LogId, Page, Partition, Position,
    Record, Shard, Task, TaskId, Token, Version,
};
pub use wake::{Topic, Waiter, Wake};

/// The longest key, in bytes: PostgreSQL's index rows end at 2,704, and the rest is its own overhead.
pub const MAX_KEY_BYTES: usize = 2_400;
/// The largest value, record or task body, in bytes: 1 MiB of a user's and 64 KiB of what wraps it.
pub const MAX_VALUE_BYTES: usize = (1 << 20) + (64 << 10);
/// The largest record that a service appends for a user. What wraps it on its way (a parcel, a dead letter with its failure's
/// message) finds room in what is left to [`MAX_VALUE_BYTES`].
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// The largest batch, in bytes of keys and values.
pub const MAX_BATCH_BYTES: usize = 16 << 20;
/// The most operations in a batch.
pub const MAX_OPERATIONS: usize = 10_000;
/// A scan's page ends when its keys and values reach this many bytes.
pub const MAX_PAGE_BYTES: usize = 4 << 20;
/// How long a snapshot lives.
pub const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(30);
/// How long a task may be claimed at once: SQS's bound.
pub const MAX_VISIBLE: Duration = Duration::from_secs(12 * 3_600);
/// The most tasks that one [`Store::receive`] gives.
pub const MAX_RECEIVE: usize = 1_000;
/// The most tasks that may be claimed and not settled.
pub const MAX_CLAIMS: usize = 65_536;
/// How many partitions the work is cut into.
pub const PARTITIONS: u16 = 256;
