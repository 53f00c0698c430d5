//! How many calls run at once: a bound that several pools share, and who is next when it is full.
//!
//! A pool takes a [`Permit`] for each call that it runs, and none for calls that only wait for their turn, so that a function's queue
//! keeps nobody else out. When the gate is full the pool lines up; a permit that comes back goes to the pool that holds the fewest, so
//! that a function with a thousand calls does not starve the one with a single call.
//!
//! *Calls from within a call.* One that waits for another holds its permit meanwhile: at a full gate the two could wait for each other
//! for ever. So a call that lies `d` deep in its chain may go beyond the bound by `d` times [`Gate::EXTRA`]. Were all permits held by
//! calls that wait, let `d` be the greatest depth among them: at most `limit + d * EXTRA` are held, so the call that the deepest waits for,
//! at `d + 1`, gets one.
//!
//! Taking and giving back is one atomic step each while nobody waits; only who finds the gate full takes its lock.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Somebody who lines up.
pub(crate) trait Claim: Send + Sync {
    /// How deep the next call lies that wants a permit; nothing when none does any more.
    fn wanted(&self) -> Option<u8>;

    /// How many permits it holds.
    fn held(&self) -> usize;

    /// Takes a permit, or gives it back when nothing wants it any more.
    fn admit(&self, permit: Permit) -> Option<Permit>;
}

/// A bound.
pub(crate) struct Gate {
    limit: AtomicUsize,
    used: AtomicUsize,
    /// How many line up.
    lined_up: AtomicUsize,
    line: Mutex<Vec<Weak<dyn Claim>>>,
}

/// That a call may run. Dropping it lets the next one.
pub(crate) struct Permit(Option<Arc<Gate>>);

impl Gate {
    /// Permits beyond the bound for each call that lies between a call and the beginning of its chain.
    pub(crate) const EXTRA: usize = 4;

    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            lined_up: AtomicUsize::new(0),
            line: Mutex::default(),
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.load(SeqCst)
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(SeqCst)
    }

    /// Sets the bound. What runs beyond a smaller one comes to its end.
    pub(crate) fn set_limit(self: &Arc<Self>, limit: usize) {
        self.limit.store(limit, SeqCst);
        self.hand_out();
    }

    /// A permit for a call that lies so deep, if there is one and nobody lines up for it.
    pub(crate) fn take(self: &Arc<Self>, depth: u8) -> Option<Permit> {
        // A deeper one passes those who line up: they may wait for what it does.
        if self.lined_up.load(SeqCst) > 0 && depth == 0 {
            return None;
        }
        self.claim(depth)
    }

    fn claim(self: &Arc<Self>, depth: u8) -> Option<Permit> {
        let limit = match self.limit() {
            // Nothing is to run at all.
            0 => return None,
            limit => limit.saturating_add(usize::from(depth) * Self::EXTRA),
        };
        let taken = self
            .used
            .fetch_update(SeqCst, SeqCst, |used| (used < limit).then(|| used + 1));
        taken.is_ok().then(|| Permit(Some(self.clone())))
    }

    /// Lines up, for one or several permits. Whoever has got all that it wants leaves the line.
    pub(crate) fn line_up(self: &Arc<Self>, claim: Weak<dyn Claim>) {
        {
            let mut line = self.line();
            if !line.iter().any(|other| other.ptr_eq(&claim)) {
                line.push(claim);
            }
            self.lined_up.store(line.len(), SeqCst);
        }
        // What came back before this was seen.
        self.hand_out();
    }

    /// Gives what is free to those who line up. Called without any lock of theirs.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let next = {
                let mut line = self.line();
                line.retain(|claim| claim.upgrade().is_some_and(|claim| claim.wanted().is_some()));
                self.lined_up.store(line.len(), SeqCst);
                let claims = line.iter().filter_map(Weak::upgrade);
                claims
                    .filter_map(|claim| Some((claim.wanted()?, claim)))
                    // The deepest first; of those the one that holds the fewest, and of these who came first.
                    .min_by_key(|(depth, claim)| (std::cmp::Reverse(*depth), claim.held()))
            };
            let Some((depth, claim)) = next else { return };
            let Some(permit) = self.claim(depth) else { return };
            if let Some(mut unused) = claim.admit(permit) {
                // It was for this depth, and the next one who lines up may have another.
                unused.0 = None;
                self.used.fetch_sub(1, SeqCst);
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Vec<Weak<dyn Claim>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Whether another call that lies so deep may have it, without a way over this gate: it is one of its own, nobody lines up, and the
    /// bound is kept.
    pub(crate) fn can_pass_to(&self, wanted: &Arc<Gate>, depth: u8) -> bool {
        let Some(gate) = self.0.as_ref().filter(|gate| Arc::ptr_eq(gate, wanted)) else {
            return false;
        };
        let limit = gate.limit().saturating_add(usize::from(depth) * Gate::EXTRA);
        gate.lined_up.load(SeqCst) == 0 && gate.used() <= limit && gate.limit() > 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        gate.used.fetch_sub(1, SeqCst);
        if gate.lined_up.load(SeqCst) > 0 {
            gate.hand_out();
        }
    }
}

#[cfg(test)]
mod tests;
