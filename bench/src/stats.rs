//! Medians and quartiles. A mean would follow the one sample in which the machine did something else.

use std::time::Duration;

/// A median with its quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the samples lies below.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// A quarter of the samples lies above.
    pub high: f64,
}

impl Spread {
    /// Of these samples, in any order; all zero when there are none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self {
            low: quantile(&samples, 0.25),
            median: quantile(&samples, 0.5),
            high: quantile(&samples, 0.75),
        }
    }
}

/// A quantile of sorted samples, with linear interpolation between two.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = part * last as f64;
    let below = sorted.get(place as usize).copied().unwrap_or(0.0);
    let above = sorted
        .get((place as usize + 1).min(last))
        .copied()
        .unwrap_or(below);
    below + (above - below) * place.fract()
}

/// A quantile of times, in microseconds.
pub fn micros(times: &[Duration], part: f64) -> f64 {
    let mut samples: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    samples.sort_by(f64::total_cmp);
    quantile(&samples, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_samples() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of([]).median, 0.0);
        let times: Vec<_> = (1..=101).map(Duration::from_micros).collect();
        assert!((micros(&times, 0.99) - 100.0).abs() < 1e-6);
    }
}
