//! What lies behind a pool's lock: the state machine, and the instances, callers and permits that its decisions are about.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aloft_call::{ColdStart, Fault};
use aloft_instance::{Initialization, Instance};
use aloft_observe::Found;
use tokio::sync::oneshot;

use crate::gate::Permit;
use crate::memory::{Held, Memory};
use crate::pool::{Action, InstanceId, Limits, Refusal, State, Ticket};
use crate::run::platform;

/// The part of a pool that changes.
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) instances: BTreeMap<InstanceId, Slot>,
    /// Those that were stopped and are not gone yet, which have their memory still.
    pub(crate) stopped: BTreeMap<InstanceId, Arc<dyn Instance>>,
    pub(crate) waiters: BTreeMap<Ticket, oneshot::Sender<Decision>>,
    /// One for each call that runs or is admitted.
    pub(crate) permits: VecDeque<Permit>,
    pub(crate) tickets: u64,
    pub(crate) numbers: u64,
    /// For when the timer is set; it never needs to be set later than this.
    pub(crate) armed: Option<Instant>,
    pub(crate) has_timer: bool,
    /// Why the last start failed, if it did.
    pub(crate) fault: Option<String>,
}

/// One of its instances.
pub(crate) struct Slot {
    pub(crate) instance: Arc<dyn Instance>,
    pub(crate) born: Instant,
    /// How long it loaded, until it is first decided about: the call that gets it then has waited for that, a later one not.
    pub(crate) init: Option<ColdStart>,
    pub(crate) calls: u64,
    /// How many run on it.
    pub(crate) running: usize,
    /// It ended while a call ran on it, and must not get another.
    pub(crate) has_ended: bool,
}

/// What the pool has decided about a call.
pub(crate) enum Decision {
    Run {
        id: InstanceId,
        instance: Arc<dyn Instance>,
        cold: Option<ColdStart>,
    },
    Refuse(Refusal),
    Fail {
        fault: Fault,
        init: Duration,
    },
    /// Its caller waits only so long, and that is over.
    Late {
        patience: Duration,
    },
}

/// What is to be done once the lock is free.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) starts: Vec<Initialization>,
    pub(crate) stops: Vec<Arc<dyn Instance>>,
    pub(crate) released: Vec<Permit>,
    pub(crate) mine: Option<Decision>,
}

/// Whether the timer has to look again.
#[derive(Clone, Copy)]
pub(crate) enum Rearm {
    No,
    Notify,
    Begin,
}

impl Core {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            state: State::new(limits),
            instances: BTreeMap::new(),
            stopped: BTreeMap::new(),
            waiters: BTreeMap::new(),
            permits: VecDeque::new(),
            tickets: 0,
            numbers: 0,
            armed: None,
            has_timer: false,
            fault: None,
        }
    }

    /// Carries out what needs the lock, and returns the rest.
    pub(crate) fn perform(
        &mut self,
        actions: Vec<Action>,
        mine: Option<Ticket>,
        failed: Option<(Fault, Duration)>,
        effects: &mut Effects,
    ) {
        for action in actions {
            let (ticket, decision) = match action {
                Action::Start(initialization) => {
                    effects.starts.push(initialization);
                    continue;
                }
                Action::Stop(id) => {
                    if let Some(Slot {
                        instance, has_ended, ..
                    }) = self.instances.remove(&id)
                    {
                        if !has_ended {
                            self.stopped.insert(id, instance.clone());
                        }
                        effects.stops.push(instance);
                    }
                    continue;
                }
                Action::Release => {
                    // The oldest first: those of a gate that the function has left come back soon.
                    effects.released.extend(self.permits.pop_front());
                    continue;
                }
                Action::Run(ticket, id) => (ticket, self.run(id)),
                Action::Refuse(ticket, refusal) => (ticket, Some(Decision::Refuse(refusal))),
                Action::Fail(ticket) => {
                    let fail = |(fault, init)| Decision::Fail { fault, init };
                    (ticket, failed.clone().map(fail))
                }
            };
            // The state machine names only what the pool holds; were it wrong, the call must still be answered.
            let decision = decision.unwrap_or_else(|| Decision::Fail {
                fault: platform("its pool lost the instance"),
                init: Duration::ZERO,
            });
            if mine == Some(ticket) {
                effects.mine = Some(decision);
            } else if let Some(waiter) = self.waiters.remove(&ticket) {
                // A caller that goes away in this moment gives the instance back: see `Waiting`.
                let _ = waiter.send(decision);
            }
        }
    }

    /// What its instances hold of the node's memory, when each that runs is expected to use so much.
    pub(crate) fn held(&self, expected: u64) -> Held {
        let idle_of = |instance: &Arc<dyn Instance>| Memory::idle(&**instance);
        let mut held = Held {
            stopped: self.stopped.values().map(idle_of).sum(),
            ..Held::default()
        };
        let can_go = self.state.unloadable();
        let can_go: BTreeMap<_, _> = can_go.iter().copied().collect();
        let (mut counts, mut kept) = (Vec::new(), self.state.kept());
        for (id, slot) in &self.instances {
            let idle = idle_of(&slot.instance);
            match can_go.get(id) {
                Some(since) => held.idle.push((*since, idle)),
                None if slot.running == 0 => counts.push(idle),
                None if slot.has_ended || self.state.is_leaving(*id) => held.leaving += expected,
                None => counts.push(expected),
            }
        }
        held.fixed = counts.iter().sum();
        // The least of them: which ones will be kept is not known.
        counts.sort_unstable();
        kept = kept.min(counts.len());
        held.kept = counts.iter().take(kept).sum();
        held
    }

    /// What a call that comes now finds.
    pub(crate) fn found(&self) -> Found {
        let (_, busy, starting, waiting) = self.state.counts();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Found {
            loaded: count(self.instances.len()),
            busy: count(busy),
            starting: count(starting),
            waiting: count(waiting),
            is_full: false,
        }
    }

    fn run(&mut self, id: InstanceId) -> Option<Decision> {
        let slot = self.instances.get_mut(&id)?;
        let cold = slot.init.take();
        slot.calls += 1;
        slot.running += 1;
        Some(Decision::Run {
            id,
            instance: slot.instance.clone(),
            cold,
        })
    }

    pub(crate) fn must_rearm(&mut self) -> Rearm {
        let Some(next) = self.state.next_deadline() else {
            return Rearm::No;
        };
        if !self.has_timer {
            self.has_timer = true;
            self.armed = Some(next);
            return Rearm::Begin;
        }
        // The timer may wake too early, which costs one look, but never too late.
        if self.armed.is_some_and(|armed| armed <= next) {
            return Rearm::No;
        }
        self.armed = Some(next);
        Rearm::Notify
    }
}
