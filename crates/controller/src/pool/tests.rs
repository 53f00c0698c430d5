//! The pool's decisions, one by one and in every random order.

use std::collections::BTreeSet;

use aloft_base::{Clock, SystemClock};
use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    concurrency: 2,
    starts: 2,
    queue_length: 2,
    queue_wait: Duration::from_secs(10),
    idle: Duration::from_secs(300),
};

fn at(seconds: u64) -> Instant {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGIN.get_or_init(|| SystemClock.instant()) + Duration::from_secs(seconds)
}

#[test]
fn a_cold_call_starts_an_instance_and_a_warm_one_takes_it() {
    let mut pool = State::new(LIMITS);
    assert_eq!(pool.decide(Command::Call(Ticket(1)), at(0)), [Action::Start]);
    assert_eq!(
        pool.decide(Command::Started(InstanceId(1)), at(1)),
        [Action::Run(Ticket(1), InstanceId(1))]
    );
    assert_eq!(pool.decide(Command::Finished(InstanceId(1), true), at(2)), []);
    assert_eq!(
        pool.decide(Command::Call(Ticket(2)), at(3)),
        [Action::Run(Ticket(2), InstanceId(1))]
    );
}

#[test]
fn a_burst_starts_in_parallel_and_what_is_free_first_is_taken() {
    let mut pool = State::new(LIMITS);
    assert_eq!(pool.decide(Command::Call(Ticket(1)), at(0)), [Action::Start]);
    assert_eq!(pool.decide(Command::Call(Ticket(2)), at(0)), [Action::Start]);
    assert_eq!(
        pool.decide(Command::Call(Ticket(3)), at(0)),
        [],
        "concurrency is two"
    );
    assert_eq!(
        pool.decide(Command::Started(InstanceId(1)), at(1)),
        [Action::Run(Ticket(1), InstanceId(1))]
    );
    let freed = pool.decide(Command::Finished(InstanceId(1), true), at(1));
    assert_eq!(
        freed,
        [Action::Run(Ticket(2), InstanceId(1))],
        "the second does not wait for its own start"
    );
    assert_eq!(
        pool.decide(Command::Started(InstanceId(2)), at(2)),
        [Action::Run(Ticket(3), InstanceId(2))]
    );
}

#[test]
fn the_queue_is_bounded_in_length_and_time() {
    let mut pool = State::new(LIMITS);
    for ticket in 1..=4 {
        pool.decide(Command::Call(Ticket(ticket)), at(0));
    }
    let refused = pool.decide(Command::Call(Ticket(5)), at(0));
    assert_eq!(refused, [Action::Refuse(Ticket(5), Refusal::QueueFull)]);
    assert_eq!(pool.next_deadline(), Some(at(10)));
    assert_eq!(
        pool.decide(Command::Tick, at(5)),
        [],
        "nobody has waited long enough"
    );
    pool.decide(Command::Started(InstanceId(1)), at(9));
    let given_up = pool.decide(Command::Tick, at(10));
    let expected: Vec<Action> = (3..=4)
        .map(|t| Action::Refuse(Ticket(t), Refusal::WaitedTooLong))
        .collect();
    assert_eq!(
        given_up, expected,
        "the second has an instance that starts for it"
    );
    assert_eq!(
        pool.decide(Command::Started(InstanceId(2)), at(12)),
        [Action::Run(Ticket(2), InstanceId(2))]
    );
}

/// What loads as long as a call may wait is told as what it is, and who came behind gets a try of its own.
#[test]
fn who_waits_for_a_start_is_told_how_it_ends() {
    let mut pool = State::new(Limits {
        concurrency: 1,
        starts: 1,
        ..LIMITS
    });
    assert_eq!(pool.decide(Command::Call(Ticket(1)), at(0)), [Action::Start]);
    assert_eq!(pool.next_deadline(), None, "nothing is due while it loads");
    assert_eq!(pool.decide(Command::Call(Ticket(2)), at(1)), []);
    assert_eq!(pool.decide(Command::Call(Ticket(3)), at(2)), []);
    assert_eq!(
        pool.next_deadline(),
        Some(at(11)),
        "the second has no instance yet"
    );
    assert_eq!(pool.decide(Command::Tick, at(10)), []);
    assert_eq!(
        pool.decide(Command::StartFailed, at(10)),
        [Action::Fail(Ticket(1)), Action::Start]
    );
    assert_eq!(pool.next_deadline(), Some(at(12)), "that of the third");
    assert_eq!(
        pool.decide(Command::Tick, at(12)),
        [Action::Refuse(Ticket(3), Refusal::WaitedTooLong)]
    );
    assert_eq!(
        pool.decide(Command::StartFailed, at(20)),
        [Action::Fail(Ticket(2))]
    );
    assert!(pool.is_empty());
}

#[test]
fn one_failed_start_answers_one_call_and_the_rest_get_their_own_try() {
    let mut pool = State::new(Limits { starts: 1, ..LIMITS });
    assert_eq!(pool.decide(Command::Call(Ticket(1)), at(0)), [Action::Start]);
    assert_eq!(pool.decide(Command::Call(Ticket(2)), at(0)), []);
    assert_eq!(
        pool.decide(Command::StartFailed, at(1)),
        [Action::Fail(Ticket(1)), Action::Start]
    );
    assert_eq!(
        pool.decide(Command::StartFailed, at(2)),
        [Action::Fail(Ticket(2))]
    );
    assert!(pool.is_empty());
}

#[test]
fn idle_instances_are_unloaded_the_longest_unused_first() {
    let mut pool = State::new(LIMITS);
    for n in 1..=2 {
        pool.decide(Command::Call(Ticket(n)), at(0));
        pool.decide(Command::Started(InstanceId(n)), at(0));
    }
    pool.decide(Command::Finished(InstanceId(1), true), at(10));
    pool.decide(Command::Finished(InstanceId(2), true), at(20));
    assert_eq!(pool.next_deadline(), Some(at(310)));
    assert_eq!(pool.decide(Command::Tick, at(310)), [Action::Stop(InstanceId(1))]);
    assert_eq!(pool.decide(Command::Tick, at(320)), [Action::Stop(InstanceId(2))]);
    assert_eq!(pool.next_deadline(), None, "an empty pool needs no timer");
}

#[test]
fn a_retired_pool_finishes_what_waits_and_a_draining_one_takes_nothing_new() {
    let mut pool = State::new(Limits {
        concurrency: 1,
        ..LIMITS
    });
    pool.decide(Command::Call(Ticket(1)), at(0));
    pool.decide(Command::Call(Ticket(2)), at(0));
    pool.decide(Command::Started(InstanceId(1)), at(0));
    assert_eq!(pool.decide(Command::Drain, at(1)), []);
    let refused = pool.decide(Command::Call(Ticket(3)), at(1));
    assert_eq!(refused, [Action::Refuse(Ticket(3), Refusal::Draining)]);
    let next = pool.decide(Command::Finished(InstanceId(1), true), at(2));
    assert_eq!(next, [Action::Run(Ticket(2), InstanceId(1))]);
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(1), true), at(3)),
        [Action::Stop(InstanceId(1))]
    );
    assert!(pool.is_empty());
}

/// The world around a pool: carries actions out, and checks what must always hold.
#[derive(Default)]
struct World {
    now: u64,
    tickets: u64,
    instances: u64,
    starting: usize,
    running: Vec<InstanceId>,
    idle: BTreeSet<InstanceId>,
    open: BTreeSet<Ticket>,
}

impl World {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start => self.starting += 1,
                Action::Run(ticket, instance) => {
                    assert!(self.open.remove(&ticket), "{ticket:?} was answered before");
                    assert!(
                        !self.running.contains(&instance),
                        "{instance:?} runs one call at a time"
                    );
                    self.idle.remove(&instance);
                    self.running.push(instance);
                }
                Action::Refuse(ticket, _) | Action::Fail(ticket) => {
                    assert!(self.open.remove(&ticket), "{ticket:?} was answered before");
                }
                Action::Stop(instance) => {
                    assert!(
                        !self.running.contains(&instance),
                        "a call still runs on {instance:?}"
                    );
                    self.idle.remove(&instance);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn in_every_order_bounds_hold_and_each_call_is_answered_once(steps in prop::collection::vec((0u8..8, 0u64..20), 1..200)) {
        let limits = Limits { concurrency: 3, starts: 2, queue_length: 4, ..LIMITS };
        let mut pool = State::new(limits);
        let mut world = World::default();
        for (kind, number) in steps {
            world.now += number;
            let command = match kind {
                0..=2 => {
                    world.tickets += 1;
                    world.open.insert(Ticket(world.tickets));
                    Command::Call(Ticket(world.tickets))
                }
                3 if world.starting > 0 => {
                    world.starting -= 1;
                    world.instances += 1;
                    world.idle.insert(InstanceId(world.instances));
                    Command::Started(InstanceId(world.instances))
                }
                4 if world.starting > 0 => {
                    world.starting -= 1;
                    Command::StartFailed
                }
                5 if !world.running.is_empty() => {
                    let index = usize::try_from(number).unwrap() % world.running.len();
                    let instance = world.running.swap_remove(index);
                    let is_reusable = number % 3 != 0;
                    if is_reusable {
                        world.idle.insert(instance);
                    }
                    Command::Finished(instance, is_reusable)
                }
                6 => match world.open.iter().next().copied() {
                    Some(ticket) => {
                        world.open.remove(&ticket);
                        Command::Cancel(ticket)
                    }
                    None => Command::Tick,
                },
                _ => Command::Tick,
            };
            let actions = pool.decide(command, at(world.now));
            world.perform(actions);
            let (idle, busy, starting, waiting) = pool.counts();
            prop_assert!(idle + busy + starting <= limits.concurrency);
            prop_assert!(starting <= limits.starts);
            prop_assert!(waiting <= limits.queue_length + limits.concurrency);
            prop_assert!(waiting == 0 || idle == 0, "nobody waits while an instance is idle");
            prop_assert!(waiting == 0 || busy + starting > 0, "whoever waits, waits for something");
            prop_assert_eq!(busy, world.running.len());
            prop_assert_eq!(idle, world.idle.len());
            prop_assert_eq!(waiting, world.open.len());
        }
    }
}
