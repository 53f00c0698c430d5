//! How much of what a tool says is told: a feed that is full of a compiler's lines tells of nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one moment.
const LINES: usize = 20;
const MOMENT: Duration = Duration::from_secs(1);

/// Lets some lines of each moment through, and counts the others.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    since: Option<Instant>,
    told: usize,
    left_out: usize,
}

impl Throttle {
    /// The lines that are told now that there is this one, if any.
    pub(crate) fn pass(&self, line: String, now: Instant) -> Vec<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        let is_over = |since| now.saturating_duration_since(since) >= MOMENT;
        if state.since.is_none_or(is_over) {
            if state.left_out > 0 {
                told.push(format!("({} lines are left out)", state.left_out));
            }
            *state = State {
                since: Some(now),
                ..State::default()
            };
        }
        if state.told < LINES {
            state.told += 1;
            told.push(line);
        } else {
            state.left_out += 1;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock as _, ManualClock, Timestamp};

    use super::*;

    #[test]
    fn what_comes_too_fast_is_counted_and_told_with_what_comes_later() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let throttle = Throttle::default();
        let mut told = Vec::new();
        for number in 0..100 {
            told.extend(throttle.pass(number.to_string(), clock.instant()));
        }
        assert_eq!(told.len(), LINES);
        clock.advance(MOMENT);
        assert_eq!(
            throttle.pass("later".to_owned(), clock.instant()),
            ["(80 lines are left out)", "later"]
        );
    }
}
