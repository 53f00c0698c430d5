//! Events: what functions were called with and what became dead, put together to each row's chain.

use std::collections::{BTreeMap, BTreeSet};

use super::times::Times;
use super::{Check, Verdict};
use crate::history::{Ask, Event, Range, Seen, Told};
use crate::scenario::Scenario;
use crate::scenario::orders::{AUDIT, RECEIPT};

/// Every event that was seen anywhere, by row and in the order of the table's log.
#[derive(Debug, Default)]
pub(super) struct Chains {
    pub(super) by_key: BTreeMap<String, BTreeMap<u128, Event>>,
    /// Function and event of what is dead in the end, with the reason.
    dead: BTreeMap<(String, u128), &'static str>,
    /// Of what was dead at some time. It may have been delivered anew since, behind what came after it.
    was_dead: BTreeSet<(String, u128)>,
    /// What was given up in ranges, by function, with the reason.
    ranges: BTreeMap<String, Vec<(Range, &'static str)>>,
    /// Of what clients asked to be forgotten.
    dropped: BTreeSet<(String, u128)>,
}

impl Chains {
    pub(super) fn of(seen: &[Seen]) -> Self {
        let mut chains = Self::default();
        let mut letters_by_id: BTreeMap<&str, (String, u128)> = BTreeMap::new();
        for seen in seen {
            match seen {
                Seen::Called {
                    event: Some(event), ..
                } => chains.add(event),
                Seen::Told(_, Told::Letters(letters)) => {
                    // The last list is the one of the end.
                    chains.dead.clear();
                    chains.ranges.clear();
                    for letter in letters {
                        if let Some(range) = letter.range {
                            let of_rule = chains.ranges.entry(letter.rule.clone());
                            of_rule.or_default().push((range, letter.reason));
                        }
                        if let Some(event) = &letter.event {
                            chains.add(event);
                            let place = (letter.rule.clone(), event.sequence);
                            letters_by_id.insert(&letter.letter, place.clone());
                            chains.was_dead.insert(place.clone());
                            chains.dead.insert(place, letter.reason);
                        }
                    }
                }
                Seen::Asked(_, Ask::Drop { letter }) => {
                    chains.dropped.extend(letters_by_id.get(letter.as_str()).cloned());
                }
                _ => {}
            }
        }
        chains
    }

    fn add(&mut self, event: &Event) {
        let chain = self.by_key.entry(event.key.clone()).or_default();
        chain.insert(event.sequence, event.clone());
    }

    /// Whether the event was given up in a range.
    fn is_in_range(&self, function: &str, sequence: u128) -> bool {
        let mut ranges = self.ranges.get(function).into_iter().flatten();
        ranges.any(|(range, _)| (range.from..=range.to).contains(&sequence))
    }

    /// All events.
    fn events(&self) -> impl Iterator<Item = &Event> {
        self.by_key.values().flat_map(BTreeMap::values)
    }
}

/// Whether the function's rule wants the event.
fn wants(function: &str, event: &Event) -> bool {
    function == RECEIPT || event.old.is_some()
}

/// What rules owe: where one of them comes and goes, only what it certainly saw.
struct Owed<'a> {
    scenario: &'a Scenario,
    times: Times,
}

impl Owed<'_> {
    fn is_owed(&self, function: &str, event: &Event) -> bool {
        let is_certain = || event.new.is_some_and(|row| self.times.there.contains(&row.op));
        wants(function, event) && (!self.comes_and_goes(function) || is_certain())
    }

    fn comes_and_goes(&self, function: &str) -> bool {
        self.scenario.changes_every > 0 && function == AUDIT
    }
}

pub(super) fn check(verdict: &mut Verdict, scenario: &Scenario, seen: &[Seen], chains: &Chains) {
    let owed = Owed {
        scenario,
        times: Times::of(seen),
    };
    let taken = order(verdict, &owed, seen, chains);
    for event in chains.events() {
        for function in [RECEIPT, AUDIT] {
            if !owed.is_owed(function, event) {
                continue;
            }
            let place = (function.to_owned(), event.sequence);
            let reason = chains.dead.get(&place).copied();
            verdict.check(
                Check::Delivered,
                taken.contains(&place)
                    || reason.is_some()
                    || chains.dropped.contains(&place)
                    || chains.is_in_range(function, event.sequence),
                || format!("{function} never took {event:?}, and it is in no dead letter"),
            );
            if scenario.deadly_every > 0 {
                let is_deadly = event.new.is_some_and(|row| scenario.is_deadly(row.op));
                verdict.check(Check::Deadly, is_deadly == (reason == Some("crashed")), || {
                    format!("{event:?} (deadly: {is_deadly}) ended as {reason:?} for {function}")
                });
            }
        }
    }
    for (function, ranges) in &chains.ranges {
        for range in ranges {
            expired(verdict, chains, &taken, (function, *range));
        }
    }
    for chain in chains.by_key.values() {
        links(verdict, chain);
    }
    invoked(verdict, seen);
}

/// Goes through the calls as they happened; answers what was taken, by function and event.
fn order(verdict: &mut Verdict, owed: &Owed<'_>, seen: &[Seen], chains: &Chains) -> BTreeSet<(String, u128)> {
    let mut taken: BTreeSet<(String, u128)> = BTreeSet::new();
    let mut calls: BTreeMap<u64, (String, u128)> = BTreeMap::new();
    for seen in seen {
        match seen {
            Seen::Called {
                call,
                function,
                event: Some(event),
                ..
            } => {
                let chain = chains.by_key.get(&event.key).into_iter();
                let former = chain.flat_map(|chain| chain.range(..event.sequence));
                let waits = former.map(|(_, former)| former).find(|former| {
                    let place = (function.clone(), former.sequence);
                    owed.is_owed(function, former)
                        && !taken.contains(&place)
                        && !chains.was_dead.contains(&place)
                        && !chains.is_in_range(function, former.sequence)
                });
                match owed.scenario.is_unordered {
                    false => verdict.check(Check::Order, waits.is_none(), || {
                        format!("{function} was called with {event:?} before it took {waits:?}")
                    }),
                    true if waits.is_some() => verdict.check(Check::Unordered, true, String::new),
                    true => {}
                }
                if owed.comes_and_goes(function)
                    && let Some(row) = event.new
                {
                    verdict.check(Check::Removed, !owed.times.gone.contains(&row.op), || {
                        format!("{function} was called with {event:?}, written while its rule was gone")
                    });
                }
                calls.insert(*call, (function.clone(), event.sequence));
            }
            Seen::Ended(call, true) => taken.extend(calls.remove(call)),
            _ => {}
        }
    }
    taken
}

const RULE_REMOVED: &str = "rule_removed";

/// A range counts what came to no other end. What lies between and was delivered, or died by itself, it need not.
fn expired(
    verdict: &mut Verdict,
    chains: &Chains,
    taken: &BTreeSet<(String, u128)>,
    (function, (range, reason)): (&str, (Range, &str)),
) {
    let events = chains.events().filter(|event| wants(function, event));
    let within = events.filter(|event| (range.from..=range.to).contains(&event.sequence));
    let (mut all, mut lost) = (0u64, 0u64);
    for event in within {
        let place = (function.to_owned(), event.sequence);
        all += 1;
        lost += u64::from(!taken.contains(&place) && !chains.was_dead.contains(&place));
    }
    let holds = match range.events {
        Some(counted) => lost <= counted && counted <= all,
        // Of a rule that was removed while no node ran, nobody knows what it wanted.
        None => reason == RULE_REMOVED,
    };
    verdict.check(Check::Expired, holds, || {
        format!("{range:?} of {function} has {all} events, and {lost} of them came to no other end")
    });
}

/// Each event begins where the one before ended.
fn links(verdict: &mut Verdict, chain: &BTreeMap<u128, Event>) {
    let written = chain.values().filter_map(|event| event.new);
    let written: BTreeSet<u64> = written.map(|row| row.op).collect();
    let mut former = None;
    for event in chain.values() {
        // The row before was written by a request whose event nobody has seen.
        let is_unseen = event.old.is_some_and(|row| !written.contains(&row.op));
        verdict.check(Check::Skip, !is_unseen, || {
            format!("an event before {event:?} was never delivered")
        });
        verdict.check(Check::Agree, is_unseen || event.old == former, || {
            format!("{event:?} does not begin with what was there: {former:?}")
        });
        former = event.new;
    }
}

/// A client that was told that its call was taken was told the truth.
fn invoked(verdict: &mut Verdict, seen: &[Seen]) {
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut direct, mut ended) = (BTreeSet::new(), 0u64);
    for seen in seen {
        match seen {
            Seen::Asked(op, Ask::Invoke) => {
                asked.insert(*op, ended);
            }
            Seen::Called {
                call, event: None, ..
            } => {
                direct.insert(*call);
            }
            Seen::Ended(call, true) if direct.remove(call) => ended += 1,
            Seen::Told(op, Told::Invoked(true)) => {
                let before = asked.get(op).copied().unwrap_or(u64::MAX);
                verdict.check(Check::Invoked, ended > before, || {
                    format!("request {op} was told that its call was taken, and no call was")
                });
            }
            _ => {}
        }
    }
}
