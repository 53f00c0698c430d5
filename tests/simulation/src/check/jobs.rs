//! Jobs: what was enqueued is done, and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Verdict};
use crate::history::{Ask, Seen, Told};

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let done = seen.iter().rev().find_map(|seen| match seen {
        Seen::Told(_, Told::Jobs(jobs)) => Some(jobs.as_slice()),
        _ => None,
    });
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    for job in done.unwrap_or(&[]) {
        *times.entry(*job).or_default() += 1;
    }
    let times_of = |job: u64| times.get(&job).copied().unwrap_or(0);
    let (mut asked, mut known) = (BTreeMap::new(), BTreeSet::new());
    for seen in seen {
        match seen {
            Seen::Asked(op, Ask::Enqueue { job }) => {
                asked.insert(*op, *job);
                known.insert(*job);
            }
            Seen::Told(op, Told::Enqueued) => {
                if let Some(job) = asked.get(op) {
                    verdict.check(Check::Once, times_of(*job) == 1, || {
                        format!("job {job} was enqueued and is noted {} times", times_of(*job))
                    });
                }
            }
            Seen::Finished(job) => verdict.check(Check::Finished, times_of(*job) == 1, || {
                format!("job {job} was finished and is noted {} times", times_of(*job))
            }),
            _ => {}
        }
    }
    for (job, times) in &times {
        verdict.check(Check::Once, *times == 1 && known.contains(job), || {
            format!("job {job} is noted {times} times")
        });
    }
}
