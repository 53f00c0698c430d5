//! Calls that are made later: what was accepted comes to an end that somebody sees.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Verdict};
use crate::history::{Ask, Seen, Told};
use crate::scenario::later::WORKER;

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let given_up = seen.iter().rev().find_map(|seen| match seen {
        Seen::Told(_, Told::GivenUp(calls)) => Some(calls.as_slice()),
        _ => None,
    });
    let (mut asked, mut begun) = (BTreeMap::new(), BTreeSet::new());
    let mut ended: BTreeSet<u64> = BTreeSet::new();
    for (function, number) in given_up.unwrap_or(&[]) {
        ended.insert(*number);
        // Of these a witness is told instead, and what cannot be told is a dead letter of the witness.
        let has_witness = function == WORKER && number.is_multiple_of(2);
        verdict.check(Check::Accepted, !has_witness, || {
            format!("call {number} was given up, and its witness was not told")
        });
    }
    for seen in seen {
        match seen {
            Seen::Asked(op, Ask::Later { number, .. }) => {
                asked.insert(*op, *number);
                begun.insert(*number);
            }
            // Nobody waits for its end but its client.
            Seen::Asked(_, Ask::Call { number, .. }) => _ = begun.insert(*number),
            Seen::Made {
                function,
                number,
                is_taken,
            } => {
                verdict.check(Check::Accepted, begun.contains(number), || {
                    format!("{function} was called with {number}, which nobody has asked for")
                });
                if *is_taken {
                    ended.insert(*number);
                }
            }
            _ => {}
        }
    }
    for seen in seen {
        if let Seen::Told(op, Told::Accepted) = seen
            && let Some(number) = asked.get(op)
        {
            verdict.check(Check::Accepted, ended.contains(number), || {
                format!(
                    "call {number} was accepted, and nobody took it, nobody was told, and it is no dead letter"
                )
            });
        }
    }
}
