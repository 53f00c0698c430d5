//! Reads values by their declarations and notes what is wrong with where it is. A wrong value is noted and its default goes
//! on in its place, so that one mistake does not hide the next; nothing made of it leaves the crate.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use aloft_base::{InvalidName, Size, format_duration, parse_duration};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::keys::{Absent, Bounded, Form, Key};
use crate::problem::{Problem, nearest};
use crate::source::{Span, Text};

/// After so many the file is something else, and more would help nobody.
pub(crate) const MAX_PROBLEMS: usize = 100;

pub(crate) struct Checker<'a> {
    pub(crate) text: Text<'a>,
    pub(crate) dir: Option<&'a Path>,
    problems: Vec<Problem>,
}

/// A table of the file.
pub(crate) struct Block<'t> {
    /// Where it is: its name.
    pub(crate) at: Span,
    /// Its name, for messages.
    pub(crate) title: String,
    table: &'t DeTable<'t>,
}

/// A key and its value.
#[derive(Clone)]
pub(crate) struct Entry<'t> {
    pub(crate) name: &'t str,
    /// Where the key is.
    pub(crate) at: Span,
    pub(crate) value: &'t Spanned<DeValue<'t>>,
}

/// Text with where it is.
pub(crate) struct Located<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: Span,
}

impl<'t> Block<'t> {
    pub(crate) fn new(title: impl Into<String>, at: Span, table: &'t DeTable<'t>) -> Self {
        Self {
            at,
            title: title.into(),
            table,
        }
    }

    /// Its entries in the order of the file.
    pub(crate) fn entries(&self) -> Vec<Entry<'t>> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                name: key.get_ref(),
                at: key.span(),
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.at.start);
        entries
    }

    pub(crate) fn get(&self, name: &str) -> Option<Entry<'t>> {
        self.table
            .iter()
            .find(|(key, _)| key.get_ref() == name)
            .map(|(key, value)| Entry {
                name: key.get_ref(),
                at: key.span(),
                value,
            })
    }
}

impl<'a> Checker<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str, dir: Option<&'a Path>) -> Self {
        Self {
            text: Text::new(file, text),
            dir,
            problems: vec![],
        }
    }

    /// All problems, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Problem> {
        self.problems
            .sort_by_key(|problem| (problem.line, problem.column));
        self.problems.truncate(MAX_PROBLEMS);
        self.problems
    }

    /// An entry's own name; what it names is said in the report of one that is not valid.
    pub(crate) fn name<Name: FromStr<Err = InvalidName>>(
        &mut self,
        entry: &Entry<'_>,
        what: &str,
    ) -> Option<Name> {
        let parsed = entry.name.parse().map_err(|error: InvalidName| {
            let message = format!("the {what}'s name {} is not valid", quoted(entry.name));
            self.report(&entry.at, message, error.rule);
        });
        parsed.ok()
    }

    pub(crate) fn report(&mut self, at: &Span, message: impl Into<String>, expected: impl Into<String>) {
        self.report_near(at, message, expected, None);
    }

    pub(crate) fn report_near(
        &mut self,
        at: &Span,
        message: impl Into<String>,
        expected: impl Into<String>,
        nearest: Option<String>,
    ) {
        let (line, column) = self.text.position(at.start);
        let expected = Some(expected.into()).filter(|text| !text.is_empty());
        let file = self.text.file.to_owned();
        self.problems.push(Problem {
            file,
            line,
            column,
            message: message.into(),
            expected,
            nearest,
        });
    }

    /// An entry's value as a table.
    pub(crate) fn block<'t>(&mut self, entry: &Entry<'t>, title: &str, expected: &str) -> Option<Block<'t>> {
        match entry.value.get_ref() {
            DeValue::Table(table) => Some(Block::new(title, entry.at.clone(), table)),
            other => {
                // `[[functions]]` has its header as its value: point at the name.
                let at = if other.is_array() {
                    entry.at.clone()
                } else {
                    entry.value.span()
                };
                self.report(
                    &at,
                    format!("{} is {}", quoted(entry.name), describe(other)),
                    expected,
                );
                None
            }
        }
    }

    /// Notes keys that are not declared.
    pub(crate) fn unknown_keys(&mut self, block: &Block<'_>, keys: &[Key]) {
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        self.unknown_names(block, &names);
    }

    pub(crate) fn unknown_names(&mut self, block: &Block<'_>, names: &[&str]) {
        for entry in block.entries() {
            if !names.contains(&entry.name) {
                let message = format!("there is no key {} in {}", quoted(entry.name), block.title);
                let expected = format!("one of {}", names.join(", "));
                self.report_near(
                    &entry.at,
                    message,
                    expected,
                    nearest(entry.name, names.iter().copied()),
                );
            }
        }
    }

    /// The text under a declared key. Notes it if it is missing and must not be.
    pub(crate) fn text<'t>(&mut self, block: &Block<'t>, key: &Key) -> Option<Located<'t>> {
        if block.get(key.name).is_none() && !matches!(key.absent, Absent::Refused) {
            return None;
        }
        self.required_text(block, key)
    }

    /// The text under a key that must be there.
    pub(crate) fn required_text<'t>(&mut self, block: &Block<'t>, key: &Key) -> Option<Located<'t>> {
        let Some(entry) = block.get(key.name) else {
            self.missing(block, key);
            return None;
        };
        self.text_of(&entry, &key.expected())
    }

    /// An entry's value as text.
    pub(crate) fn text_of<'t>(&mut self, entry: &Entry<'t>, expected: &str) -> Option<Located<'t>> {
        match entry.value.get_ref() {
            DeValue::String(text) => Some(Located {
                text,
                at: entry.value.span(),
            }),
            other => {
                self.report(
                    &entry.value.span(),
                    format!("{} is {}", quoted(entry.name), describe(other)),
                    expected,
                );
                None
            }
        }
    }

    /// The table under a declared key.
    pub(crate) fn inner<'t>(&mut self, block: &Block<'t>, key: &Key) -> Option<Block<'t>> {
        let entry = block.get(key.name)?;
        let title = format!("{} of {}", quoted(key.name), block.title);
        self.block(&entry, &title, &key.expected())
    }

    /// Notes that a key is missing that must be there.
    pub(crate) fn missing(&mut self, block: &Block<'_>, key: &Key) {
        let message = format!("{} is missing in {}", quoted(key.name), block.title);
        let expected = format!("{} = {}", key.name, key.example);
        self.report(&block.at.clone(), message, expected);
    }

    /// The value under a key that has bounds, or its default.
    pub(crate) fn bounded<U: Unit>(&mut self, block: &Block<'_>, bounds: &Bounded<U>) -> U {
        let Some(entry) = block.get(bounds.name) else {
            return bounds.default;
        };
        let value = entry.value.get_ref();
        let expected = bounds.expected();
        let Some(number) = U::read(value) else {
            let found = value.as_str().map_or(describe(value).to_owned(), |text| {
                format!("{}, not {}", quoted(text), U::WHAT)
            });
            self.report(
                &entry.value.span(),
                format!("{} is {found}", quoted(bounds.name)),
                expected,
            );
            return bounds.default;
        };
        if number < bounds.least || number > bounds.most {
            let size = if number < bounds.least {
                "too small"
            } else {
                "too large"
            };
            let message = format!("{} is {}, which is {size}", quoted(bounds.name), number.show());
            self.report(&entry.value.span(), message, expected);
            return bounds.default;
        }
        number
    }
}

impl Key {
    /// What is right for it, for a message.
    pub(crate) fn expected(&self) -> String {
        match &self.form {
            Form::Text(what) | Form::Table(what) => (*what).to_owned(),
            Form::Size(bounds) => bounds.expected(),
            Form::Duration(bounds) => bounds.expected(),
            Form::Count(bounds) => bounds.expected(),
        }
    }
}

impl<U: Unit> Bounded<U> {
    fn expected(&self) -> String {
        format!("{} from {} to {}", U::WHAT, self.least.show(), self.most.show())
    }
}

/// A sort of value that can be bounded.
pub(crate) trait Unit: Copy + PartialOrd {
    const WHAT: &'static str;
    fn read(value: &DeValue<'_>) -> Option<Self>;
    /// As it is written in the file.
    fn show(self) -> String;
}

impl Unit for Size {
    const WHAT: &'static str = "a size (B, KB, MB or GB)";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
    fn show(self) -> String {
        format!("\"{self}\"")
    }
}

impl Unit for Duration {
    const WHAT: &'static str = "a duration (ms, s, m, h or d)";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        parse_duration(value.as_str()?).ok()
    }
    fn show(self) -> String {
        format!("\"{}\"", format_duration(self))
    }
}

impl Unit for u32 {
    const WHAT: &'static str = "a whole number";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        // What does not fit is out of any bounds; which way is all that matters.
        let number = integer(value.as_integer()?)?;
        Some(Self::try_from(number.max(0)).unwrap_or(Self::MAX)).filter(|_| number >= 0)
    }
    fn show(self) -> String {
        self.to_string()
    }
}

/// The integer's value. TOML 1.1 promises 64 bits with sign; what is beyond is not a number for us.
pub(crate) fn integer(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// The sort of a value, for a message.
pub(crate) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A name or text in a message: quoted, escaped and cut.
pub(crate) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(100).collect();
    format!("{short:?}")
}
