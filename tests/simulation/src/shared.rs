//! What all machines of a simulation share: the store's memory, the history and the trace, chance and faults. One thread uses it, so
//! a lock is never waited for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Chance, SeededChance};
use aloft_store::blobs::MemoryBlobs;
use aloft_store::{Memory, Topic, Wake};
use tokio::sync::mpsc;

use crate::clock::WorldClock;
use crate::fault::{Fault, Faults};
use crate::front::{Answers, Request};
use crate::history::{History, Seen, Wanted};
use crate::lease::Held;
use crate::lie::Lie;
use crate::machine::Gate;
use crate::scenario::Scenario;
use crate::scenario::orders::RETRIES;
use crate::trace::Trace;

/// See the file's head.
pub(crate) struct Shared {
    pub(crate) scenario: &'static Scenario,
    pub(crate) clock: Arc<WorldClock>,
    /// What goes wrong, and when.
    pub(crate) chance: SeededChance,
    pub(crate) lie: Option<Lie>,
    /// At which effect a node crashes, before it or after it.
    crash_at: Option<(u64, bool)>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) trace: Trace,
    pub(crate) history: History,
    pub(crate) faults: Faults,
    pub(crate) memory: Arc<Memory>,
    pub(crate) blobs: MemoryBlobs,
    /// The project's file, which lies on no node.
    pub(crate) wanted: Wanted,
    /// The versions that clients were told are published.
    pub(crate) published: BTreeSet<u64>,
    /// The engine is poisoned and is to be opened anew.
    pub(crate) is_full: bool,
    /// Who owns it, where it has one owner at a time.
    pub(crate) lease: Option<Held>,
    /// The wakes of the nodes that live, by node.
    pub(crate) wakes: Vec<Wake>,
    topics: BTreeSet<Topic>,
    /// Where requests are taken, by node; none while it is down.
    pub(crate) fronts: Vec<Option<mpsc::Sender<Request>>>,
    pub(crate) answers: Answers,
    /// Effects of all nodes so far.
    pub(crate) effects: u64,
    /// Those before everything came to rest.
    pub(crate) busy_effects: u64,
    /// Effects and writes, by node.
    pub(crate) counts: Vec<(u64, u64)>,
    /// When something last happened that was not a look.
    pub(crate) last_ms: u64,
    ops: u64,
    numbers: u64,
    /// How often it was lied.
    pub(crate) lied: u64,
}

impl Shared {
    pub(crate) fn new(
        scenario: &'static Scenario,
        seed: u64,
        trace: Trace,
        (lie, crash_at): (Option<Lie>, Option<(u64, bool)>),
    ) -> Self {
        let clock = Arc::new(WorldClock::new());
        let chance = SeededChance::new(seed);
        let faults = Faults::draw(&chance, scenario.but, scenario.only);
        let state = State {
            trace,
            history: History::default(),
            faults,
            memory: Arc::new(Memory::new(clock.clone())),
            blobs: MemoryBlobs::new(clock.clone(), Arc::new(SeededChance::new(seed))),
            wanted: Wanted {
                retries: RETRIES,
                has_audit: true,
            },
            published: BTreeSet::new(),
            is_full: false,
            lease: None,
            wakes: vec![Wake::new(); scenario.nodes],
            topics: BTreeSet::new(),
            fronts: vec![None; scenario.nodes],
            answers: Answers::default(),
            effects: 0,
            busy_effects: 0,
            counts: vec![(0, 0); scenario.nodes],
            last_ms: 0,
            ops: 0,
            numbers: 0,
            lied: 0,
        };
        Self {
            scenario,
            clock,
            chance,
            lie,
            crash_at,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws whether a fault strikes.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        self.state().faults.strikes(fault, &self.chance)
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.state().faults.is_on()
    }

    /// Notes what can be seen from outside.
    pub(crate) fn see(&self, at_ms: u64, seen: Seen) {
        let mut state = self.state();
        state.trace.note(at_ms, format_args!("{seen:?}"));
        state.last_ms = state.last_ms.max(at_ms);
        state.history.see(seen);
    }

    /// The number of the next request.
    pub(crate) fn next_op(&self) -> u64 {
        let mut state = self.state();
        state.ops += 1;
        state.ops
    }

    /// A number that nobody else has.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.state();
        state.numbers += 1;
        state.numbers
    }

    /// The await before an effect: where a node may end before it. Answers the effect's number.
    pub(crate) async fn before(&self, gate: &Gate) -> u64 {
        gate.pass().await;
        let number = {
            let mut state = self.state();
            state.effects += 1;
            state.effects
        };
        if self.crash_at == Some((number, false)) || self.strikes(Fault::CrashBefore) {
            gate.crash_here().await;
        }
        number
    }

    /// The await after an effect: where a node may end before anybody hears of it.
    pub(crate) async fn after(&self, gate: &Gate, number: u64) {
        if self.crash_at == Some((number, true)) || self.strikes(Fault::CrashAfter) {
            gate.crash_here().await;
        }
        gate.pass().await;
    }

    /// Tells the nodes that something is new. It is a hint: it may be lost, and may come for nothing.
    pub(crate) fn wake(&self, topics: &[Topic]) {
        let wakes = self.state().wakes.clone();
        for wake in wakes {
            for topic in topics {
                self.state().topics.insert(*topic);
                if !self.strikes(Fault::LoseWake) {
                    wake.notify(*topic);
                }
            }
            if self.strikes(Fault::SpareWake) {
                let known = self.state().topics.clone();
                known.into_iter().for_each(|topic| wake.notify(topic));
            }
        }
    }

    /// Draws whether this lie is told now, and counts it.
    pub(crate) fn lies(&self, lie: Lie) -> bool {
        let lies = self.lie == Some(lie) && self.chance.below(100) < lie.percent();
        if lies {
            self.state().lied += 1;
        }
        lies
    }

    /// A number of milliseconds from zero to the bound.
    pub(crate) fn millis(&self, bound: u64) -> std::time::Duration {
        std::time::Duration::from_millis(self.chance.below(bound + 1))
    }
}
