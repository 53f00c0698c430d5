//! How many requests come in a second.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A), which keeps one number: the time at which the next request would be on time. The
//! kept crate, `governor`, reads a clock of its own, and brings more than these few lines.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A bound of requests a second, which for one second may be passed twice over. Taking one is a loop of one atomic step.
#[derive(Debug)]
pub struct Rate {
    /// When the count began.
    origin: Instant,
    /// The time from the origin, in nanoseconds, at which the next request would be on time.
    next: AtomicU64,
    /// Requests a second; nothing if there is no bound.
    bound: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// A bound of so many a second; nothing is no bound.
    pub fn new(bound: Option<u64>, now: Instant) -> Self {
        Self {
            origin: now,
            next: AtomicU64::new(0),
            bound: AtomicU64::new(bound.unwrap_or(u64::MAX)),
        }
    }

    /// Another bound from now on.
    pub fn set(&self, bound: Option<u64>) {
        self.bound.store(bound.unwrap_or(u64::MAX), Relaxed);
    }

    /// Takes one, or says after which time there is one.
    ///
    /// # Errors
    /// How long to wait: at least a millisecond.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let bound = self.bound.load(Relaxed);
        if bound == u64::MAX {
            return Ok(());
        }
        // A bound of none lets one pass in 584 years.
        let step = SECOND.checked_div(bound).map_or(u64::MAX / 4, |step| step.max(1));
        let now = u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX);
        let mut next = self.next.load(Relaxed);
        loop {
            let due = next.max(now);
            let early = (due - now).saturating_sub(SECOND);
            if early > 0 || bound == 0 {
                return Err(Duration::from_nanos(early).max(Duration::from_millis(1)));
            }
            match self
                .next
                .compare_exchange_weak(next, due.saturating_add(step), Relaxed, Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(other) => next = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock as _, SystemClock};

    use super::*;

    fn taken(rate: &Rate, now: Instant, asked: usize) -> usize {
        (0..asked).filter(|_| rate.take(now).is_ok()).count()
    }

    #[test]
    fn a_second_more_than_the_bound_and_then_the_bound() {
        let begin = SystemClock.instant();
        let rate = Rate::new(Some(100), begin);
        assert_eq!(
            taken(&rate, begin, 1_000),
            101,
            "what was saved in a second, and one"
        );
        assert_eq!(taken(&rate, begin + Duration::from_millis(500), 1_000), 50);
        assert_eq!(
            taken(&rate, begin + Duration::from_secs(60), 1_000),
            101,
            "no more is saved"
        );
        let wait = rate.take(begin + Duration::from_secs(60)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(10));
        assert!(rate.take(begin + Duration::from_secs(60) + wait).is_ok());
    }

    #[test]
    fn none_is_none_and_no_bound_is_no_bound() {
        let begin = SystemClock.instant();
        assert_eq!(
            taken(&Rate::new(Some(0), begin), begin + Duration::from_secs(9), 10),
            0
        );
        let rate = Rate::new(None, begin);
        assert_eq!(taken(&rate, begin, 10_000), 10_000);
        rate.set(Some(1));
        assert_eq!(taken(&rate, begin, 10), 2);
    }
}
