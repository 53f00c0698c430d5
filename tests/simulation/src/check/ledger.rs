//! Fences: of two that believe to own a partition, only the last owner writes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Verdict};
use crate::history::{Line, Seen, Told};

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let lines = seen.iter().rev().find_map(|seen| match seen {
        Seen::Told(_, Told::Ledger(lines)) => Some(lines.as_slice()),
        _ => None,
    });
    let lines = lines.unwrap_or(&[]);
    for pair in lines.windows(2) {
        if let [first, second] = pair {
            verdict.check(Check::Fence, first.epoch <= second.epoch, || {
                format!("{second:?} was let in behind {first:?}, whose owner came later")
            });
        }
    }
    let written: BTreeSet<u64> = lines.iter().map(|line| line.entry).collect();
    verdict.check(Check::Ledger, written.len() == lines.len(), || {
        "an entry is in the ledger twice".to_owned()
    });
    told(verdict, seen, &written);
}

/// What owners were told, as it happened.
fn told(verdict: &mut Verdict, seen: &[Seen], written: &BTreeSet<u64>) {
    let mut newest = 0;
    // Entries under way, with the newest epoch that anybody had been told of when they began.
    let mut began: BTreeMap<u64, u64> = BTreeMap::new();
    for seen in seen {
        match seen {
            Seen::TookOver(epoch) => newest = newest.max(*epoch),
            Seen::Writes(line) => {
                began.insert(line.entry, newest);
            }
            Seen::Wrote(line, is_written) => {
                let Line { epoch, entry } = *line;
                let known = began.get(&entry).copied().unwrap_or(0);
                verdict.check(Check::Ledger, written.contains(&entry) == *is_written, || {
                    format!("the owner was told of {line:?} that it is written: {is_written}")
                });
                if *is_written {
                    verdict.check(Check::Fence, epoch >= known, || {
                        format!("{line:?} was let in after epoch {known} was given out")
                    });
                }
            }
            _ => {}
        }
    }
}
