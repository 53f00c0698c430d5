//! The one retry delay: exponential with full jitter and a ceiling. Full jitter (a uniform draw between zero and the
//! exponential bound) spreads a crowd of retries best; see M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.

use std::time::Duration;

use crate::Chance;

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first delay; it doubles with each attempt.
    pub base: Duration,
    /// No delay is longer.
    pub ceiling: Duration,
}

impl Backoff {
    /// The delay after `failed` failed attempts (1 after the first), drawn uniformly from zero to the bound.
    pub fn delay(&self, failed: u32, chance: &dyn Chance) -> Duration {
        let bound = self.bound(failed);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(chance.below(nanos.saturating_add(1)))
    }

    /// The longest delay that [`delay`](Self::delay) may draw after `failed` failed attempts.
    pub fn bound(&self, failed: u32) -> Duration {
        let factor = 1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededChance;

    #[test]
    fn delays_double_up_to_the_ceiling_and_are_spread() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            ceiling: Duration::from_secs(300),
        };
        assert_eq!(backoff.bound(1), Duration::from_secs(1));
        assert_eq!(backoff.bound(4), Duration::from_secs(8));
        assert_eq!(backoff.bound(10), Duration::from_secs(300));
        assert_eq!(backoff.bound(4_000_000), Duration::from_secs(300));
        let chance = SeededChance::new(1);
        let drawn: Vec<Duration> = (0..1_000).map(|_| backoff.delay(4, &chance)).collect();
        assert!(drawn.iter().all(|d| *d <= Duration::from_secs(8)));
        assert!(
            drawn.iter().any(|d| *d < Duration::from_secs(1))
                && drawn.iter().any(|d| *d > Duration::from_secs(7))
        );
    }
}
