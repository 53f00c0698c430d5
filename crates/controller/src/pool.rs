//! What a pool of instances does next: a pure state machine. Time comes in as an argument; what is to be done goes out as
//! [`Action`]s. No lock, no clock, no I/O, so that a test can drive it through every order of events.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aloft_base::Backoff;
use aloft_instance::Initialization;

mod serving;

use serving::{Left, Serving};

/// A call that the pool has to answer for. Unique within the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// An instance of the pool. Unique within the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u64);

/// The bounds that a pool keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instances at most, those that start among them.
    pub concurrency: usize,
    /// Calls that one instance takes at once.
    pub calls: usize,
    /// Instances that start at the same time, at most.
    pub starts: usize,
    /// Calls that wait, at most.
    pub queue_length: usize,
    /// How long a call waits, at most; without the time in which an instance starts for it.
    pub queue_wait: Duration,
    /// How long an instance is kept without a call.
    pub idle: Duration,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A call came. It lies so deep in its chain.
    Call(Ticket, u8),
    /// One of the waiting calls may run as soon as it has an instance: the first that may not yet. Asked for by [`State::wanted`].
    Admit,
    /// The caller of a waiting call went away.
    Cancel(Ticket),
    /// An instance has loaded its code.
    Started(InstanceId),
    /// An instance could not be started.
    StartFailed,
    /// A call ended; the instance can take another, or not.
    Finished(InstanceId, bool),
    /// An instance ended by itself while it had no call.
    Ended(InstanceId),
    /// So many instances are to be loaded, whether calls come or not.
    Keep(usize),
    /// The instance that has been idle longest is to be unloaded, because others need its memory.
    Unload,
    /// The time that [`State::next_deadline`] told has come.
    Tick,
    /// Another version has replaced this one: what waits still runs, then everything is stopped.
    Retire,
    /// The platform is going down: as retired, and new calls are refused.
    Drain,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start an instance.
    Start(Initialization),
    /// Run the call on the instance.
    Run(Ticket, InstanceId),
    /// Refuse the call.
    Refuse(Ticket, Refusal),
    /// Answer the call with the fault of the start that failed.
    Fail(Ticket),
    /// Stop the instance.
    Stop(InstanceId),
    /// Give back what one of the calls was admitted by.
    Release,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many calls wait for an instance as may.
    QueueFull,
    /// As many calls wait to be admitted as may.
    LineFull,
    /// It has waited as long as it may, for an instance.
    WaitedTooLong,
    /// It has waited as long as it may, to be admitted.
    NotAdmitted,
    /// The platform is going down.
    Draining,
}

/// The pauses between tries to load an instance that nobody waits for.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(1),
    ceiling: Duration::from_secs(60),
};

/// A call that waits.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    ticket: Ticket,
    since: Instant,
    depth: u8,
}

/// A pool of instances and the calls that wait for them.
///
/// A call runs when it is *admitted*, which is somebody else's to say ([`Command::Admit`]), and has an instance.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    /// Instances without a call, the one used last at the end.
    idle: Vec<(InstanceId, Instant)>,
    serving: Serving,
    starting: usize,
    /// The deeper ones first: whoever waits for one of those may hold up the others.
    waiting: VecDeque<Waiter>,
    /// How many of them are admitted, from the front on.
    admitted: usize,
    /// Instances that are kept loaded.
    kept: usize,
    /// How often in a row one that nobody waited for could not be started, and when the next is tried.
    failures: u32,
    retry_at: Option<Instant>,
    is_retired: bool,
    is_draining: bool,
}

impl State {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            idle: Vec::new(),
            serving: Serving::new(limits.calls),
            starting: 0,
            waiting: VecDeque::new(),
            admitted: 0,
            kept: 0,
            failures: 0,
            retry_at: None,
            is_retired: false,
            is_draining: false,
        }
    }

    /// What is to be done about what happened.
    pub fn decide(&mut self, command: Command, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match command {
            Command::Call(ticket, depth) => self.call(ticket, depth, now, &mut actions),
            Command::Admit => {
                self.admitted = (self.admitted + 1).min(self.waiting.len());
                self.run_what_is_admitted(&mut actions);
            }
            Command::Cancel(ticket) => {
                if let Some(index) = self.waiting.iter().position(|waiter| waiter.ticket == ticket) {
                    self.take_out(index, &mut actions);
                }
            }
            Command::Started(instance) => {
                self.starting = self.starting.saturating_sub(1);
                (self.failures, self.retry_at) = (0, None);
                self.idle.push((instance, now));
                self.run_what_is_admitted(&mut actions);
            }
            Command::StartFailed => {
                self.starting = self.starting.saturating_sub(1);
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(now + RETRY.bound(self.failures));
                // One failure answers one call, so that a function that cannot be loaded answers all of them in the end.
                if let Some(waiter) = self.take_out(0, &mut actions) {
                    actions.push(Action::Fail(waiter.ticket));
                }
            }
            Command::Finished(instance, is_reusable) => {
                actions.push(Action::Release);
                match self.serving.end(instance, is_reusable) {
                    Left::Idle => self.idle.push((instance, now)),
                    Left::Spent => actions.push(Action::Stop(instance)),
                    Left::Serves => {}
                }
                self.run_what_is_admitted(&mut actions);
            }
            Command::Ended(instance) => {
                self.idle.retain(|(idle, _)| *idle != instance);
                self.serving.leave(instance);
            }
            Command::Keep(instances) if instances == self.kept => {}
            Command::Keep(instances) => (self.kept, self.failures, self.retry_at) = (instances, 0, None),
            Command::Unload if self.idle_since().is_some() => {
                actions.push(Action::Stop(self.idle.remove(0).0));
            }
            Command::Unload => {}
            Command::Tick => self.tick(now, &mut actions),
            Command::Retire => (self.is_retired, self.kept) = (true, 0),
            Command::Drain => {
                self.is_draining = true;
                (self.is_retired, self.kept) = (true, 0);
            }
        }
        self.start_what_is_needed(now, &mut actions);
        if self.is_retired && self.waiting.is_empty() {
            actions.extend(self.idle.drain(..).map(|(instance, _)| Action::Stop(instance)));
        }
        actions
    }

    /// When [`Command::Tick`] is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let unload = self.idle_since().map(|since| since + self.limits.idle);
        // What starts, or has no place, is looked at when that ends.
        let can_start = self.starting < self.limits.starts && self.loaded() < self.limits.concurrency;
        let retry = self.retry_at.filter(|_| can_start && self.missing() > 0);
        let give_up = self
            .waiting
            .iter()
            .skip(self.expected())
            .map(|waiter| waiter.since + self.limits.queue_wait)
            .min();
        [unload, give_up, retry].into_iter().flatten().min()
    }

    /// Whether nothing runs, starts or waits.
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.serving.calls() == 0 && self.starting == 0 && self.waiting.is_empty()
    }

    /// How many instances are idle, have calls and start, and how many calls wait.
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        let serving = self.serving.instances();
        (self.idle.len(), serving, self.starting, self.waiting.len())
    }

    /// Since when the instance has been idle that was used longest ago; nothing when all are to be kept.
    pub fn idle_since(&self) -> Option<Instant> {
        self.unloadable().first().map(|(_, since)| *since)
    }

    /// The idle instances that need not be kept, and since when they are idle, the longest first.
    pub fn unloadable(&self) -> &[(InstanceId, Instant)] {
        let more = (self.staying() + self.starting).saturating_sub(self.kept);
        self.idle.get(..more.min(self.idle.len())).unwrap_or_default()
    }

    /// How many are to be kept loaded.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Instances that are loaded or start.
    fn loaded(&self) -> usize {
        self.idle.len() + self.serving.instances() + self.starting
    }

    /// Instances that are loaded and get calls.
    pub fn staying(&self) -> usize {
        self.idle.len() + self.serving.instances() - self.serving.leaving()
    }

    /// Whether an instance has calls and gets no more.
    pub fn is_leaving(&self, instance: InstanceId) -> bool {
        self.serving.is_leaving(instance)
    }

    /// Instances that are to be loaded without a call.
    fn missing(&self) -> usize {
        self.kept.saturating_sub(self.staying() + self.starting)
    }

    /// How deep the next call lies that wants to be admitted, if one does: as many calls are as the instances can take that there can be.
    pub fn wanted(&self) -> Option<u8> {
        let next = self.waiting.get(self.admitted).filter(|_| self.has_place());
        next.map(|waiter| waiter.depth)
    }

    fn has_place(&self) -> bool {
        let staying = self.limits.concurrency.saturating_sub(self.serving.leaving());
        let places = staying.saturating_mul(self.serving.capacity());
        self.serving.calls_that_stay() + self.admitted < places
    }

    /// Calls that the instances will take that start.
    fn expected(&self) -> usize {
        self.starting.saturating_mul(self.serving.capacity())
    }

    fn call(&mut self, ticket: Ticket, depth: u8, now: Instant, actions: &mut Vec<Action>) {
        if self.is_draining {
            actions.push(Action::Refuse(ticket, Refusal::Draining));
        } else if let Some(refusal) = self.is_full(depth) {
            actions.push(Action::Refuse(ticket, refusal));
        } else {
            let behind = self.waiting.iter().rev();
            let behind = behind.take_while(|waiter| waiter.depth < depth).count();
            // Who is admitted stays it.
            let at = (self.waiting.len() - behind).max(self.admitted);
            let waiter = Waiter {
                ticket,
                since: now,
                depth,
            };
            self.waiting.insert(at, waiter);
        }
    }

    /// Takes a call out of the queue, and gives back what it was admitted by.
    fn take_out(&mut self, index: usize, actions: &mut Vec<Action>) -> Option<Waiter> {
        let waiter = self.waiting.remove(index)?;
        if index < self.admitted {
            self.admitted -= 1;
            actions.push(Action::Release);
        }
        Some(waiter)
    }

    /// Runs the calls that are admitted, as far as there are instances: on one that has others and a place left, else on the one that was
    /// used last.
    fn run_what_is_admitted(&mut self, actions: &mut Vec<Action>) {
        while self.admitted > 0 {
            let place = self.serving.place();
            let Some(instance) = place.or_else(|| Some(self.idle.pop()?.0)) else {
                return;
            };
            self.admitted -= 1;
            if let Some(waiter) = self.waiting.pop_front() {
                self.serving.begin(instance);
                actions.push(Action::Run(waiter.ticket, instance));
            }
        }
    }

    /// Whether as many calls wait as may. Those that are admitted do not count against the queue: an instance starts for them.
    fn is_full(&self, depth: u8) -> Option<Refusal> {
        let (waiting, most) = (self.waiting.len() - self.admitted, self.limits.queue_length);
        if !self.has_place() {
            (waiting >= most).then_some(Refusal::QueueFull)
        } else {
            // Whether it is admitted is known when it waits. Those that nobody waits for must not keep out one that somebody does.
            let most = most.max(1).saturating_mul(if depth > 0 { 2 } else { 1 });
            (waiting >= most).then_some(Refusal::LineFull)
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // Those at the front wait for instances that start, which end in a bounded time: one way or the other they are
        // answered then, and not told that there was no place when in truth the code could not be loaded.
        let mut index = self.expected();
        while let Some(waiter) = self.waiting.get(index) {
            if waiter.since + self.limits.queue_wait > now {
                index += 1;
                continue;
            }
            let refusal = if index < self.admitted || self.wanted().is_none() {
                Refusal::WaitedTooLong
            } else {
                Refusal::NotAdmitted
            };
            if let Some(waiter) = self.take_out(index, actions) {
                actions.push(Action::Refuse(waiter.ticket, refusal));
            }
        }
        // The stack is ordered by the time of last use, so those to unload are at its beginning.
        let kept_from = self
            .idle
            .partition_point(|(_, since)| *since + self.limits.idle <= now)
            .min(self.unloadable().len());
        actions.extend(
            self.idle
                .drain(..kept_from)
                .map(|(instance, _)| Action::Stop(instance)),
        );
    }

    fn start_what_is_needed(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let room = self.limits.concurrency.saturating_sub(self.loaded());
        let allowed = self.limits.starts.saturating_sub(self.starting).min(room);
        let for_calls = self.admitted.div_ceil(self.serving.capacity());
        let for_calls = for_calls.saturating_sub(self.starting);
        let is_due = self.retry_at.is_none_or(|at| at <= now);
        let to_be_kept = if is_due { self.missing() } else { 0 };
        let needed = for_calls.max(to_be_kept).min(allowed);
        self.starting += needed;
        let kept = to_be_kept.min(needed);
        for (initialization, count) in [
            (Initialization::Provisioned, kept),
            (Initialization::OnDemand, needed - kept),
        ] {
            actions.extend(std::iter::repeat_n(Action::Start(initialization), count));
        }
    }
}

#[cfg(test)]
mod tests;
