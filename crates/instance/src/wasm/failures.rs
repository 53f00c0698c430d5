//! Components that could not be compiled: calls to them fail at once, and the compiler is not asked again in vain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aloft_call::Fault;

/// Failures that are known at once; each has at most what a compiler says. The one that was kept first goes first.
const KNOWN: usize = 256;
/// What may be due to the moment is tried again after twice as long as it took, so that others' components are compiled in between, and no
/// sooner than this.
const SOONEST: Duration = Duration::from_secs(60);

/// For how long a failure holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The component is wrong, and stays so.
    Always,
    /// It took too long or too much, or the compiler was killed: it may be the component, or the moment.
    AWhile,
    /// It was the platform's own failure.
    Not,
}

/// A component that was not compiled.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) holds: Holds,
}

/// What failed, by the component's file.
#[derive(Default)]
pub(super) struct Failures {
    known: BTreeMap<PathBuf, Known>,
    /// Failures that were ever kept.
    count: u64,
}

struct Known {
    number: u64,
    fault: Fault,
    until: Option<Instant>,
}

impl Failures {
    /// Why this component is not to be compiled now.
    pub(super) fn of(&self, file: &Path, now: Instant) -> Option<Fault> {
        let known = self.known.get(file)?;
        let holds = known.until.is_none_or(|until| now < until);
        holds.then(|| known.fault.clone())
    }

    /// Keeps a failure that took so long.
    pub(super) fn keep(&mut self, file: PathBuf, failure: &Failure, took: Duration, now: Instant) {
        let until = match failure.holds {
            Holds::Not => return,
            Holds::Always => None,
            Holds::AWhile => Some(now + (took * 2).max(SOONEST)),
        };
        self.count += 1;
        let known = Known {
            number: self.count,
            fault: failure.fault.clone(),
            until,
        };
        self.known.insert(file, known);
        if self.known.len() > KNOWN {
            let first = self.known.iter().min_by_key(|(_, known)| known.number);
            if let Some(first) = first.map(|(file, _)| file.clone()) {
                self.known.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::invalid;
    use super::*;
    use aloft_base::{Clock as _, SystemClock};

    fn failure(holds: Holds) -> Failure {
        Failure {
            fault: invalid("it is wrong"),
            holds,
        }
    }

    #[test]
    fn a_wrong_component_stays_wrong_and_a_hapless_one_is_tried_again() {
        let mut failures = Failures::default();
        let now = SystemClock.instant();
        let seconds = Duration::from_secs;
        let long = seconds(300);
        failures.keep("wrong".into(), &failure(Holds::Always), seconds(1), now);
        failures.keep("killed".into(), &failure(Holds::AWhile), seconds(1), now);
        failures.keep("slow".into(), &failure(Holds::AWhile), long, now);
        failures.keep("ours".into(), &failure(Holds::Not), long, now);
        let known = |after: u64| {
            ["wrong", "killed", "slow", "ours", "other"]
                .map(|file| failures.of(Path::new(file), now + seconds(after)).is_some())
        };
        assert_eq!(known(0), [true, true, true, false, false]);
        assert_eq!(known(59), [true, true, true, false, false]);
        assert_eq!(known(60), [true, false, true, false, false]);
        assert_eq!(known(600), [true, false, false, false, false]);
        assert_eq!(known(86_400), [true, false, false, false, false]);
        let told = failures.of(Path::new("wrong"), now).unwrap();
        assert!(told.to_string().contains("it is wrong"), "{told}");
    }

    #[test]
    fn the_first_that_was_kept_goes_first() {
        let mut failures = Failures::default();
        let now = SystemClock.instant();
        for number in 0..=KNOWN {
            // Against the order of names.
            let file = PathBuf::from(format!("{:04}", KNOWN - number));
            failures.keep(file, &failure(Holds::Always), SOONEST, now);
        }
        assert_eq!(failures.known.len(), KNOWN);
        assert!(failures.of(Path::new(&format!("{KNOWN:04}")), now).is_none());
        assert!(failures.of(Path::new("0000"), now).is_some());
        assert!(
            failures
                .of(Path::new(&format!("{:04}", KNOWN - 1)), now)
                .is_some()
        );
    }
}
