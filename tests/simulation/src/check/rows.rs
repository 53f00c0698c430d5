//! Rows: what clients were told of their writes and reads, held against the chain of each row's events, which is the order in
//! which the writes took effect.

use std::collections::{BTreeMap, BTreeSet};

use super::events::Chains;
use super::{Check, Verdict};
use crate::history::{Ask, Event, Image, Seen, Told};

type Chain = BTreeMap<u128, Event>;

/// What is known while going through the history.
struct Rows<'a> {
    chains: &'a Chains,
    /// Requests that were sent twice: they may have taken effect twice.
    repeated: BTreeSet<u64>,
    /// What was asked, with the newest acknowledged change of the row at that moment.
    asked: BTreeMap<u64, (&'a Ask, u128)>,
    /// The newest acknowledged change by row.
    newest: BTreeMap<&'a str, u128>,
    is_over: bool,
}

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen], chains: &Chains) {
    let repeated = seen.iter().filter_map(|seen| match seen {
        Seen::Repeated(op) => Some(*op),
        _ => None,
    });
    let mut rows = Rows {
        chains,
        repeated: repeated.collect(),
        asked: BTreeMap::new(),
        newest: BTreeMap::new(),
        is_over: false,
    };
    for seen in seen {
        match seen {
            Seen::Asked(op, ask) => rows.ask(*op, ask),
            Seen::Told(op, Told::Wrote(old, new)) => rows.wrote(verdict, *op, (*old, *new)),
            Seen::Told(op, Told::Row(row)) => rows.read(verdict, *op, *row),
            Seen::Rest(_) => rows.is_over = true,
            _ => {}
        }
    }
    for chain in chains.by_key.values() {
        rows.authors(verdict, chain);
    }
}

fn key_of(ask: &Ask) -> Option<&str> {
    match ask {
        Ask::Put { key } | Ask::Add { key } | Ask::Delete { key } | Ask::Get { key } => Some(key),
        Ask::Invoke
        | Ask::Later { .. }
        | Ask::Call { .. }
        | Ask::Edit { .. }
        | Ask::Publish
        | Ask::Point { .. }
        | Ask::Unpoint { .. }
        | Ask::Unpublish { .. }
        | Ask::List
        | Ask::GivenUp
        | Ask::Enqueue { .. }
        | Ask::Letters
        | Ask::Retry { .. }
        | Ask::Drop { .. }
        | Ask::Jobs
        | Ask::Ledger
        | Ask::Store { .. }
        | Ask::Forget { .. }
        | Ask::Fetch { .. }
        | Ask::Files
        | Ask::Apply(_) => None,
    }
}

impl<'a> Rows<'a> {
    fn ask(&mut self, op: u64, ask: &'a Ask) {
        let newest = key_of(ask).and_then(|key| self.newest.get(key));
        self.asked.insert(op, (ask, newest.copied().unwrap_or(0)));
    }

    fn chain(&self, ask: &Ask) -> Option<&'a Chain> {
        self.chains.by_key.get(key_of(ask)?)
    }

    /// An acknowledged write has exactly one event, and it lies behind all that was acknowledged before the write was asked for.
    fn wrote(&mut self, verdict: &mut Verdict, op: u64, (old, new): (Option<Image>, Option<Image>)) {
        let Some((ask, newest)) = self.asked.get(&op).copied() else {
            return;
        };
        if old == new {
            return;
        }
        let is_repeated = self.repeated.contains(&op);
        let chain = self.chain(ask).into_iter().flatten();
        let places = chain.filter(|(_, event)| event.old == old && event.new == new);
        let places: Vec<u128> = places.map(|(place, _)| *place).collect();
        let is_there = match places.as_slice() {
            [] => false,
            [_] => true,
            // Rows may be removed and made anew with the same content by requests that were repeated.
            _ => is_repeated || new.is_none(),
        };
        verdict.check(Check::Acknowledged, is_there, || {
            format!(
                "request {op} ({ask:?}, {old:?} to {new:?}) was acknowledged and has {} events",
                places.len()
            )
        });
        let last = places.last().copied().unwrap_or(0);
        verdict.check(Check::Acknowledged, places.is_empty() || last > newest, || {
            format!("request {op} ({ask:?}) lies before what was acknowledged when it was asked")
        });
        if let (Some(key), [place]) = (key_of(ask), places.as_slice()) {
            let newest = self.newest.entry(key).or_default();
            *newest = (*newest).max(*place);
        }
    }

    /// A read shows a state that the row was in, not before what was acknowledged when it was asked for.
    fn read(&mut self, verdict: &mut Verdict, op: u64, row: Option<Image>) {
        let Some((ask, newest)) = self.asked.get(&op).copied() else {
            return;
        };
        let chain = self.chain(ask);
        let mut events = chain.into_iter().flatten();
        let was_so = events.any(|(place, event)| *place >= newest && event.new == row);
        let is_first = row.is_none() && newest == 0;
        verdict.check(Check::Read, was_so || is_first, || {
            format!("request {op} ({ask:?}) read {row:?}, and {newest} was acknowledged before")
        });
        if self.is_over {
            let last = chain.and_then(|chain| chain.values().next_back());
            let last = last.and_then(|event| event.new);
            verdict.check(Check::Agree, row == last, || {
                format!("{ask:?} is {row:?} in the end, and its last event says {last:?}")
            });
        }
    }

    /// Each event was asked for, says what was asked for, and happened once.
    fn authors(&self, verdict: &mut Verdict, chain: &Chain) {
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for event in chain.values() {
            let Some(new) = event.new else { continue };
            let n = event.old.map_or(0, |old| old.n);
            let is_meant = match self.asked.get(&new.op) {
                Some((Ask::Put { key }, _)) => *key == event.key && new.n == 0,
                Some((Ask::Add { key }, _)) => *key == event.key && new.n == n + 1,
                _ => false,
            };
            verdict.check(Check::Agree, is_meant, || format!("nobody asked for {event:?}"));
            *times.entry(new.op).or_default() += 1;
        }
        for (op, times) in times {
            let most = if self.repeated.contains(&op) { 2 } else { 1 };
            verdict.check(Check::Acknowledged, times <= most, || {
                format!("request {op} took effect {times} times")
            });
        }
    }
}
