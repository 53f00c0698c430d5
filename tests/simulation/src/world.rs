//! The world: gives every machine its turns, ends and starts nodes, pauses them, and lets time pass. First there is trouble, then calm:
//! faults stop, everything must come to rest, and only then clients read what became of it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Policy, Stop, Tasks};
use anyhow::Result;

use crate::blobs::NodeBlobs;
use crate::client;
use crate::fault::Fault;
use crate::history::Seen;
use crate::machine::{Gate, Machine};
use crate::node::{self, Parts};
use crate::shared::Shared;
use crate::store::NodeStore;

/// Everything must rest within this time after faults stopped: longer than any backoff, any claim and all retries together.
const CALM_MS: u64 = 12 * 3_600_000;
/// For how long the idle platform is watched: twenty polls.
const WATCH_MS: u64 = 10 * 60_000;
/// The longest turn while something happens, and while nothing does.
pub(crate) const TURN_MS: u64 = 20;
const CALM_TURN_MS: u64 = 5_000;
/// How long the last readings may take.
const READ_MS: u64 = 3_600_000;

/// See the file's head.
pub(crate) struct World {
    shared: Arc<Shared>,
    now_ms: u64,
    nodes: Vec<Place>,
    /// Where clients are: it never fails.
    outside: Machine,
    tasks: Tasks,
    /// When a poisoned engine is opened anew.
    reopen_at: Option<u64>,
}

/// A node's place: its present life, or when the next one begins.
struct Place {
    skew: Duration,
    life: Option<(Machine, Stop)>,
    begins_at: u64,
}

impl World {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self> {
        let chance = &shared.chance;
        let outside = Machine::new(Arc::new(Gate::new(0)), 0, Duration::ZERO, chance.next_u64())?;
        let nodes = (0..shared.scenario.nodes).map(|_| Place {
            skew: shared.millis(2_000),
            life: None,
            begins_at: 0,
        });
        Ok(Self {
            nodes: nodes.collect(),
            outside,
            tasks: Tasks::new(Stop::new()),
            now_ms: 0,
            reopen_at: None,
            shared,
        })
    }

    /// Trouble, calm, rest, and the last readings.
    pub(crate) fn run(&mut self) -> Result<()> {
        for client in 0..self.shared.scenario.clients {
            self.start_client(client);
        }
        let trouble = self.shared.scenario.trouble_ms;
        let until = trouble + self.shared.chance.below(trouble.max(1));
        while self.now_ms < until {
            let turn = self.shared.chance.below(self.shared.scenario.turn_ms) + 1;
            self.misfortune();
            self.turn(turn)?;
        }
        self.shared.state().faults.stop();
        self.shared.see(self.now_ms, Seen::Calm);
        self.tasks.stop().ask();
        if self.shared.scenario.has_orders || self.shared.scenario.has_lease {
            self.retire();
        }
        let has_rested = self.rest()?;
        self.shared.see(self.now_ms, Seen::Rest(has_rested));
        if has_rested {
            self.watch()?;
        }
        self.read()
    }

    fn start_client(&self, number: usize) {
        let (shared, clock) = (self.shared.clone(), self.outside.clock.clone());
        let stop = self.tasks.stop().clone();
        self.outside.enter(|| {
            self.tasks.start("client", Policy::Alone, async move {
                client::ask_on(&shared, &clock, number, &stop).await;
                Ok::<(), Infallible>(())
            });
        });
    }

    /// What happens to whole nodes.
    fn misfortune(&mut self) {
        let now = self.now_ms;
        for place in &mut self.nodes {
            let Some((machine, stop)) = &mut place.life else {
                continue;
            };
            if machine.paused_until.is_none() && self.shared.strikes(Fault::Pause) {
                let is_long = self.shared.chance.below(4) == 0;
                let bound = if is_long { 60_000 } else { 3_000 };
                machine.paused_until = Some(now + self.shared.chance.below(bound) + 1);
            }
            if !stop.is_asked() && self.shared.strikes(Fault::Restart) {
                stop.ask();
            }
        }
        if self.shared.strikes(Fault::Reopen) {
            self.shared.state().is_full = true;
        }
    }

    /// Lets time pass: every machine gets its turn, in an order that chance draws.
    fn turn(&mut self, turn_ms: u64) -> Result<()> {
        self.shared.clock.reach(self.now_ms);
        self.now_ms += turn_ms;
        let count = self.nodes.len();
        let first = usize::try_from(self.shared.chance.below(count as u64)).unwrap_or(0);
        for place in (first..count).chain(0..first) {
            self.turn_of(place)?;
        }
        self.outside.turn(self.now_ms);
        self.shared.clock.reach(self.now_ms);
        self.mend()
    }

    fn turn_of(&mut self, number: usize) -> Result<()> {
        let (now, is_troubled) = (self.now_ms, self.shared.is_troubled());
        let Some(place) = self.nodes.get_mut(number) else {
            return Ok(());
        };
        match &mut place.life {
            None if place.begins_at <= now => self.begin(number)?,
            None => {}
            Some((machine, _)) => {
                match machine.paused_until {
                    Some(until) if until > now && is_troubled => return Ok(()),
                    Some(_) => machine.wake_up(now),
                    None => {}
                }
                machine.turn(now);
                if machine.gate.is_dead() {
                    self.end(number)?;
                }
            }
        }
        Ok(())
    }

    /// Begins a node's next life.
    fn begin(&mut self, number: usize) -> Result<()> {
        let shared = &self.shared;
        let Some(place) = self.nodes.get_mut(number) else {
            return Ok(());
        };
        let gate = Arc::new(Gate::new(shared.number()));
        let machine = Machine::new(gate.clone(), self.now_ms, place.skew, shared.chance.next_u64())?;
        let wake = aloft_store::Wake::new();
        if let Some(known) = shared.state().wakes.get_mut(number) {
            *known = wake.clone();
        }
        let clock = machine.clock.clone();
        let own = NodeStore::new(shared.clone(), gate.clone(), clock.clone(), (number, wake));
        let own = Arc::new(own);
        let parts = Parts {
            shared: shared.clone(),
            gate,
            blobs: Arc::new(NodeBlobs {
                wire: own.wire.clone(),
                inner: shared.state().blobs.clone(),
            }),
            store: own.clone(),
            own,
            clock,
            chance: node::chance(shared),
        };
        let stop = Stop::new();
        let asked = stop.clone();
        machine.enter(|| {
            Tasks::new(Stop::new()).start("node", Policy::Alone, async move {
                node::live(parts, number, asked).await;
                Ok::<(), Infallible>(())
            });
        });
        place.life = Some((machine, stop));
        Ok(())
    }

    /// Ends a node's life. On one node the engine ends with it, and its tokens are gone.
    fn end(&mut self, number: usize) -> Result<()> {
        let Some(place) = self.nodes.get_mut(number) else {
            return Ok(());
        };
        let Some((machine, _)) = place.life.take() else {
            return Ok(());
        };
        let (life, is_clean) = (machine.gate.life, machine.gate.is_clean());
        let mut state = self.shared.state();
        if let Some(front) = state.fronts.get_mut(number) {
            *front = None;
        }
        state.answers.hang_up(number);
        drop(state);
        drop(machine);
        if place.begins_at != u64::MAX {
            place.begins_at = self.now_ms + self.shared.chance.below(5_000);
        }
        self.shared.see(self.now_ms, Seen::Died(life));
        if self.nodes.len() == 1 {
            self.reopen(is_clean)?;
        }
        Ok(())
    }

    /// Opens the engine anew after a crash, or after a clean end.
    fn reopen(&mut self, is_clean: bool) -> Result<()> {
        let mut state = self.shared.state();
        let opened = if is_clean && !state.is_full {
            state.memory.restart()?
        } else {
            state.memory.crash()?
        };
        state.memory = Arc::new(opened);
        state.is_full = false;
        self.reopen_at = None;
        Ok(())
    }

    /// Somebody frees space: one node is then started again, a database by itself.
    fn mend(&mut self) -> Result<()> {
        if !self.shared.state().is_full {
            return Ok(());
        }
        let now = self.now_ms;
        let bound = self.shared.chance.below(3_000);
        if *self.reopen_at.get_or_insert(now + bound) > now {
            return Ok(());
        }
        self.reopen_at = None;
        if self.nodes.len() > 1 {
            return self.reopen(false);
        }
        if let Some((machine, _)) = self.nodes.first().and_then(|place| place.life.as_ref()) {
            machine.gate.crash();
        }
        self.end(0)
    }

    /// Of two nodes that own the same rules one gives up: a node's rules have one owner once all know who it is. Two that go on would
    /// begin to read in turns for ever, each making the other begin anew.
    fn retire(&mut self) {
        for place in self.nodes.iter_mut().skip(1) {
            place.begins_at = u64::MAX;
            if let Some((_, stop)) = &place.life {
                stop.ask();
            }
        }
    }

    /// Lets time pass until nothing happens any more; answers whether that was within the bound.
    fn rest(&mut self) -> Result<bool> {
        let began = self.now_ms;
        loop {
            let last = self.shared.state().last_ms.max(began);
            if self.now_ms >= last + self.shared.scenario.rest_ms {
                return Ok(true);
            }
            if self.now_ms >= began + CALM_MS {
                return Ok(false);
            }
            // What just happened has consequences soon; later there are only long waits.
            let is_quiet = self.now_ms >= last + 5_000;
            if !is_quiet {
                let mut state = self.shared.state();
                state.busy_effects = state.effects;
            }
            self.turn(if is_quiet {
                CALM_TURN_MS
            } else {
                self.shared.scenario.turn_ms
            })?;
        }
    }

    /// Watches what the idle nodes do by themselves.
    fn watch(&mut self) -> Result<()> {
        let before = self.counts();
        let until = self.now_ms + WATCH_MS;
        while self.now_ms < until {
            self.turn(CALM_TURN_MS)?;
        }
        for (then, now) in before.into_iter().zip(self.counts()) {
            let idle = Seen::Idle {
                polls: WATCH_MS / 30_000,
                effects: now.0.saturating_sub(then.0),
                writes: now.1.saturating_sub(then.1),
                runs: now.2.saturating_sub(then.2),
            };
            self.shared.see(self.now_ms, idle);
        }
        Ok(())
    }

    /// Effects, writes and polls of tasks by node.
    fn counts(&self) -> Vec<(u64, u64, u64)> {
        let counts = self.shared.state().counts.clone();
        let lives = self.nodes.iter().map(|place| place.life.as_ref());
        let runs = lives.map(|life| life.map_or(0, |(machine, _)| machine.polls()));
        let both = counts.into_iter().zip(runs);
        both.map(|((effects, writes), runs)| (effects, writes, runs))
            .collect()
    }

    /// Clients read what became of it all.
    fn read(&mut self) -> Result<()> {
        let tasks = Tasks::new(Stop::new());
        let (shared, clock) = (self.shared.clone(), self.outside.clock.clone());
        self.outside.enter(|| {
            tasks.start("last readings", Policy::Alone, async move {
                client::read_all(&shared, &clock).await;
                Ok::<(), Infallible>(())
            });
        });
        let until = self.now_ms + READ_MS;
        while tasks.running() > 0 && self.now_ms < until {
            self.turn(self.shared.scenario.turn_ms)?;
        }
        Ok(())
    }
}
