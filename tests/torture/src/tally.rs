//! How often each fault struck and each check had something to check. A zero proves nothing and fails the run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// What a count is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// Something went wrong on purpose.
    Fault,
    /// Something was looked at.
    Check,
    /// Something was seen that need not be there.
    Note,
}

/// The counts.
#[derive(Default)]
pub(crate) struct Tally(Mutex<BTreeMap<(Of, &'static str), u64>>);

impl Tally {
    /// With these at 0, so that one that never comes is missed.
    pub(crate) fn of(faults: &[&'static str], checks: &[&'static str]) -> Self {
        let faults = faults.iter().map(|name| ((Of::Fault, *name), 0));
        let checks = checks.iter().map(|name| ((Of::Check, *name), 0));
        Self(Mutex::new(faults.chain(checks).collect()))
    }

    /// Counts some.
    pub(crate) fn add(&self, of: Of, name: &'static str, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((of, name)).or_default() += count;
    }

    /// The faults and checks that never came.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let zero = counts.iter().filter(|(_, count)| **count == 0);
        zero.map(|((_, name), _)| *name).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((of, name), count) in counts.iter() {
            let of = match of {
                Of::Fault => "fault",
                Of::Check => "check",
                Of::Note => "seen ",
            };
            writeln!(f, "{of}  {count:>7}  {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_missed() {
        let tally = Tally::of(&["kill", "pause"], &["orders"]);
        tally.add(Of::Fault, "kill", 2);
        tally.add(Of::Note, "refused", 1);
        assert_eq!(tally.missing(), ["pause", "orders"]);
        assert!(tally.to_string().contains("fault        2  kill"), "{tally}");
    }
}
