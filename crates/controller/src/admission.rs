//! How a pool's calls are admitted: by permits of the gate that its function's calls share, or of one of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use aloft_call::Fault;
use tokio::sync::oneshot;

use crate::controller::Inner;
use crate::core::{Core, Decision, Effects, Rearm};
use crate::gate::{Claim, Gate, Permit};
use crate::pool::{Command, Refusal, Ticket};
use crate::record::Origin;
use crate::run::{Pool, busy_by};

/// A pool's place in the line for permits.
pub(crate) struct Place {
    pool: Weak<Pool>,
    inner: Weak<Inner>,
    /// How deep the next call lies that wants one, and 0 when none does: one more than the depth.
    wanted: AtomicUsize,
    held: AtomicUsize,
}

impl Place {
    pub(crate) fn new(pool: &Weak<Pool>, inner: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            pool: pool.clone(),
            inner: Arc::downgrade(inner),
            wanted: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
        })
    }
}

impl Claim for Place {
    fn wanted(&self) -> Option<u8> {
        let wanted = self.wanted.load(Ordering::SeqCst).checked_sub(1)?;
        u8::try_from(wanted).ok()
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    fn admit(&self, permit: Permit) -> Option<Permit> {
        match (self.pool.upgrade(), self.inner.upgrade()) {
            (Some(pool), Some(inner)) => pool.admitted(&inner, permit),
            _ => Some(permit),
        }
    }
}

impl Pool {
    /// Lets the pool decide about a new call: at once, or later through the receiver. Says in its origin what it has found.
    pub(crate) fn call(
        self: &Arc<Self>,
        inner: &Arc<Inner>,
        origin: &mut Origin,
    ) -> (Ticket, Result<Decision, oneshot::Receiver<Decision>>) {
        let gate = inner.slots.of(&self.version.function);
        if gate.limit() == 0 {
            origin.found.is_full = true;
            return (Ticket(0), Ok(Decision::Refuse(Refusal::NotAdmitted)));
        }
        let now = inner.clock.instant();
        let mut core = self.lock();
        core.tickets += 1;
        let ticket = Ticket(core.tickets);
        origin.found = core.found();
        let actions = core.state.decide(Command::Call(ticket, origin.depth), now);
        let mut effects = Effects::default();
        core.perform(actions, Some(ticket), None, &mut effects);
        let lines_up = self.admit(&mut core, &gate, (Some(ticket), now), &mut effects);
        if let Some(decision) = effects.mine.take() {
            drop(core);
            // Mostly there is nothing to be done: another call that waited may have been admitted with it.
            self.carry_out(inner, effects, Rearm::No);
            return (ticket, Ok(decision));
        }
        origin.found.is_full = lines_up;
        let (sender, receiver) = oneshot::channel();
        core.waiters.insert(ticket, sender);
        let must_rearm = core.must_rearm();
        drop(core);
        self.carry_out(inner, effects, must_rearm);
        if lines_up {
            gate.line_up(self.claim());
        }
        (ticket, Err(receiver))
    }

    /// Admits as many of the waiting calls as there are permits for, and says whether more want one.
    fn admit(
        &self,
        core: &mut Core,
        gate: &Arc<Gate>,
        (mine, now): (Option<Ticket>, Instant),
        effects: &mut Effects,
    ) -> bool {
        while let Some(depth) = core.state.wanted() {
            let Some(permit) = gate.take(depth) else {
                self.tell(core);
                return true;
            };
            core.permits.push_back(permit);
            let actions = core.state.decide(Command::Admit, now);
            core.perform(actions, mine, None, effects);
        }
        self.tell(core);
        false
    }

    /// Takes a permit for a call that has lined up, or gives it back if none wants it any more.
    fn admitted(self: &Arc<Self>, inner: &Arc<Inner>, permit: Permit) -> Option<Permit> {
        let mut core = self.lock();
        if core.state.wanted().is_none() {
            self.tell(&core);
            return Some(permit);
        }
        core.permits.push_back(permit);
        let actions = core.state.decide(Command::Admit, inner.clock.instant());
        let mut effects = Effects::default();
        core.perform(actions, None, None, &mut effects);
        self.tell(&core);
        let must_rearm = core.must_rearm();
        drop(core);
        self.carry_out(inner, effects, must_rearm);
        None
    }

    /// Says at its place in the line what it wants now.
    pub(crate) fn tell(&self, core: &Core) {
        let wanted = core.state.wanted().map_or(0, |depth| usize::from(depth) + 1);
        self.place.wanted.store(wanted, Ordering::SeqCst);
        let held = core.permits.len();
        let before = self.place.held.swap(held, Ordering::SeqCst);
        // A function's versions have one gauge.
        let difference = i64::try_from(held).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX);
        self.metrics.concurrency.inc_by(difference);
    }

    pub(crate) fn claim(&self) -> Weak<dyn Claim> {
        let place: Weak<Place> = Arc::downgrade(&self.place);
        place
    }

    /// What a call is told that got no permit.
    pub(crate) fn not_admitted(&self, inner: &Inner, waited: &str) -> Fault {
        let (bound, why) = inner.slots.refusal(&self.version.function, waited);
        busy_by(bound, why)
    }
}
