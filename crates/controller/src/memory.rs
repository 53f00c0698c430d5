//! The node's memory: what instances are expected to use, and what is unloaded so that others can be loaded.
//!
//! An idle instance counts with what it has used at most so far, or nothing if nothing of it is there between two calls; one that runs
//! or starts with what instances of its version have used at most, and a quarter more. (Counting limits instead would fill a laptop with
//! eight functions of 512 MB that use 30.) Of a version that never ran nothing is known: it counts with its limit, at most a
//! quarter of the node. One that was stopped counts until it is gone.
//!
//! A start for which there is no room lines up. If it would fit were everything unloaded that can be, the instances go that have been idle
//! longest, whosever they are, and as many as it needs. If not, nothing is unloaded for it: it waits until something ends, and those behind
//! it that do fit go before it; meanwhile a pool with more instances than its own gives up one whose call has ended, also when it
//! has further calls for it. One that nobody waits for, because its instance is only to be kept loaded, fails at once instead and is
//! tried again later. A node on which nothing is loaded loads everything.
//!
//! Nothing is booked: the sum is taken anew for each cold start, over the pools, and for all that wait whenever something has ended. That
//! is a fraction of what a start takes, and cannot go wrong in the long run.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Policy, Size};
use aloft_call::{Bound, Fault};
use aloft_instance::Instance;
use tokio::sync::{Notify, oneshot};

use crate::controller::Inner;
use crate::pool::Command;
use crate::run::{Pool, busy_by};

mod plan;

pub(crate) use plan::Held;
use plan::{Verdict, Wanted, needs_more, plan};

/// The least that any instance counts.
const LEAST: u64 = 8 << 20;

/// The memory that instances may use together.
pub(crate) struct Memory {
    budget: u64,
    /// Bytes of starts that are under way.
    starting: AtomicU64,
    line: Mutex<Line>,
    /// Whether anybody stands in the line.
    is_waited_for: AtomicBool,
    /// Told when a call has ended while somebody waits, or an instance.
    returned: Notify,
}

/// The starts that wait.
#[derive(Default)]
struct Line {
    /// In the order in which they came.
    waiting: Vec<Waiter>,
    numbers: u64,
    /// Whether a task looks after them.
    has_usher: bool,
}

struct Waiter {
    number: u64,
    pool: Arc<Pool>,
    answer: oneshot::Sender<Result<Room, Fault>>,
}

/// Room for an instance that starts. What it uses is counted by itself once it is loaded.
pub(crate) struct Room {
    inner: Arc<Inner>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        let memory = &self.inner.memory;
        memory.starting.fetch_sub(self.bytes, SeqCst);
        memory.has_changed();
    }
}

impl Memory {
    pub(crate) fn new(budget: Size) -> Self {
        Self {
            budget: budget.bytes(),
            starting: AtomicU64::new(0),
            line: Mutex::default(),
            is_waited_for: AtomicBool::new(false),
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
    pub(crate) fn idle(instance: &dyn Instance) -> u64 {
        match instance.holds_memory() {
            true => instance.memory_peak().max(LEAST),
            false => 0,
        }
    }

    /// Waits for room for one more instance of a pool, as long as its calls would wait for one.
    pub(crate) async fn room(&self, inner: &Arc<Inner>, pool: &Arc<Pool>) -> Result<Room, Fault> {
        let (answer, room) = oneshot::channel();
        let number = {
            let mut line = self.line();
            if line.waiting.is_empty()
                && let Some(room) = self.take(inner, pool)
            {
                return Ok(room);
            }
            line.numbers += 1;
            let number = line.numbers;
            let pool = pool.clone();
            line.waiting.push(Waiter { number, pool, answer });
            self.is_waited_for.store(true, SeqCst);
            if !line.has_usher {
                line.has_usher = true;
                let usher = usher(inner.clone());
                inner.tasks.start("make room for instances", Policy::Alone, usher);
            }
            number
        };
        self.returned.notify_one();
        let _place = InLine(self, number);
        let patience = pool.version().queue.wait;
        match tokio::time::timeout(patience, room).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) | Err(_) => {
                let why = format!(
                    "the node's memory ({}) is taken by what runs, and none became free within {patience:?}",
                    Size::from_bytes(self.budget)
                );
                Err(busy_by(Bound::Memory, why))
            }
        }
    }

    /// Room without waiting, if there is some. Asked with the line locked, so that no two starts are given the same.
    fn take(&self, inner: &Arc<Inner>, pool: &Pool) -> Option<Room> {
        let start = self.wanted(pool);
        let (verdicts, _) = plan(self.budget, self.held(inner), &[start]);
        (verdicts == [Verdict::Go]).then(|| self.begin(inner, start.bytes))
    }

    fn begin(&self, inner: &Arc<Inner>, bytes: u64) -> Room {
        self.starting.fetch_add(bytes, SeqCst);
        Room {
            inner: inner.clone(),
            bytes,
        }
    }

    /// What all instances hold: those of versions that were replaced, too.
    fn held(&self, inner: &Inner) -> Held {
        let starting = self.starting.load(SeqCst);
        let mut held = Held {
            fixed: starting,
            kept: starting,
            ..Held::default()
        };
        for pool in inner.all_pools() {
            held.add(pool.held(self));
        }
        held
    }

    fn wanted(&self, pool: &Pool) -> Wanted {
        Wanted {
            bytes: pool.expected(self),
            is_called: pool.is_waited_for(),
        }
    }

    /// Looks after those that wait: says how many instances are to be unloaded, or nothing when nobody waits any more.
    fn look(&self, inner: &Arc<Inner>) -> Option<usize> {
        let mut line = self.line();
        if line.waiting.is_empty() {
            line.has_usher = false;
            return None;
        }
        let starts: Vec<Wanted> = line
            .waiting
            .iter()
            .map(|waiter| self.wanted(&waiter.pool))
            .collect();
        let held = self.held(inner);
        let taken = held.fixed.saturating_add(held.leaving);
        let (verdicts, unload) = plan(self.budget, held, &starts);
        let decided = std::mem::take(&mut line.waiting)
            .into_iter()
            .zip(verdicts)
            .zip(starts);
        for ((waiter, verdict), start) in decided {
            let answer = match verdict {
                Verdict::Soon | Verdict::Wait => {
                    line.waiting.push(waiter);
                    continue;
                }
                Verdict::Go => Ok(self.begin(inner, start.bytes)),
                Verdict::Fail => Err(self.has_no_place(taken, start.bytes)),
            };
            // Whoever has ceased to wait gives it back: see `Room`.
            let _ = waiter.answer.send(answer);
        }
        self.is_waited_for.store(!line.waiting.is_empty(), SeqCst);
        Some(unload)
    }

    fn has_no_place(&self, taken: u64, wanted: u64) -> Fault {
        let [budget, taken, wanted] = [self.budget, taken, wanted].map(Size::from_bytes);
        let why = format!(
            "the node's memory ({budget}) has no room for one more instance that is kept loaded: it is expected to use \
             {wanted}, and what runs, starts and is kept loaded already counts {taken}"
        );
        busy_by(Bound::Memory, why)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has ended or an instance: whoever waits looks again.
    pub(crate) fn has_changed(&self) {
        if self.is_waited_for.load(SeqCst) {
            self.returned.notify_one();
        }
    }

    /// Whether a pool is to give up an instance whose call has ended, because another one that has fewer waits. Only as many leave as are
    /// needed, and none that is kept loaded; of two whose calls end in the same moment both may go.
    pub(crate) fn is_wanted_of(&self, inner: &Inner, pool: &Arc<Pool>) -> bool {
        if !self.is_waited_for.load(SeqCst) {
            return false;
        }
        let line = self.line();
        let starts: Vec<Wanted> = line
            .waiting
            .iter()
            .map(|waiter| self.wanted(&waiter.pool))
            .collect();
        let needs = needs_more(self.budget, &self.held(inner), &starts);
        let needs = needs.and_then(|index| line.waiting.get(index));
        needs.is_some_and(|waiter| {
            let (staying, kept) = pool.staying();
            !Arc::ptr_eq(&waiter.pool, pool) && staying > kept && staying > waiter.pool.staying().0 + 1
        })
    }
}

/// A place in the line, until it is dropped.
struct InLine<'a>(&'a Memory, u64);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line();
        line.waiting.retain(|waiter| waiter.number != self.1);
        self.0.is_waited_for.store(!line.waiting.is_empty(), SeqCst);
        drop(line);
        // The usher ends when nobody waits, and those behind may have waited for what this one was promised.
        self.0.returned.notify_one();
    }
}

/// Looks after the line whenever something has changed, until nobody stands in it.
async fn usher(inner: Arc<Inner>) -> Result<(), Infallible> {
    while let Some(count) = inner.memory.look(&inner) {
        // What is stopped is told, now or later, and looked at then.
        for _ in 0..count {
            unload(&inner);
        }
        inner.memory.returned.notified().await;
    }
    Ok(())
}

/// Stops the instance that has been idle longest.
fn unload(inner: &Arc<Inner>) {
    let pools = inner.all_pools();
    let idle = pools.iter().filter_map(|pool| Some((pool.idle_since()?, pool)));
    if let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) {
        pool.step(inner, Command::Unload, None);
    }
}
