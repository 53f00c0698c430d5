//! The end of a benchmark: a table for people, one line of JSON for machines.

use serde_json::{Value, json};

use crate::stats::Spread;

/// One figure.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    spread: Spread,
    /// Whether quartiles say something: a single count has none.
    is_spread: bool,
    unit: &'static str,
    limit: Option<f64>,
}

impl Figure {
    /// A figure that is a median of many.
    pub fn spread(name: impl Into<String>, spread: Spread, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            spread,
            is_spread: true,
            unit,
            limit: None,
        }
    }

    /// A figure that is one number.
    pub fn single(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let spread = Spread {
            low: value,
            median: value,
            high: value,
        };
        Self {
            is_spread: false,
            ..Self::spread(name, spread, unit)
        }
    }

    /// With the most that was promised.
    #[must_use]
    pub fn at_most(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    fn value(&self) -> String {
        let number = |value: f64| match value.abs() {
            0.0..10.0 => format!("{value:.2}"),
            10.0..1000.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        };
        let Spread { low, median, high } = self.spread;
        let quartiles = if self.is_spread {
            format!("  ({} – {})", number(low), number(high))
        } else {
            String::new()
        };
        format!("{} {}{quartiles}", number(median), self.unit)
    }

    fn verdict(&self) -> String {
        self.limit.map_or_else(String::new, |limit| {
            let word = if self.spread.median <= limit {
                "kept"
            } else {
                "MISSED"
            };
            format!("≤ {limit} {}: {word}", self.unit)
        })
    }

    fn json(&self) -> Value {
        let Spread { low, median, high } = self.spread;
        json!({
            "name": self.name, "median": median, "low": low, "high": high, "unit": self.unit, "limit": self.limit,
        })
    }
}

/// What a benchmark found.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// An empty one.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a line on how it was measured.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints everything.
    pub fn print(&self) {
        let width = |text: &str| text.chars().count();
        let first = self
            .figures
            .iter()
            .map(|figure| width(&figure.name))
            .max()
            .unwrap_or(0);
        let second = self
            .figures
            .iter()
            .map(|figure| width(&figure.value()))
            .max()
            .unwrap_or(0);
        println!("\n{}", self.name);
        for figure in &self.figures {
            let line = format!(
                "  {:first$}  {:second$}  {}",
                figure.name,
                figure.value(),
                figure.verdict()
            );
            println!("{}", line.trim_end());
        }
        for note in &self.notes {
            println!("  · {note}");
        }
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        println!(
            "{}",
            json!({ "bench": self.name, "figures": figures, "notes": self.notes })
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_judged_by_the_median() {
        let spread = Spread {
            low: 1.1,
            median: 1.2,
            high: 1.4,
        };
        let figure = Figure::spread("ratio", spread, "×");
        assert_eq!(figure.value(), "1.20 ×  (1.10 – 1.40)");
        assert_eq!(figure.clone().at_most(1.3).verdict(), "≤ 1.3 ×: kept");
        assert_eq!(figure.at_most(1.15).verdict(), "≤ 1.15 ×: MISSED");
    }
}
