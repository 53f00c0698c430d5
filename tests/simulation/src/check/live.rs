//! Liveness: when nothing goes wrong any more everything comes to rest, questions are answered, and an idle platform does
//! nothing but poll. And what holds of instances all the time.

use std::collections::BTreeMap;

use super::{Check, Verdict};
use crate::history::{Seen, Told};
use crate::scenario::Scenario;
use crate::scenario::orders::{AT_ONCE, CONCURRENCY};

/// What a poll may cost on the store, by what runs: two readers, two runners of retries and the trimmer; a worker.
const ORDERS_POLL: u64 = 16;
const JOBS_POLL: u64 = 2;
/// A round of a collector every 20 polls.
const FILES_POLL: u64 = 2;
/// How often a lease is renewed between two polls.
const LEASE_POLL: u64 = 10;

pub(super) fn check(verdict: &mut Verdict, scenario: &Scenario, seen: &[Seen]) {
    let mut is_at_rest = false;
    for seen in seen {
        match seen {
            Seen::Rest(has_rested) => {
                is_at_rest = true;
                verdict.check(Check::Live, *has_rested, || {
                    "something still happens 12 hours after faults stopped".to_owned()
                });
            }
            Seen::Told(op, told) if is_at_rest => {
                verdict.check(Check::Live, !matches!(told, Told::Unknown(_)), || {
                    format!("nothing goes wrong any more, and request {op} was told {told:?}")
                });
            }
            Seen::Idle {
                polls,
                effects,
                writes,
                runs,
            } => {
                let orders = if scenario.has_orders { ORDERS_POLL } else { 0 };
                let jobs = if scenario.has_jobs { JOBS_POLL } else { 0 };
                let files = if scenario.has_files { FILES_POLL } else { 0 };
                let lease = if scenario.has_lease { LEASE_POLL } else { 0 };
                // One more for what began before the watch did.
                let bound = (orders + jobs + files + lease) * (polls + 1);
                verdict.check(Check::Idle, *writes == 0, || {
                    format!("an idle node wrote {writes} times")
                });
                verdict.check(Check::Idle, *effects <= bound, || {
                    format!(
                        "an idle node asked the store {effects} times in {polls} polls, at most {bound} are meant"
                    )
                });
                verdict.check(Check::Idle, *runs <= bound * 4, || {
                    format!("tasks of an idle node ran {runs} times in {polls} polls")
                });
            }
            _ => {}
        }
    }
    verdict.check(Check::Live, is_at_rest, || {
        "the run did not come to its end".to_owned()
    });
    // Of a function that users made the node runs as many calls as of all.
    let most = if scenario.has_aliases {
        AT_ONCE
    } else {
        CONCURRENCY
    };
    instances(verdict, seen, most);
}

/// One call at a time on an instance, and no more instances at work than a function may have.
fn instances(verdict: &mut Verdict, seen: &[Seen], most: usize) {
    // By call: life, instance and function.
    let mut at_work: BTreeMap<u64, (u64, u64, &str)> = BTreeMap::new();
    for seen in seen {
        match seen {
            Seen::Called {
                call,
                life,
                instance,
                function,
                ..
            } => {
                let is_free = at_work.values().all(|(_, other, _)| other != instance);
                verdict.check(Check::Instances, is_free, || {
                    format!("instance {instance} was given call {call} while it had another")
                });
                at_work.insert(*call, (*life, *instance, function));
                let same = at_work
                    .values()
                    .filter(|(of, _, name)| of == life && name == function);
                let count = same.count();
                verdict.check(Check::Instances, count <= most, || {
                    format!("{count} instances of {function} work at once")
                });
            }
            Seen::Ended(call, _) => {
                at_work.remove(call);
            }
            Seen::Died(life) => at_work.retain(|_, (of, ..)| of != life),
            _ => {}
        }
    }
}
