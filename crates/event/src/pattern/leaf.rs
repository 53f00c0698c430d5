//! The values that a field may have. Literals are kept sorted, so that a list of a hundred ids costs seven comparisons; the
//! other matchers are few and tried in turn.

use serde_json::{Number, Value};

use super::decimal::Decimal;

/// A value that can be compared: anything but arrays and objects.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(&'a Number),
    Text(&'a str),
}

/// What is under a field of a pattern: matches if any part of it does.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Leaf {
    pub(super) among: Set,
    /// Each matches what is not in its set.
    pub(super) anything_but: Vec<Set>,
    pub(super) exists: bool,
    pub(super) is_missing: bool,
}

/// A set of scalars.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set {
    pub(super) null: bool,
    pub(super) yes: bool,
    pub(super) no: bool,
    pub(super) texts: Vec<Box<str>>,
    pub(super) prefixes: Vec<Box<str>>,
    pub(super) suffixes: Vec<Box<str>>,
    /// Folded with [`fold`].
    pub(super) folded: Vec<Box<str>>,
    pub(super) numbers: Vec<Decimal>,
    pub(super) ranges: Vec<Range>,
}

/// An interval of numbers; each end with whether it belongs to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Range {
    pub(super) low: Option<(Decimal, bool)>,
    pub(super) high: Option<(Decimal, bool)>,
}

impl Leaf {
    /// Whether what is under the field matches.
    pub(super) fn matches(&self, value: Option<&Value>) -> bool {
        match value.map_or(Found::Nothing, |value| self.search(value)) {
            Found::Match => true,
            Found::NoMatch => false,
            Found::Nothing => self.is_missing,
        }
    }

    /// Whether a value that is there matches.
    pub(super) fn contains(&self, scalar: Scalar<'_>) -> bool {
        self.exists
            || self.among.contains(scalar)
            || self.anything_but.iter().any(|set| !set.contains(scalar))
    }

    /// Puts the literals in order, once they are all there.
    pub(super) fn seal(&mut self) {
        for set in std::iter::once(&mut self.among).chain(&mut self.anything_but) {
            set.texts.sort_unstable();
            set.texts.dedup();
            set.numbers.sort_unstable();
            set.numbers.dedup();
        }
    }

    fn search(&self, value: &Value) -> Found {
        let scalar = match value {
            Value::Null => Scalar::Null,
            Value::Bool(flag) => Scalar::Boolean(*flag),
            Value::Number(number) => Scalar::Number(number),
            Value::String(text) => Scalar::Text(text),
            Value::Object(_) => return Found::Nothing,
            Value::Array(elements) => {
                let mut found = Found::Nothing;
                for element in elements {
                    match self.search(element) {
                        Found::Match => return Found::Match,
                        Found::NoMatch => found = Found::NoMatch,
                        Found::Nothing => {}
                    }
                }
                return found;
            }
        };
        if self.contains(scalar) {
            Found::Match
        } else {
            Found::NoMatch
        }
    }
}

/// What a search among the leaves of a value found.
enum Found {
    Match,
    NoMatch,
    /// There are no leaves.
    Nothing,
}

impl Set {
    fn contains(&self, scalar: Scalar<'_>) -> bool {
        match scalar {
            Scalar::Null => self.null,
            Scalar::Boolean(true) => self.yes,
            Scalar::Boolean(false) => self.no,
            Scalar::Number(number) => self.contains_number(number),
            Scalar::Text(text) => self.contains_text(text),
        }
    }

    fn contains_number(&self, number: &Number) -> bool {
        if self.numbers.is_empty() && self.ranges.is_empty() {
            return false;
        }
        let decimal = Decimal::from(number);
        self.numbers.binary_search(&decimal).is_ok()
            || self.ranges.iter().any(|range| range.contains(&decimal))
    }

    fn contains_text(&self, text: &str) -> bool {
        self.texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
            || self.prefixes.iter().any(|prefix| text.starts_with(&**prefix))
            || self.suffixes.iter().any(|suffix| text.ends_with(&**suffix))
            || self
                .folded
                .iter()
                .any(|folded| text.chars().flat_map(char::to_lowercase).eq(folded.chars()))
    }
}

impl Range {
    fn contains(&self, number: &Decimal) -> bool {
        let is_above = self
            .low
            .as_ref()
            .is_none_or(|(low, with)| number > low || (*with && number == low));
        let is_below = self
            .high
            .as_ref()
            .is_none_or(|(high, with)| number < high || (*with && number == high));
        is_above && is_below
    }
}

/// Text without its case, character by character (so that matching needs no copy of the event's text).
pub(super) fn fold(text: &str) -> Box<str> {
    text.chars()
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .into()
}
