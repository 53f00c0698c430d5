//! A rule as it runs, and how a record becomes a parcel and a parcel an event again.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aloft_base::{FunctionName, Timestamp};
use aloft_call::Event;
use aloft_codec::{Reader, Writer};
use aloft_delivery::{Effect, Failure, KeyHash, Parcel, Policy, Reason, Unpack};
use aloft_event::Pattern;
use aloft_store::{BatchId, Position, Record};
use bytes::Bytes;

use crate::Source;

const FORMAT: u8 = 1;

/// What a user defined: source, pattern, target and bounds.
#[derive(Clone)]
pub struct Rule {
    /// The name. The rule's cursor belongs to it: a renamed rule is a new one, which sees what happens from then on.
    pub name: String,
    /// What emits the events.
    pub source: Arc<dyn Source>,
    /// Which of them the rule wants.
    pub pattern: Pattern,
    /// The function that is called with each.
    pub function: FunctionName,
    /// The bounds of its deliveries.
    pub policy: Policy,
    /// How many events are with the function at a time, of the log and of the retries together; at least 1. The controller admits and
    /// queues beyond that, so a larger number than the function's own only fills its queue.
    pub concurrency: usize,
    /// Which events wait for one another.
    pub order: Order,
}

/// Which of a rule's events are delivered one after another, in the order of their commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Those of one key. When one fails, those that follow it wait until it is delivered or given up.
    #[default]
    Key,
    /// None: each goes its own way, and a failed one holds up no other.
    None,
}

impl Rule {
    /// Whether running on with this instead of `other` makes no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.function == other.function
            && self.policy == other.policy
            && self.concurrency == other.concurrency
            && self.order == other.order
            && self.pattern == other.pattern
            && self.source.log() == other.source.log()
            && self.source.shards() == other.source.shards()
    }
}

impl Rule {
    /// What a record waits behind: its key, or by itself. Positions are of one shard, and a key is in one shard always.
    pub(crate) fn line(&self, record: &Record) -> KeyHash {
        match self.order {
            Order::Key => KeyHash::of(&record.key),
            Order::None => KeyHash::of(&[&record.position.to_bytes()[..], &record.key[..]].concat()),
        }
    }

    /// Whether a record is an event that the rule wants. One that cannot be read would have been given up: it counts.
    pub(crate) fn wants(&self, record: &Record) -> bool {
        event_of(&*self.source, record).map_or(true, |event| self.pattern.matches(&event.event))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("name", &self.name)
            .field("log", &self.source.log())
            .field("function", &self.function)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The event of a record. A source that panics over a record is as good as one that says it is unreadable: one
/// record must not end a rule.
pub(crate) fn event_of(source: &dyn Source, record: &Record) -> Result<Event, String> {
    match catch_unwind(AssertUnwindSafe(|| source.event(record))) {
        Ok(event) => event,
        Err(_) => Err("the source panicked over it".to_owned()),
    }
}

/// The parcel of a record, to be kept until it is delivered or given up. `line` is what it waits behind.
pub(crate) fn pack(record: &Record, line: KeyHash, event: Option<&Event>) -> Parcel {
    let body = Writer::new(FORMAT)
        .bytes(1, &record.position.to_bytes())
        .bytes(2, &record.key)
        .bytes(3, &record.value)
        .u128(4, record.batch.0)
        .u64(5, record.at.as_millis())
        .finish();
    let id = event.map_or_else(String::new, |event| event.event.id().to_owned());
    let parcel = Parcel::new(id, line, record.at, body);
    Parcel {
        lineage: event.and_then(|event| event.event.lineage()),
        ..parcel
    }
}

/// The record of a parcel.
pub(crate) fn record_of(body: &Bytes) -> Result<Record, aloft_codec::Error> {
    let mut record = Record {
        position: Position::START,
        key: Bytes::new(),
        value: Bytes::new(),
        batch: BatchId(0),
        at: Timestamp::default(),
    };
    let wrong = |_| aloft_codec::Error::Malformed {
        expected: "a log position",
        at: 0,
    };
    let mut fields = Reader::new(body, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => record.position = Position::from_bytes(&field.bytes()).map_err(wrong)?,
            2 => record.key = field.bytes(),
            3 => record.value = field.bytes(),
            4 => record.batch = BatchId(field.u128()?),
            5 => record.at = Timestamp::from_millis(field.u64()?),
            _ => {}
        }
    }
    Ok(record)
}

/// Makes events of a rule's parcels again.
pub(crate) struct Unpacker(pub(crate) Arc<dyn Source>);

impl Unpack for Unpacker {
    fn unpack(&self, parcel: &Parcel) -> Result<Event, Failure> {
        let event = record_of(&parcel.body).map_err(|error| error.to_string());
        let event = event.and_then(|record| event_of(&*self.0, &record));
        event.map_err(unreadable)
    }
}

/// The failure of a record that is no event.
pub(crate) fn unreadable(why: String) -> Failure {
    Failure::new(
        Effect::Final(Reason::Unreadable),
        "unreadable",
        format!("the record is no event: {why}"),
    )
}
