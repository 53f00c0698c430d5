//! What emits events: for now a table's change log. A source says which log a rule reads and makes an event of each record,
//! the same event every time, so that a repeat is recognised by its id.
//!
//! A table's event: `type` is `aloft.table.insert|modify|remove`, `source` `/tables/NAME`, `id` the change's sequence
//! number (unique within the table's log, so unique within the source), `time` when it was committed, `data`
//! `{"keys","new","old"}` in plain JSON. `subject` is the row's key: the hash key's value, and behind a `/` the range
//! key's if there is one. Text is written as it is, with `%` and characters that a CloudEvent may not hold percent-encoded, and
//! in a key of two parts a `/` inside a part is `%2F`, so that the parts can be told apart; numbers are written
//! canonically, bytes as Base64. A subject longer than an attribute may be is left out: `data.keys` always holds the key.

use std::fmt;
use std::sync::Arc;

use aloft_base::{TableName, Timestamp};
use aloft_call::Event;
use aloft_event::printable;
use aloft_item::{Change, Item, Plain, Value};
use aloft_store::{LogId, Record};
use serde_json::{Map, Value as Json};

/// Something that emits events into a log.
pub trait Source: Send + Sync + 'static {
    /// The log.
    fn log(&self) -> LogId;

    /// How many shards it has.
    fn shards(&self) -> u16;

    /// The event of a record; always the same for the same record. An error says what is wrong with the record.
    fn event(&self, record: &Record) -> Result<Event, String>;
}

/// Reads a change from a record of a table's log.
pub type Decode = dyn Fn(&Record) -> Result<Change, String> + Send + Sync;

/// A table's change log as a source.
#[derive(Clone)]
pub struct TableSource {
    /// The table.
    pub table: TableName,
    /// Its log.
    pub log: LogId,
    /// The log's shards.
    pub shards: u16,
    /// The attribute of the hash key.
    pub hash: String,
    /// The attribute of the range key, if the table has one.
    pub range: Option<String>,
    /// Reads a change.
    pub decode: Arc<Decode>,
}

impl fmt::Debug for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSource")
            .field("table", &self.table)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Source for TableSource {
    fn log(&self) -> LogId {
        self.log
    }

    fn shards(&self) -> u16 {
        self.shards
    }

    fn event(&self, record: &Record) -> Result<Event, String> {
        let change = (self.decode)(record)?;
        let event = self
            .envelope(&change, record.at)
            .map_err(|error| error.to_string())?;
        Ok(Event {
            event,
            change: Some(change),
        })
    }
}

impl TableSource {
    fn envelope(&self, change: &Change, at: Timestamp) -> Result<aloft_event::Event, EventError> {
        let source = format!("/tables/{}", self.table);
        let kind = format!("aloft.table.{}", change.kind);
        let event = aloft_event::Event::new(change.sequence.to_string(), source, kind)?.with_time(at);
        let subject = self.subject(&change.keys);
        let event = match subject {
            Some(subject) if subject.len() <= aloft_event::MAX_ATTRIBUTE_BYTES => {
                event.with_subject(subject)?
            }
            _ => event,
        };
        let mut data = Map::new();
        data.insert("keys".to_owned(), plain(&change.keys)?);
        for (name, image) in [("new", &change.new), ("old", &change.old)] {
            if let Some(item) = image {
                data.insert(name.to_owned(), plain(item)?);
            }
        }
        Ok(event.with_json(Json::Object(data)))
    }

    fn subject(&self, keys: &Item) -> Option<String> {
        let hash = key_text(keys.get(&self.hash)?)?;
        let subject = match &self.range {
            None => printable(&hash).into_owned(),
            Some(range) => {
                let part = |text: &str| printable(text).replace('/', "%2F");
                format!("{}/{}", part(&hash), part(&key_text(keys.get(range)?)?))
            }
        };
        // An empty attribute is not allowed; DynamoDB's keys are never empty.
        (!subject.is_empty()).then_some(subject)
    }
}

#[derive(Debug, thiserror::Error)]
enum EventError {
    #[error(transparent)]
    Event(#[from] aloft_event::Error),
    #[error("an item cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

fn plain(item: &Item) -> Result<Json, serde_json::Error> {
    serde_json::to_value(Plain(item))
}

/// The text of a key attribute; only these three types are keys.
fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::S(text) => Some(text.clone()),
        Value::N(number) => Some(number.to_string()),
        Value::B(_) => match serde_json::to_value(Plain(value)).ok()? {
            Json::String(text) => Some(text),
            _ => None,
        },
        Value::Bool(_)
        | Value::Null
        | Value::M(_)
        | Value::L(_)
        | Value::Ss(_)
        | Value::Ns(_)
        | Value::Bs(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_item::{Kind, parse_item};
    use aloft_store::{BatchId, Position};
    use bytes::Bytes;
    use serde_json::json;

    fn source(range: Option<&str>, change: Change) -> TableSource {
        TableSource {
            table: "orders".parse().unwrap(),
            log: LogId(7),
            shards: 1,
            hash: "id".into(),
            range: range.map(str::to_owned),
            decode: Arc::new(move |_| Ok(change.clone())),
        }
    }

    fn change(keys: Json) -> Change {
        Change {
            table: "orders".parse().unwrap(),
            kind: Kind::Insert,
            keys: parse_item(keys.clone()).unwrap(),
            new: Some(parse_item(keys).unwrap()),
            old: None,
            at: Timestamp::from_millis(1),
            sequence: 41,
        }
    }

    fn record() -> Record {
        Record {
            position: Position::new(3, 1),
            key: Bytes::from_static(b"k"),
            value: Bytes::new(),
            batch: BatchId(1),
            at: Timestamp::from_millis(1_800_000_000_000),
        }
    }

    #[test]
    fn a_change_is_a_cloud_event() {
        let source = source(None, change(json!({"id": {"S": "o-1"}})));
        let event = source.event(&record()).unwrap();
        assert_eq!(
            event.event.to_value(),
            json!({
                "specversion": "1.0", "id": "41", "source": "/tables/orders", "type": "aloft.table.insert",
                "subject": "o-1", "time": "2027-01-15T08:00:00.000Z", "datacontenttype": "application/json",
                "data": {"keys": {"id": "o-1"}, "new": {"id": "o-1"}}
            })
        );
        assert!(event.change.is_some());
        assert_eq!(
            source.event(&record()).unwrap().event,
            event.event,
            "a repeat is the same event"
        );
    }

    #[test]
    fn the_subject_is_the_key_and_its_parts_can_be_told_apart() {
        for (keys, range, subject) in [
            (json!({"id": {"S": "a/b"}}), None, Some("a/b")),
            (json!({"id": {"S": "50%\n"}}), None, Some("50%25%0A")),
            (json!({"id": {"N": "1.50"}}), None, Some("1.5")),
            (json!({"id": {"B": "AAE="}}), None, Some("AAE=")),
            (
                json!({"id": {"S": "a/b"}, "at": {"N": "7"}}),
                Some("at"),
                Some("a%2Fb/7"),
            ),
            (
                json!({"id": {"S": "a"}, "at": {"S": "b/c"}}),
                Some("at"),
                Some("a/b%2Fc"),
            ),
            (json!({"other": {"S": "a"}}), None, None),
        ] {
            let event = source(range, change(keys.clone())).event(&record()).unwrap();
            assert_eq!(event.event.subject(), subject, "{keys}");
        }
        let long = "\u{1}".repeat(aloft_event::MAX_ATTRIBUTE_BYTES);
        let event = source(None, change(json!({"id": {"S": long}})))
            .event(&record())
            .unwrap();
        assert_eq!(event.event.subject(), None);
    }
}
