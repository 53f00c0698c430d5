//! Whether a target is worth trying. When several events in a row, each another, were not even seen by the target (it is gone, its
//! code cannot be loaded, it has no room), it is not the events that are wrong: the breaker opens, and events wait instead of using
//! up their retries. From time to time one of them is sent as a probe; the first that the target sees closes the breaker.
//!
//! A target that sees an event and fails counts as well here: whether the event, the code or something behind it is wrong nobody can
//! tell, and the developer set the number of retries for just that. One event opens nothing, however often it is tried: it takes
//! [`TRIP`] different ones.
//!
//! Pure: time comes in as an argument, and what to do goes out.

use std::collections::BTreeSet;
use std::time::Duration;

use aloft_base::{Backoff, Chance};
use tokio::time::Instant;

/// How many different events are not seen in a row before the breaker opens.
pub(crate) const TRIP: usize = 5;
/// How long it stays open: the bound doubles with each probe that fails.
pub(crate) const PROBES: Backoff = Backoff {
    base: Duration::from_secs(1),
    ceiling: Duration::from_secs(30),
};

/// What an attempt may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It goes on.
    Go,
    /// It goes on, and what becomes of it decides for all.
    Probe,
    /// It waits, at least until then or until the breaker changes. `None`: a probe is under way.
    Wait(Option<Instant>),
}

/// How an attempt ended, as far as the target is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The target saw the event.
    Well,
    /// It did not; this is a name of the event.
    Badly(u64),
    /// The target was not asked, or nobody waited for its answer.
    Unknown,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// The events that were not seen since the last one that was.
    failed: BTreeSet<u64>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    /// Probes that failed, the first failure included.
    failed: u32,
    is_probing: bool,
}

impl Breaker {
    /// Whether an attempt may begin now.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.open {
            None => Admission::Go,
            Some(open) if open.is_probing => Admission::Wait(None),
            Some(open) if now < open.until => Admission::Wait(Some(open.until)),
            Some(open) => {
                open.is_probing = true;
                Admission::Probe
            }
        }
    }

    /// Notes how an attempt ended. Answers whether the breaker opened or closed by it.
    pub(crate) fn ended(&mut self, is_probe: bool, ended: Ended, now: Instant, chance: &dyn Chance) -> bool {
        match (ended, &mut self.open) {
            // Also one that had begun before the breaker opened: the target works.
            (Ended::Well, open) => {
                self.failed.clear();
                open.take().is_some()
            }
            (Ended::Badly(event), None) => {
                self.failed.insert(event);
                if self.failed.len() < TRIP {
                    return false;
                }
                self.failed.clear();
                self.open = Some(Open {
                    until: now + PROBES.delay(1, chance),
                    failed: 1,
                    is_probing: false,
                });
                true
            }
            (Ended::Badly(_), Some(open)) if is_probe => {
                open.failed = open.failed.saturating_add(1);
                open.until = now + PROBES.delay(open.failed, chance);
                open.is_probing = false;
                false
            }
            (Ended::Unknown, Some(open)) if is_probe => {
                open.is_probing = false;
                false
            }
            (Ended::Badly(_) | Ended::Unknown, _) => false,
        }
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock as _, SeededChance, SystemClock};
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        SystemClock.instant().into()
    }

    #[test]
    fn one_event_that_always_fails_opens_nothing() {
        let (mut breaker, chance, now) = (Breaker::default(), SeededChance::new(1), start());
        for _ in 0..100 {
            assert!(!breaker.ended(false, Ended::Badly(7), now, &chance));
        }
        assert_eq!(breaker.admit(now), Admission::Go);
    }

    #[test]
    fn it_opens_probes_and_closes() {
        let (mut breaker, chance, mut now) = (Breaker::default(), SeededChance::new(1), start());
        for event in 0..4 {
            assert!(!breaker.ended(false, Ended::Badly(event), now, &chance));
        }
        breaker.ended(false, Ended::Well, now, &chance);
        for event in 0..4 {
            assert!(
                !breaker.ended(false, Ended::Badly(event), now, &chance),
                "a success began anew"
            );
        }
        assert!(breaker.ended(false, Ended::Badly(4), now, &chance));
        assert!(breaker.is_open());
        for failed in 1..10 {
            // What was under way when it opened changes nothing by failing too.
            assert!(!breaker.ended(false, Ended::Badly(5), now, &chance));
            let Admission::Wait(Some(until)) = breaker.admit(now) else {
                panic!("open");
            };
            assert!(until - now <= PROBES.bound(failed));
            now = until;
            assert_eq!(breaker.admit(now), Admission::Probe);
            assert_eq!(breaker.admit(now), Admission::Wait(None), "one probe at a time");
            assert!(!breaker.ended(true, Ended::Badly(6), now, &chance));
        }
        let Admission::Wait(Some(until)) = breaker.admit(now) else {
            panic!("open");
        };
        assert_eq!(breaker.admit(until), Admission::Probe);
        assert!(!breaker.ended(true, Ended::Unknown, until, &chance));
        assert_eq!(
            breaker.admit(until),
            Admission::Probe,
            "a probe that was given up is made again"
        );
        assert!(breaker.ended(true, Ended::Well, until, &chance));
        assert_eq!(breaker.admit(until), Admission::Go);
    }

    #[test]
    fn what_was_under_way_when_it_opened_neither_puts_the_probe_off_nor_lets_a_second_go() {
        let (mut breaker, chance, now) = (Breaker::default(), SeededChance::new(1), start());
        for event in 0..TRIP as u64 {
            breaker.ended(false, Ended::Badly(event), now, &chance);
        }
        let Admission::Wait(Some(until)) = breaker.admit(now) else {
            panic!("open");
        };
        for event in 0..20 {
            assert!(!breaker.ended(false, Ended::Badly(event), now, &chance));
            assert_eq!(breaker.admit(now), Admission::Wait(Some(until)));
        }
        assert_eq!(breaker.admit(until), Admission::Probe);
        for ended in [Ended::Unknown, Ended::Badly(7)] {
            assert!(!breaker.ended(false, ended, until, &chance));
            assert_eq!(breaker.admit(until), Admission::Wait(None), "after {ended:?}");
        }
        assert!(
            breaker.ended(false, Ended::Well, until, &chance),
            "the target works"
        );
        assert!(!breaker.is_open());
    }

    proptest! {
        /// Whatever ends in whatever order: at most one probe is under way, none waits longer than the ceiling while none is, and
        /// it is open only after as many different failures as it takes.
        #[test]
        fn it_never_locks_up(steps in prop::collection::vec((0u8..4, 0u64..8, 0u64..40), 1..200)) {
            let (mut breaker, chance, mut now) = (Breaker::default(), SeededChance::new(2), start());
            let (mut running, mut failed) = (Vec::new(), BTreeSet::new());
            for (what, event, seconds) in steps {
                match what {
                    0 | 1 => match breaker.admit(now) {
                        Admission::Go => running.push(false),
                        Admission::Probe => {
                            prop_assert!(!running.contains(&true), "two probes");
                            running.push(true);
                        }
                        Admission::Wait(None) => prop_assert!(running.contains(&true), "nobody would end the wait"),
                        Admission::Wait(Some(until)) => prop_assert!(until - now <= PROBES.ceiling),
                    },
                    2 => now += Duration::from_secs(seconds),
                    _ => if let Some(is_probe) = running.pop() {
                        let ended = match event {
                            0 => Ended::Well,
                            1 => Ended::Unknown,
                            event => Ended::Badly(event),
                        };
                        match ended {
                            Ended::Well => failed.clear(),
                            Ended::Badly(event) => { failed.insert(event); }
                            Ended::Unknown => {}
                        }
                        breaker.ended(is_probe, ended, now, &chance);
                        prop_assert!(!breaker.is_open() || failed.len() >= TRIP);
                    }
                }
            }
        }
    }
}
