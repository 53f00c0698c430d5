//! What is to be done for the starts that wait for memory: a pure decision over what instances hold.

use std::time::Instant;

/// What instances hold, in bytes. Each byte stands in one of the fields, besides `kept`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// What runs, and what is idle and kept loaded: none of it can be unloaded.
    pub(crate) fixed: u64,
    /// What runs and goes as soon as its calls have ended.
    pub(crate) leaving: u64,
    /// What was stopped and is not gone yet.
    pub(crate) stopped: u64,
    /// What can be unloaded: since when each has been idle, and what it counts.
    pub(crate) idle: Vec<(Instant, u64)>,
    /// The part of `fixed` that stays whatever ends, because it is kept loaded.
    pub(crate) kept: u64,
}

impl Held {
    pub(crate) fn add(&mut self, other: Self) {
        self.fixed = self.fixed.saturating_add(other.fixed);
        self.leaving = self.leaving.saturating_add(other.leaving);
        self.stopped = self.stopped.saturating_add(other.stopped);
        self.idle.extend(other.idle);
        self.kept = self.kept.saturating_add(other.kept);
    }

    fn total(&self) -> u64 {
        let idle = self.idle.iter().map(|(_, bytes)| *bytes);
        idle.fold(self.used(), u64::saturating_add)
    }

    /// Without what can be unloaded.
    fn used(&self) -> u64 {
        self.fixed
            .saturating_add(self.leaving)
            .saturating_add(self.stopped)
    }
}

/// A start that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) bytes: u64,
    /// Whether a call waits for it; otherwise its instance is only to be kept loaded.
    pub(super) is_called: bool,
}

/// What becomes of a start that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is room for it.
    Go,
    /// There will be, when what is unloaded is gone.
    Soon,
    /// Something that runs has to end first.
    Wait,
    /// As before, and nobody waits for it.
    Fail,
}

/// Decides about the starts that wait, in their order, and how many of those that have been idle longest are to be unloaded for them.
///
/// One that waits for what runs takes no place from those behind it: it may wait in vain.
pub(super) fn plan(budget: u64, mut held: Held, starts: &[Wanted]) -> (Vec<Verdict>, usize) {
    held.idle.sort_unstable();
    let mut idle = held.idle.iter().map(|(_, bytes)| *bytes);
    let (mut loaded, mut staying) = (held.total(), held.fixed.saturating_add(held.leaving));
    // What will be there when all is gone that was stopped or is unloaded here.
    let mut left = loaded - held.stopped;
    let (mut verdicts, mut unloaded) = (Vec::with_capacity(starts.len()), 0);
    for start in starts {
        // A node on which nothing is loaded loads everything.
        let fits = |used: u64| used == 0 || used.saturating_add(start.bytes) <= budget;
        let can_fit = fits(staying) && (start.is_called || loaded == 0 || start.bytes <= budget);
        let verdict = match (can_fit, start.is_called) {
            (false, true) => Verdict::Wait,
            (false, false) => Verdict::Fail,
            (true, _) if fits(loaded) => Verdict::Go,
            (true, _) => {
                while !fits(left)
                    && let Some(bytes) = idle.next()
                {
                    left -= bytes;
                    unloaded += 1;
                }
                Verdict::Soon
            }
        };
        if can_fit {
            for sum in [&mut loaded, &mut staying, &mut left] {
                *sum = sum.saturating_add(start.bytes);
            }
        }
        verdicts.push(verdict);
    }
    (verdicts, unloaded)
}

/// Which of the starts that wait needs something that runs to be given up: the first for which what leaves already is not enough, and
/// for which it could ever be.
pub(super) fn needs_more(budget: u64, held: &Held, starts: &[Wanted]) -> Option<usize> {
    let (mut staying, mut kept) = (held.fixed, held.kept);
    starts.iter().position(|start| {
        let fits = |used: u64| used == 0 || used.saturating_add(start.bytes) <= budget;
        if !start.is_called || !fits(kept) {
            return false;
        }
        if !fits(staying) {
            return true;
        }
        staying = staying.saturating_add(start.bytes);
        kept = kept.saturating_add(start.bytes);
        false
    })
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock, SystemClock};

    use super::*;

    fn held(fixed: u64, idle: &[u64]) -> Held {
        let now = SystemClock.instant();
        Held {
            fixed,
            idle: idle.iter().map(|bytes| (now, *bytes)).collect(),
            ..Held::default()
        }
    }

    fn called(bytes: u64) -> Wanted {
        Wanted {
            bytes,
            is_called: true,
        }
    }

    fn kept(bytes: u64) -> Wanted {
        Wanted {
            bytes,
            is_called: false,
        }
    }

    #[test]
    fn as_much_is_unloaded_as_the_starts_need() {
        use Verdict::{Go, Soon};
        let check = |held: Held, starts: &[Wanted], verdicts: &[Verdict], unloaded| {
            assert_eq!(plan(64, held, starts), (verdicts.to_vec(), unloaded));
        };
        check(held(0, &[]), &[called(100)], &[Go], 0);
        check(held(48, &[]), &[called(16), kept(0)], &[Go, Go], 0);
        check(held(40, &[8, 8, 8]), &[called(8)], &[Soon], 1);
        check(held(40, &[8, 8, 8]), &[called(8), kept(16)], &[Soon, Soon], 3);
        check(held(0, &[8, 8, 8]), &[called(100)], &[Soon], 3);
        // What was stopped before is waited for, and nothing is unloaded besides.
        let stopped = Held {
            stopped: 16,
            ..held(40, &[8])
        };
        check(stopped, &[called(16)], &[Soon], 0);
    }

    #[test]
    fn for_one_that_cannot_fit_nothing_is_unloaded_and_others_go_on() {
        use Verdict::{Fail, Go, Soon, Wait};
        let starts = [called(32), kept(32), called(8)];
        assert_eq!(plan(64, held(40, &[8]), &starts), (vec![Wait, Fail, Go], 0));
        assert_eq!(plan(64, held(40, &[8, 16]), &starts), (vec![Wait, Fail, Soon], 1));
        // Nothing is unloaded for one that is only to be kept and is larger than the node.
        assert_eq!(plan(64, held(0, &[8]), &[kept(100)]), (vec![Fail], 0));
        assert_eq!(plan(64, held(0, &[]), &[kept(100)]), (vec![Go], 0));
    }

    #[test]
    fn as_many_leave_as_the_starts_need() {
        assert_eq!(needs_more(64, &held(64, &[]), &[called(16)]), Some(0));
        let leaving = |leaving| Held {
            leaving,
            ..held(64 - leaving, &[])
        };
        assert_eq!(needs_more(64, &leaving(16), &[called(16)]), None);
        assert_eq!(needs_more(64, &leaving(16), &[called(16), called(8)]), Some(1));
        assert_eq!(needs_more(64, &leaving(16), &[called(16), kept(8)]), None);
        let kept = Held {
            kept: 60,
            ..held(64, &[])
        };
        assert_eq!(needs_more(64, &kept, &[called(16)]), None, "it never fits");
        assert_eq!(needs_more(64, &kept, &[called(16), called(4)]), Some(1));
    }
}
