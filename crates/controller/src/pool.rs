//! What a pool of instances does next: a pure state machine. Time comes in as an argument; what is to be done goes out as
//! [`Action`]s. No lock, no clock, no I/O, so that a test can drive it through every order of events.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

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
    /// A call came.
    Call(Ticket),
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
    Start,
    /// Run the call on the instance.
    Run(Ticket, InstanceId),
    /// Refuse the call.
    Refuse(Ticket, Refusal),
    /// Answer the call with the fault of the start that failed.
    Fail(Ticket),
    /// Stop the instance.
    Stop(InstanceId),
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many calls wait as may.
    QueueFull,
    /// It has waited as long as it may.
    WaitedTooLong,
    /// The platform is going down.
    Draining,
}

/// A pool of instances and the calls that wait for them.
#[derive(Debug)]
pub struct State {
    limits: Limits,
    /// Instances without a call, the one used last at the end.
    idle: Vec<(InstanceId, Instant)>,
    busy: usize,
    starting: usize,
    waiting: VecDeque<(Ticket, Instant)>,
    is_retired: bool,
    is_draining: bool,
}

impl State {
    /// An empty pool.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            idle: Vec::new(),
            busy: 0,
            starting: 0,
            waiting: VecDeque::new(),
            is_retired: false,
            is_draining: false,
        }
    }

    /// What is to be done about what happened.
    pub fn decide(&mut self, command: Command, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match command {
            Command::Call(ticket) => self.call(ticket, now, &mut actions),
            Command::Cancel(ticket) => self.waiting.retain(|(waiting, _)| *waiting != ticket),
            Command::Started(instance) => {
                self.starting = self.starting.saturating_sub(1);
                self.free(instance, now, &mut actions);
            }
            Command::StartFailed => {
                self.starting = self.starting.saturating_sub(1);
                // One failure answers one call, so that a function that cannot be loaded answers all of them in the end.
                if let Some((ticket, _)) = self.waiting.pop_front() {
                    actions.push(Action::Fail(ticket));
                }
            }
            Command::Finished(instance, is_reusable) => {
                self.busy = self.busy.saturating_sub(1);
                if is_reusable {
                    self.free(instance, now, &mut actions);
                } else {
                    actions.push(Action::Stop(instance));
                }
            }
            Command::Ended(instance) => self.idle.retain(|(idle, _)| *idle != instance),
            Command::Tick => self.tick(now, &mut actions),
            Command::Retire => self.retire(&mut actions),
            Command::Drain => {
                self.is_draining = true;
                self.retire(&mut actions);
            }
        }
        self.start_what_is_needed(&mut actions);
        actions
    }

    /// When [`Command::Tick`] is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let unload = self.idle.first().map(|(_, since)| *since + self.limits.idle);
        let give_up = self
            .waiting
            .get(self.starting)
            .map(|(_, since)| *since + self.limits.queue_wait);
        match (unload, give_up) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether nothing runs, starts or waits.
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.busy == 0 && self.starting == 0 && self.waiting.is_empty()
    }

    /// How many instances are idle, busy and starting, and how many calls wait.
    pub fn counts(&self) -> (usize, usize, usize, usize) {
        (self.idle.len(), self.busy, self.starting, self.waiting.len())
    }

    fn call(&mut self, ticket: Ticket, now: Instant, actions: &mut Vec<Action>) {
        if self.is_draining {
            actions.push(Action::Refuse(ticket, Refusal::Draining));
        } else if let Some((instance, _)) = self.idle.pop() {
            self.busy += 1;
            actions.push(Action::Run(ticket, instance));
        } else if self.waiting.len() >= self.limits.queue_length + self.free_places() {
            actions.push(Action::Refuse(ticket, Refusal::QueueFull));
        } else {
            self.waiting.push_back((ticket, now));
        }
    }

    /// Calls for which an instance starts or may start do not count against the queue: they wait for their own.
    fn free_places(&self) -> usize {
        self.limits.concurrency.saturating_sub(self.busy)
    }

    fn free(&mut self, instance: InstanceId, now: Instant, actions: &mut Vec<Action>) {
        if let Some((ticket, _)) = self.waiting.pop_front() {
            self.busy += 1;
            actions.push(Action::Run(ticket, instance));
        } else if self.is_retired {
            actions.push(Action::Stop(instance));
        } else {
            self.idle.push((instance, now));
        }
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // Those at the front wait for instances that start, which end in a bounded time: one way or the other they are
        // answered then, and not told that there was no place when in truth the code could not be loaded.
        while self
            .waiting
            .get(self.starting)
            .is_some_and(|(_, since)| *since + self.limits.queue_wait <= now)
        {
            if let Some((ticket, _)) = self.waiting.remove(self.starting) {
                actions.push(Action::Refuse(ticket, Refusal::WaitedTooLong));
            }
        }
        // The stack is ordered by the time of last use, so those to unload are at its beginning.
        let kept_from = self
            .idle
            .partition_point(|(_, since)| *since + self.limits.idle <= now);
        actions.extend(
            self.idle
                .drain(..kept_from)
                .map(|(instance, _)| Action::Stop(instance)),
        );
    }

    fn retire(&mut self, actions: &mut Vec<Action>) {
        self.is_retired = true;
        actions.extend(self.idle.drain(..).map(|(instance, _)| Action::Stop(instance)));
    }

    fn start_what_is_needed(&mut self, actions: &mut Vec<Action>) {
        let room = self
            .limits
            .concurrency
            .saturating_sub(self.busy + self.idle.len() + self.starting);
        let allowed = self.limits.starts.saturating_sub(self.starting).min(room);
        let needed = self.waiting.len().saturating_sub(self.starting).min(allowed);
        self.starting += needed;
        actions.extend(std::iter::repeat_n(Action::Start, needed));
    }
}

#[cfg(test)]
mod tests;
