//! Dead letters that clients had delivered anew.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Verdict};
use crate::history::{Ask, Seen, Told};

/// Function and place of an event.
type Place = (String, u128);

/// What was seen of letters and events, by its place in the history.
#[derive(Default)]
struct Story {
    /// Which event each letter held.
    places: BTreeMap<String, Place>,
    /// When which letter was told of, by its event.
    told: BTreeMap<Place, Vec<(usize, String)>>,
    /// When a call began that the function then took, by its event.
    taken: BTreeMap<Place, Vec<usize>>,
    /// The letters of the last list.
    last: BTreeSet<String>,
}

impl Story {
    fn of(seen: &[Seen]) -> Self {
        let (mut story, mut calls) = (Self::default(), BTreeMap::new());
        for (at, seen) in seen.iter().enumerate() {
            match seen {
                Seen::Told(_, Told::Letters(letters)) => {
                    story.last = letters.iter().map(|dead| dead.letter.clone()).collect();
                    for dead in letters {
                        let Some(event) = &dead.event else { continue };
                        let place = (dead.rule.clone(), event.sequence);
                        story.places.insert(dead.letter.clone(), place.clone());
                        let told = story.told.entry(place).or_default();
                        told.push((at, dead.letter.clone()));
                    }
                }
                Seen::Called {
                    call,
                    function,
                    event: Some(event),
                    ..
                } => {
                    calls.insert(*call, (at, (function.clone(), event.sequence)));
                }
                Seen::Ended(call, true) => {
                    if let Some((began, place)) = calls.remove(call) {
                        story.taken.entry(place).or_default().push(began);
                    }
                }
                _ => {}
            }
        }
        story
    }

    /// Whether something became of the letter's event after `at`: it was taken, or it is told of in another letter.
    fn goes_on(&self, letter: &str, at: usize) -> bool {
        let Some(place) = self.places.get(letter) else {
            return false;
        };
        let mut taken = self.taken.get(place).into_iter().flatten();
        let mut told = self.told.get(place).into_iter().flatten();
        taken.any(|began| *began > at) || told.any(|(then, other)| *then > at && other != letter)
    }
}

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let story = Story::of(seen);
    let mut asked: BTreeMap<u64, (usize, &Ask)> = BTreeMap::new();
    for (at, seen) in seen.iter().enumerate() {
        match seen {
            Seen::Asked(op, ask @ (Ask::Retry { .. } | Ask::Drop { .. })) => {
                asked.insert(*op, (at, ask));
            }
            Seen::Told(op, Told::Settled(true)) => {
                match asked.get(op) {
                    Some((began, Ask::Retry { letter })) => {
                        let is_gone = !story.last.contains(letter);
                        verdict.check(Check::Redriven, is_gone && story.goes_on(letter, *began), || {
                        format!("letter {letter} was retried (gone: {is_gone}), and nothing became of its event")
                    });
                    }
                    Some((_, Ask::Drop { letter })) => {
                        verdict.check(Check::Redriven, !story.last.contains(letter), || {
                            format!("letter {letter} was dropped and is there")
                        });
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
