//! What is kept: events, the groups and streams they lie in, and their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::{InvocationId, Tenant, Timestamp};
use aloft_codec::Unknown;
use aloft_observe::Invocation;

use crate::Error;
use crate::keep::Owned;

/// The largest message, in bytes: CloudWatch's, and the longest line that is read from a function.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;
/// What an event counts for beside its message: CloudWatch's.
pub const EVENT_BYTES: u64 = 26;
/// The days that a group may keep its events for: CloudWatch's.
pub const RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];
/// What functions' groups begin with.
pub const FUNCTIONS: &str = "/aws/lambda/";

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Somebody put it.
    Put,
    /// A function's line on standard output.
    Stdout,
    /// A function's line on standard error.
    Stderr,
    /// The platform's word about a function.
    Platform,
    /// The line before those of an invocation.
    Start,
    /// The line after those of an invocation.
    End,
    /// What an invocation took.
    Report,
    /// The record of an invocation of which the function's logging says nothing. Only whoever asks what became of a call finds it.
    Untold,
}

/// Something to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Whose it is.
    pub tenant: Tenant,
    /// The log group's name.
    pub group: Arc<str>,
    /// The stream's name.
    pub stream: Arc<str>,
    /// When it happened.
    pub at: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// The invocation that it belongs to.
    pub invocation: Option<InvocationId>,
    /// What it says.
    pub message: String,
    /// The metering record that a report is made of.
    pub record: Option<Box<Invocation>>,
}

impl Entry {
    /// What one takes up at least.
    pub(crate) const LEAST: usize = 128;

    /// Where it goes.
    pub(crate) fn owned(&self) -> Owned {
        (self.tenant.clone(), self.group.clone())
    }

    /// About how many bytes it keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        let record = self.record.as_ref().map_or(0, |record| 256 + words(record));
        self.message.len() + record + Self::LEAST
    }
}

/// The bytes of a record's words, which alone may be many.
pub(crate) fn words(record: &Invocation) -> usize {
    record.error.as_ref().map_or(0, String::len)
}

/// Where an event lies in its group's order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The event's time in milliseconds.
    pub at: u64,
    /// The number of the chunk that holds it.
    pub chunk: u64,
    /// Its place there.
    pub index: u32,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self::at(0);
    /// After everything.
    pub const END: Self = Self {
        at: u64::MAX,
        chunk: u64::MAX,
        index: u32::MAX,
    };

    /// Before everything of this millisecond.
    pub const fn at(millis: u64) -> Self {
        Self {
            at: millis,
            chunk: 0,
            index: 0,
        }
    }

    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            index: self.index.saturating_add(1),
            ..self
        }
    }

    /// As digits of a fixed width: an event's id.
    pub fn digits(self) -> String {
        format!("{:020}{:020}{:010}", self.at, self.chunk, self.index)
    }

    /// From [`digits`](Self::digits).
    pub fn parse(digits: &str) -> Option<Self> {
        if digits.len() != 50 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            at: digits.get(..20)?.parse().ok()?,
            chunk: digits.get(20..40)?.parse().ok()?,
            index: digits.get(40..)?.parse().ok()?,
        })
    }
}

/// An event that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where it lies.
    pub position: Position,
    /// The stream's name.
    pub stream: Arc<str>,
    /// When it was taken in.
    pub ingested: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// The invocation that it belongs to.
    pub invocation: Option<InvocationId>,
    /// What it says.
    pub message: String,
    /// The metering record that a report is made of.
    pub record: Option<Box<Invocation>>,
}

/// A log group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// How many days events are kept; always, if nothing is said.
    pub retention_days: Option<u32>,
    /// The bytes of its events by CloudWatch's reckoning: messages, and 26 for each.
    pub bytes: u64,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
    /// The number of the next stream or chunk.
    pub(crate) next: u64,
    /// The most milliseconds between the first and the last event of any chunk: so far before a time a chunk may begin that has an event
    /// of it.
    pub(crate) reach: u64,
    /// Fields that a newer release wrote.
    pub(crate) unknown: Unknown,
}

impl Group {
    /// Whether it is a function's.
    pub fn is_functions(&self) -> bool {
        self.name.starts_with(FUNCTIONS)
    }

    /// What lies before it is too old to be shown.
    pub(crate) fn oldest(&self, now: Timestamp) -> u64 {
        self.retention_days.map_or(0, |days| {
            now.as_millis().saturating_sub(u64::from(days) * 86_400_000)
        })
    }
}

/// A stream of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The time of its first event, if it has had any.
    pub first: Option<Timestamp>,
    /// The time of its last event.
    pub last: Option<Timestamp>,
    /// When an event was last taken in.
    pub ingested: Option<Timestamp>,
    /// Its number in the group: one that is made anew under the same name has another.
    pub(crate) id: u64,
    /// Whether the platform made it, so that it goes when its events have gone.
    pub(crate) is_automatic: bool,
    /// Fields that a newer release wrote.
    pub(crate) unknown: Unknown,
}

/// Checks a group's name by CloudWatch's rule.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_group(name: &str) -> Result<(), Error> {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-/.#".contains(&byte));
    if is_word && (1..=512).contains(&name.len()) {
        return Ok(());
    }
    let shown: String = name.chars().take(100).collect();
    Err(Error::Invalid(format!(
        "log group name \"{shown}\" is not valid: 1 to 512 characters of a-z, A-Z, 0-9, _, -, /, . and #"
    )))
}

/// Checks a stream's name by CloudWatch's rule.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_stream(name: &str) -> Result<(), Error> {
    let count = name.chars().count();
    if (1..=512).contains(&count) && !name.contains([':', '*', '\0']) {
        return Ok(());
    }
    let shown: String = name.chars().take(100).collect();
    Err(Error::Invalid(format!(
        "log stream name \"{shown}\" is not valid: 1 to 512 characters without : and *"
    )))
}
