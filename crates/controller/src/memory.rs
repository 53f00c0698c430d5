//! The node's memory: what instances are expected to use, and what is unloaded so that others can be loaded.
//!
//! An idle instance counts with what it has used at most so far, one that runs or starts with what instances of its version have used at
//! most, and a quarter more. (Counting limits instead would fill a laptop with eight functions of 512 MB that use 30.) Of a version that
//! never ran nothing is known: it counts with its limit, at most a quarter of the node.
//!
//! A start for which there is no room unloads the instances that have been idle longest, whosever they are. When none is idle it waits, one
//! start after another, until something ends; meanwhile a pool with more instances than the one that waits gives up one whose call has
//! ended, also when it has further calls for it. A node on which nothing is loaded loads everything.
//!
//! Nothing is booked: the sum is taken anew for each cold start, over the pools. That is a fraction of what a start takes, and cannot go
//! wrong in the long run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use aloft_base::Size;
use aloft_call::{Bound, Fault};
use tokio::sync::Notify;

use crate::controller::Inner;
use crate::pool::Command;
use crate::run::{Pool, busy_by};

/// The least that any instance counts.
const LEAST: u64 = 8 << 20;

/// The memory that instances may use together.
pub(crate) struct Memory {
    budget: u64,
    /// Bytes of starts that are under way.
    starting: AtomicU64,
    /// Held by the start that is next.
    turn: tokio::sync::Mutex<()>,
    /// Whether it waits, and whose it is.
    is_waited_for: AtomicBool,
    waiting: Mutex<Weak<Pool>>,
    /// Told when a call has ended while somebody waits, or an instance.
    returned: Notify,
}

/// Room for an instance that starts. What it uses is counted by itself once it is loaded.
pub(crate) struct Room<'a>(&'a Memory, u64);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(self.1, SeqCst);
        self.0.returned.notify_one();
    }
}

impl Memory {
    pub(crate) fn new(budget: Size) -> Self {
        Self {
            budget: budget.bytes(),
            starting: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            is_waited_for: AtomicBool::new(false),
            waiting: Mutex::default(),
            returned: Notify::new(),
        }
    }

    /// What an instance of a version counts that runs or starts, when so much is the most that was seen of one.
    pub(crate) fn expected(&self, limit: u64, seen: u64) -> u64 {
        let expected = match seen {
            0 => self.budget / 4,
            seen => seen.saturating_add(seen / 4),
        };
        expected.max(LEAST).min(limit)
    }

    /// What an idle instance counts.
    pub(crate) fn idle(peak: u64) -> u64 {
        peak.max(LEAST)
    }

    /// Waits for room for one more instance of a pool, as long as its calls would wait for one.
    pub(crate) async fn room<'a>(&'a self, inner: &Arc<Inner>, pool: &Arc<Pool>) -> Result<Room<'a>, Fault> {
        let patience = pool.version().queue.wait;
        let found = tokio::time::timeout(patience, async {
            let _turn = self.turn.lock().await;
            let waits = Waits::new(self);
            loop {
                let returned = self.returned.notified();
                tokio::pin!(returned);
                returned.as_mut().enable();
                if let Some(room) = self.take(inner, pool) {
                    return room;
                }
                if unload(inner) {
                    continue;
                }
                waits.begin(pool);
                returned.await;
            }
        });
        found.await.map_err(|_| {
            let why = format!(
                "the node's memory ({}) is taken by what runs, and none became free within {patience:?}",
                Size::from_bytes(self.budget)
            );
            busy_by(Bound::Memory, why)
        })
    }

    fn take(&self, inner: &Arc<Inner>, pool: &Pool) -> Option<Room<'_>> {
        let starting = self.starting.load(SeqCst);
        // What runs in a version that was replaced has its memory, too.
        let loaded: u64 = inner.all_pools().iter().map(|pool| pool.memory(self)).sum();
        let used = loaded.saturating_add(starting);
        let wanted = pool.expected(self);
        if used > 0 && used.saturating_add(wanted) > self.budget {
            return None;
        }
        self.starting.fetch_add(wanted, SeqCst);
        Some(Room(self, wanted))
    }

    fn waiting(&self) -> MutexGuard<'_, Weak<Pool>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has ended or an instance: whoever waits looks again.
    pub(crate) fn has_changed(&self) {
        if self.is_waited_for.load(SeqCst) {
            self.returned.notify_one();
        }
    }

    /// Whether a pool is to give up an instance whose call has ended, because another one that has fewer waits.
    pub(crate) fn is_wanted_of(&self, pool: &Arc<Pool>) -> bool {
        if !self.is_waited_for.load(SeqCst) {
            return false;
        }
        let waiting = self.waiting().upgrade();
        waiting.is_some_and(|other| !Arc::ptr_eq(&other, pool) && pool.loaded() > other.loaded() + 1)
    }
}

/// Says that somebody waits, until it is dropped.
struct Waits<'a>(&'a Memory);

impl<'a> Waits<'a> {
    /// From here on each change is told: one that comes between a look and the wait must not be missed.
    fn new(memory: &'a Memory) -> Self {
        memory.is_waited_for.store(true, SeqCst);
        Self(memory)
    }

    fn begin(&self, pool: &Arc<Pool>) {
        *self.0.waiting() = Arc::downgrade(pool);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        *self.0.waiting() = Weak::new();
        self.0.is_waited_for.store(false, SeqCst);
    }
}

/// Stops the instance that has been idle longest; says whether there was one.
fn unload(inner: &Arc<Inner>) -> bool {
    let pools = inner.pools();
    let idle = pools.values().filter_map(|pool| Some((pool.idle_since()?, pool)));
    let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) else {
        return false;
    };
    pool.step(inner, Command::Unload, None);
    true
}
