//! The pool's decisions, one by one and in every random order.

use std::collections::BTreeSet;

use aloft_base::{Clock, SystemClock};
use proptest::prelude::*;

use super::*;

const START: Action = Action::Start(Initialization::OnDemand);
const KEEP: Action = Action::Start(Initialization::Provisioned);

const LIMITS: Limits = Limits {
    concurrency: 2,
    calls: 1,
    starts: 2,
    queue_length: 2,
    queue_wait: Duration::from_secs(10),
    idle: Duration::from_secs(300),
};

fn at(seconds: u64) -> Instant {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGIN.get_or_init(|| SystemClock.instant()) + Duration::from_secs(seconds)
}

/// A pool that has a permit for every call.
struct Open(State);

impl Open {
    fn new(limits: Limits) -> Self {
        Self(State::new(limits))
    }

    /// What is done, without permits.
    fn decide(&mut self, command: Command, now: Instant) -> Vec<Action> {
        let mut actions = self.0.decide(command, now);
        while self.0.wanted().is_some() {
            actions.extend(self.0.decide(Command::Admit, now));
        }
        actions.retain(|action| *action != Action::Release);
        actions
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[test]
fn a_cold_call_starts_an_instance_and_a_warm_one_takes_it() {
    let mut pool = Open::new(LIMITS);
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), [START]);
    assert_eq!(
        pool.decide(Command::Started(InstanceId(1)), at(1)),
        [Action::Run(Ticket(1), InstanceId(1))]
    );
    assert_eq!(pool.decide(Command::Finished(InstanceId(1), true), at(2)), []);
    assert_eq!(
        pool.decide(Command::Call(Ticket(2), 0), at(3)),
        [Action::Run(Ticket(2), InstanceId(1))]
    );
}

#[test]
fn a_burst_starts_in_parallel_and_what_is_free_first_is_taken() {
    let mut pool = Open::new(LIMITS);
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), [START]);
    assert_eq!(pool.decide(Command::Call(Ticket(2), 0), at(0)), [START]);
    assert_eq!(
        pool.decide(Command::Call(Ticket(3), 0), at(0)),
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
    let mut pool = Open::new(LIMITS);
    for ticket in 1..=4 {
        pool.decide(Command::Call(Ticket(ticket), 0), at(0));
    }
    let refused = pool.decide(Command::Call(Ticket(5), 0), at(0));
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
    let mut pool = Open::new(Limits {
        concurrency: 1,
        starts: 1,
        ..LIMITS
    });
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), [START]);
    assert_eq!(pool.next_deadline(), None, "nothing is due while it loads");
    assert_eq!(pool.decide(Command::Call(Ticket(2), 0), at(1)), []);
    assert_eq!(pool.decide(Command::Call(Ticket(3), 0), at(2)), []);
    assert_eq!(
        pool.next_deadline(),
        Some(at(11)),
        "the second has no instance yet"
    );
    assert_eq!(pool.decide(Command::Tick, at(10)), []);
    assert_eq!(
        pool.decide(Command::StartFailed, at(10)),
        [Action::Fail(Ticket(1)), START]
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
    let mut pool = Open::new(Limits { starts: 1, ..LIMITS });
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), [START]);
    assert_eq!(pool.decide(Command::Call(Ticket(2), 0), at(0)), []);
    assert_eq!(
        pool.decide(Command::StartFailed, at(1)),
        [Action::Fail(Ticket(1)), START]
    );
    assert_eq!(
        pool.decide(Command::StartFailed, at(2)),
        [Action::Fail(Ticket(2))]
    );
    assert!(pool.is_empty());
}

#[test]
fn idle_instances_are_unloaded_the_longest_unused_first() {
    let mut pool = Open::new(LIMITS);
    for n in 1..=2 {
        pool.decide(Command::Call(Ticket(n), 0), at(0));
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
    let mut pool = Open::new(Limits {
        concurrency: 1,
        ..LIMITS
    });
    pool.decide(Command::Call(Ticket(1), 0), at(0));
    pool.decide(Command::Call(Ticket(2), 0), at(0));
    pool.decide(Command::Started(InstanceId(1)), at(0));
    assert_eq!(pool.decide(Command::Drain, at(1)), []);
    let refused = pool.decide(Command::Call(Ticket(3), 0), at(1));
    assert_eq!(refused, [Action::Refuse(Ticket(3), Refusal::Draining)]);
    let next = pool.decide(Command::Finished(InstanceId(1), true), at(2));
    assert_eq!(next, [Action::Run(Ticket(2), InstanceId(1))]);
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(1), true), at(3)),
        [Action::Stop(InstanceId(1))]
    );
    assert!(pool.is_empty());
}

/// Without a permit a call waits though an instance is idle, and no instance is started for it; with one it runs.
#[test]
fn who_is_not_admitted_waits() {
    let mut pool = State::new(LIMITS);
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), []);
    assert_eq!(pool.wanted(), Some(0));
    assert_eq!(pool.decide(Command::Admit, at(0)), [START]);
    assert_eq!(pool.wanted(), None);
    pool.decide(Command::Started(InstanceId(1)), at(1));
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(1), true), at(2)),
        [Action::Release]
    );
    assert_eq!(
        pool.decide(Command::Call(Ticket(2), 0), at(3)),
        [],
        "an instance is idle, and it has no permit"
    );
    assert_eq!(
        pool.decide(Command::Tick, at(13)),
        [Action::Refuse(Ticket(2), Refusal::NotAdmitted)]
    );
    pool.decide(Command::Call(Ticket(3), 0), at(14));
    let run = Action::Run(Ticket(3), InstanceId(1));
    assert_eq!(pool.decide(Command::Admit, at(14)), [run]);
}

#[test]
fn no_more_are_admitted_than_there_can_be_instances() {
    let mut pool = State::new(Limits {
        queue_length: 9,
        ..LIMITS
    });
    for ticket in 1..=4 {
        pool.decide(Command::Call(Ticket(ticket), 0), at(0));
    }
    for _ in 0..2 {
        assert_eq!(pool.wanted(), Some(0));
        pool.decide(Command::Admit, at(0));
    }
    assert_eq!(pool.wanted(), None, "concurrency is two");
    assert_eq!(
        pool.decide(Command::Cancel(Ticket(1)), at(0)),
        [Action::Release],
        "what it was admitted by is given back"
    );
    assert_eq!(pool.wanted(), Some(0));
    assert_eq!(
        pool.decide(Command::Cancel(Ticket(4)), at(0)),
        [],
        "it had nothing"
    );
}

/// A line at a full node is bounded, and those in it do not keep out a call that another one waits for.
#[test]
fn the_line_is_bounded() {
    let mut pool = State::new(LIMITS);
    let mut call = |ticket, depth| pool.decide(Command::Call(Ticket(ticket), depth), at(0));
    let full = |ticket| [Action::Refuse(Ticket(ticket), Refusal::LineFull)];
    assert_eq!((call(1, 0), call(2, 0)), (vec![], vec![]));
    assert_eq!(call(3, 0), full(3));
    assert_eq!((call(4, 1), call(5, 2)), (vec![], vec![]));
    assert_eq!(call(6, 1), full(6));
}

/// A call that another one waits for goes before those that nobody waits for; among equals the first is first.
#[test]
fn the_deeper_call_is_admitted_first() {
    let mut pool = State::new(Limits {
        queue_length: 9,
        ..LIMITS
    });
    for (ticket, depth) in [(1, 0), (2, 1), (3, 3), (4, 1)] {
        pool.decide(Command::Call(Ticket(ticket), depth), at(ticket));
    }
    assert_eq!(pool.wanted(), Some(3));
    pool.decide(Command::Admit, at(9));
    let first = pool.decide(Command::Started(InstanceId(1)), at(9));
    assert_eq!(first, [Action::Run(Ticket(3), InstanceId(1))]);
    assert_eq!(pool.wanted(), Some(1));
    assert_eq!(
        pool.decide(Command::Tick, at(11)),
        [Action::Refuse(Ticket(1), Refusal::NotAdmitted)],
        "who came first has waited longest, wherever it stands"
    );
    assert_eq!(pool.next_deadline(), Some(at(12)));
    pool.decide(Command::Admit, at(11));
    let second = pool.decide(Command::Started(InstanceId(2)), at(11));
    assert_eq!(second, [Action::Run(Ticket(2), InstanceId(2))]);
}

#[test]
fn what_is_kept_is_loaded_without_a_call_and_not_unloaded() {
    let mut pool = State::new(Limits {
        concurrency: 4,
        ..LIMITS
    });
    assert_eq!(
        pool.decide(Command::Keep(3), at(0)),
        [KEEP; 2],
        "two start at a time"
    );
    assert_eq!(pool.decide(Command::Started(InstanceId(1)), at(1)), [KEEP]);
    for n in 2..=3 {
        assert_eq!(pool.decide(Command::Started(InstanceId(n)), at(1)), []);
    }
    assert_eq!(pool.next_deadline(), None, "none is to be unloaded");
    assert_eq!(pool.decide(Command::Tick, at(1_000)), []);
    assert_eq!(pool.decide(Command::Unload, at(1_000)), []);
    assert_eq!(pool.decide(Command::Ended(InstanceId(2)), at(1_000)), [KEEP]);
    pool.decide(Command::Started(InstanceId(4)), at(1_001));
    // Fewer are to be kept: the rest is unloaded as ever.
    assert_eq!(pool.decide(Command::Keep(1), at(1_001)), []);
    assert_eq!(pool.next_deadline(), Some(at(301)));
    let gone = pool.decide(Command::Tick, at(1_002));
    assert_eq!(gone, [1, 3].map(|n| Action::Stop(InstanceId(n))));
    assert_eq!(
        pool.decide(Command::Retire, at(1_002)),
        [Action::Stop(InstanceId(4))]
    );
}

#[test]
fn the_places_of_an_instance_that_leaves_are_none() {
    let mut pool = State::new(Limits { calls: 4, ..LIMITS });
    let call = |pool: &mut State, n| {
        pool.decide(Command::Call(Ticket(n), 0), at(0));
        let is_wanted = pool.wanted().is_some();
        if is_wanted {
            pool.decide(Command::Admit, at(0));
        }
        is_wanted
    };
    assert!((1..=4).all(|n| call(&mut pool, n)));
    pool.decide(Command::Started(InstanceId(1)), at(0));
    assert!((5..=8).all(|n| call(&mut pool, n)));
    pool.decide(Command::Started(InstanceId(2)), at(0));
    // Three of its calls run on, and no new one gets its places.
    pool.decide(Command::Finished(InstanceId(1), false), at(1));
    assert!(!call(&mut pool, 9));
    // The other's place is one.
    pool.decide(Command::Finished(InstanceId(2), true), at(1));
    assert_eq!(pool.wanted(), Some(0));
}

#[test]
fn one_that_leaves_is_none_of_those_that_are_kept() {
    let mut pool = Open::new(Limits {
        concurrency: 3,
        calls: 2,
        ..LIMITS
    });
    pool.decide(Command::Keep(1), at(0));
    pool.decide(Command::Started(InstanceId(1)), at(0));
    for n in 1..=2 {
        pool.decide(Command::Call(Ticket(n), 0), at(0));
    }
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(1), false), at(1)),
        [KEEP]
    );
    pool.decide(Command::Started(InstanceId(2)), at(2));
    assert_eq!(pool.0.staying(), 1);
    assert!(pool.0.is_leaving(InstanceId(1)) && !pool.0.is_leaving(InstanceId(2)));
    assert_eq!(pool.0.unloadable(), []);
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(1), true), at(3)),
        [Action::Stop(InstanceId(1))]
    );
    assert_eq!(pool.0.staying(), 1);
}

#[test]
fn what_cannot_be_kept_loaded_is_tried_again_after_growing_pauses() {
    let mut pool = State::new(LIMITS);
    assert_eq!(pool.decide(Command::Keep(1), at(0)), [KEEP]);
    assert_eq!(pool.decide(Command::Keep(1), at(0)), [], "it is said already");
    assert_eq!(pool.decide(Command::StartFailed, at(0)), []);
    assert_eq!(pool.next_deadline(), Some(at(1)));
    assert_eq!(pool.decide(Command::Tick, at(1)), [KEEP]);
    assert_eq!(pool.next_deadline(), None, "it is looked at when that ends");
    pool.decide(Command::StartFailed, at(1));
    assert_eq!(pool.next_deadline(), Some(at(3)));
    // A call is not made to wait for that.
    pool.decide(Command::Call(Ticket(1), 0), at(2));
    assert_eq!(pool.decide(Command::Admit, at(2)), [START]);
    let run = Action::Run(Ticket(1), InstanceId(1));
    assert_eq!(pool.decide(Command::Started(InstanceId(1)), at(2)), [run]);
    assert_eq!(pool.next_deadline(), None);
}

#[test]
fn an_instance_that_takes_several_calls_is_filled_and_leaves_with_its_last() {
    let mut pool = Open::new(Limits {
        concurrency: 2,
        calls: 2,
        ..LIMITS
    });
    let run = |ticket, instance| Action::Run(Ticket(ticket), InstanceId(instance));
    assert_eq!(pool.decide(Command::Call(Ticket(1), 0), at(0)), [START]);
    assert_eq!(
        pool.decide(Command::Call(Ticket(2), 0), at(0)),
        [],
        "it will take both"
    );
    assert_eq!(pool.decide(Command::Call(Ticket(3), 0), at(0)), [START]);
    let both = pool.decide(Command::Started(InstanceId(1)), at(1));
    assert_eq!(both, [run(1, 1), run(2, 1)]);
    assert_eq!(pool.decide(Command::Started(InstanceId(2)), at(1)), [run(3, 2)]);
    assert_eq!(pool.decide(Command::Call(Ticket(4), 0), at(2)), [run(4, 2)]);
    assert_eq!(
        pool.decide(Command::Call(Ticket(5), 0), at(2)),
        [],
        "both are full"
    );
    // One that fails takes its instance with it, when the other call there has ended.
    assert_eq!(pool.decide(Command::Finished(InstanceId(1), false), at(3)), []);
    assert_eq!(
        pool.decide(Command::Finished(InstanceId(2), true), at(3)),
        [run(5, 2)]
    );
    let gone = pool.decide(Command::Finished(InstanceId(1), true), at(4));
    assert_eq!(gone, [Action::Stop(InstanceId(1))]);
    assert_eq!(pool.next_deadline(), None, "the other one serves");
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
    /// Instances that are to have no further call.
    leaving: BTreeSet<InstanceId>,
    /// Permits that the pool has.
    permits: usize,
}

impl World {
    fn perform(&mut self, actions: Vec<Action>, limits: Limits) {
        for action in actions {
            match action {
                Action::Start(_) => self.starting += 1,
                Action::Release => {
                    self.permits = self
                        .permits
                        .checked_sub(1)
                        .expect("nobody gives back what he has not");
                }
                Action::Run(ticket, instance) => {
                    assert!(self.open.remove(&ticket), "{ticket:?} was answered before");
                    let runs = self.running.iter().filter(|other| **other == instance).count();
                    assert!(runs < limits.calls, "{instance:?} runs {runs} calls already");
                    assert!(!self.leaving.contains(&instance), "{instance:?} gets no more");
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
                    self.leaving.remove(&instance);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn in_every_order_bounds_hold_and_each_call_is_answered_once(
        steps in prop::collection::vec((0u8..11, 0u64..20), 1..200),
        calls in 1usize..4,
    ) {
        let limits = Limits { concurrency: 3, calls, starts: 2, queue_length: 4, ..LIMITS };
        let mut pool = State::new(limits);
        let mut world = World::default();
        for (kind, number) in steps {
            world.now += number;
            let command = match kind {
                0..=2 => {
                    world.tickets += 1;
                    world.open.insert(Ticket(world.tickets));
                    Command::Call(Ticket(world.tickets), u8::try_from(number % 3).unwrap())
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
                    if !is_reusable {
                        world.leaving.insert(instance);
                    }
                    if !world.running.contains(&instance) && !world.leaving.contains(&instance) {
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
                7 | 8 if pool.wanted().is_some() => {
                    world.permits += 1;
                    Command::Admit
                }
                9 => Command::Keep(usize::try_from(number % 5).unwrap()),
                _ => Command::Tick,
            };
            let actions = pool.decide(command, at(world.now));
            world.perform(actions, limits);
            let (idle, busy, starting, waiting) = pool.counts();
            prop_assert!(idle + busy + starting <= limits.concurrency);
            prop_assert!(starting <= limits.starts);
            let running = world.running.len();
            prop_assert!(waiting <= 2 * limits.queue_length + limits.concurrency * calls);
            prop_assert!(waiting + running <= 2 * limits.queue_length + world.permits);
            let wants = pool.wanted().is_some();
            prop_assert!(waiting == 0 || idle == 0 || wants, "nobody waits for an instance while one is idle");
            prop_assert!(waiting == 0 || busy + starting > 0 || wants, "whoever waits, waits for something");
            prop_assert!(world.permits >= running && world.permits <= running + waiting);
            prop_assert!(world.permits <= limits.concurrency * calls);
            prop_assert_eq!(busy, world.running.iter().collect::<BTreeSet<_>>().len());
            prop_assert_eq!(idle, world.idle.len());
            prop_assert_eq!(waiting, world.open.len());
        }
    }
}
