//! What emits events: for now a table's change log. A source says which log a rule reads and makes an event of each record,
//! the same event every time, so that a repeat is recognised by its id.
//!
//! A table's event: `type` is `aloft.table.insert|modify|remove`, `source` `/tables/NAME`, `id` the change's sequence
//! number (unique within the table's log, so unique within the source), `time` when it was committed, `data`
//! `{"keys","new","old"}` in plain JSON. `subject` is the row's key: the hash key's value, and behind a `/` the range
//! key's if there is one. Text is written as it is, with `%` and characters that a CloudEvent may not hold percent-encoded, and
//! in a key of two parts a `/` inside a part is `%2F`, so that the parts can be told apart; numbers are written
//! canonically, bytes as Base64. A subject longer than an attribute may be is left out: `data.keys` always holds the key. A
//! change that an invocation made carries its lineage.

use aloft_base::{TableName, Timestamp};
use aloft_call::Event;
use aloft_event::printable;
use aloft_item::{Change, Item, Plain, Value};
use aloft_store::{LogId, Record};
use aloft_table::{Description, LOG_SHARDS, Table, decode_change};
use serde_json::{Map, Value as Json};

/// Something that emits events into a log.
pub trait Source: Send + Sync + 'static {
    /// What users call it, as in `/tables/orders`. What is made anew under a name has another log.
    fn name(&self) -> String;

    /// The log.
    fn log(&self) -> LogId;

    /// How many shards it has.
    fn shards(&self) -> u16;

    /// The event of a record; always the same for the same record. An error says what is wrong with the record.
    fn event(&self, record: &Record) -> Result<Event, String>;
}

/// A table's change log as a source.
#[derive(Debug, Clone)]
pub struct TableSource {
    table: TableName,
    log: LogId,
    /// The attribute of the hash key; `None` when it is not known, and then events have no subject.
    hash: Option<String>,
    range: Option<String>,
}

impl Source for TableSource {
    fn name(&self) -> String {
        format!("/tables/{}", self.table)
    }

    fn log(&self) -> LogId {
        self.log
    }

    fn shards(&self) -> u16 {
        LOG_SHARDS
    }

    fn event(&self, record: &Record) -> Result<Event, String> {
        let change = decode_change(record).map_err(|error| error.to_string())?;
        if change.table != self.table {
            // A retry of before the rule got another table.
            return Self::event_of_any(record);
        }
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
    /// The source of a table's changes.
    pub fn new(table: &Table) -> Self {
        let Description { name, schema, .. } = table.description();
        Self {
            table: name.clone(),
            log: table.log(),
            hash: Some(schema.hash.name.clone()),
            range: schema.range.as_ref().map(|range| range.name.clone()),
        }
    }

    /// The event of a record of some table, when nothing is known of the table but the record: it may be gone.
    pub(crate) fn event_of_any(record: &Record) -> Result<Event, String> {
        let change = decode_change(record).map_err(|error| error.to_string())?;
        let mut names = change.keys.0.keys();
        let hash = names.next().filter(|_| names.next().is_none()).cloned();
        Self {
            table: change.table.clone(),
            log: LogId(0),
            hash,
            range: None,
        }
        .event(record)
    }

    fn envelope(&self, change: &Change, at: Timestamp) -> Result<aloft_event::Event, EventError> {
        let source = self.name();
        let kind = format!("aloft.table.{}", change.kind);
        let event = aloft_event::Event::new(change.sequence.to_string(), source, kind)?.with_time(at);
        let subject = self.subject(&change.keys);
        let event = match subject {
            Some(subject) if subject.len() <= aloft_event::MAX_ATTRIBUTE_BYTES => {
                event.with_subject(subject)?
            }
            _ => event,
        };
        let event = match change.lineage {
            Some((root, depth)) => event.with_lineage(root, depth)?,
            None => event,
        };
        let event = match change.trace {
            Some(trace) => event.with_trace(trace)?,
            None => event,
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
        let hash = key_text(keys.get(self.hash.as_ref()?)?)?;
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
    use std::sync::Arc;

    use aloft_base::{InvocationId, Region, SeededChance, SystemClock, Tenant, Trace};
    use aloft_item::parse_item;
    use aloft_store::layout::Namespace;
    use aloft_store::{Memory, Position, Shard, Store};
    use aloft_table::{KeyAttribute, KeyKind, Schema, Tables};
    use serde_json::json;

    use super::*;

    /// The table's source, and the record that a put of the row appends.
    async fn put(schema: Schema, row: Json) -> (TableSource, Record) {
        put_by(None, schema, row).await
    }

    /// The same, of a put that an invocation made.
    async fn put_by(lineage: Option<(InvocationId, u8)>, schema: Schema, row: Json) -> (TableSource, Record) {
        put_in(None, lineage, schema, row).await
    }

    /// The same, of one that belongs to a trace besides.
    async fn put_in(
        trace: Option<Trace>,
        lineage: Option<(InvocationId, u8)>,
        schema: Schema,
        row: Json,
    ) -> (TableSource, Record) {
        let clock = Arc::new(SystemClock);
        let store = Arc::new(Memory::new(clock.clone()));
        let tables = Tables::open(store.clone(), clock, Arc::new(SeededChance::new(1)))
            .await
            .unwrap();
        let namespace = Namespace {
            tenant: Tenant::local(),
            region: Region::local(),
        };
        let table = tables
            .ensure(&namespace, &"orders".parse().unwrap(), &schema)
            .await
            .unwrap();
        let table = table.caused_by(lineage).traced(trace);
        table.put(parse_item(row).unwrap(), None).await.unwrap();
        let records = store
            .read_log(table.log(), Shard(0), Position::START, 2, 1 << 20)
            .await
            .unwrap();
        assert_eq!(records.len(), 1);
        (TableSource::new(&table), records[0].clone())
    }

    fn schema(hash: KeyKind, range: Option<KeyKind>) -> Schema {
        let attribute = |name: &str, kind| KeyAttribute {
            name: name.to_owned(),
            kind,
        };
        Schema {
            hash: attribute("id", hash),
            range: range.map(|kind| attribute("at", kind)),
        }
    }

    /// A retry of before the rule got another table stays an event of its own table.
    #[tokio::test]
    async fn a_record_of_another_table_is_that_table_s_event() {
        let schema = |hash: &str| Schema {
            hash: KeyAttribute {
                name: hash.to_owned(),
                kind: aloft_table::KeyKind::S,
            },
            range: None,
        };
        let (mut source, record) = put(schema("id"), json!({"id": {"S": "a"}})).await;
        let own = source.event(&record).unwrap();
        source.table = "invoices".parse().unwrap();
        source.hash = Some("number".to_owned());
        let event = source.event(&record).unwrap();
        assert_eq!(event.event.source(), own.event.source());
        assert_eq!(event.event.subject(), Some("a"));
    }

    #[tokio::test]
    async fn a_change_is_a_cloud_event() {
        let row = json!({"id": {"S": "o-1"}, "total": {"N": "19.80"}});
        let (source, record) = put(schema(KeyKind::S, None), row).await;
        let event = source.event(&record).unwrap();
        let sequence = event.change.as_ref().unwrap().sequence.to_string();
        assert_eq!(
            event.event.to_value(),
            json!({
                "specversion": "1.0", "id": sequence, "source": "/tables/orders", "type": "aloft.table.insert",
                "subject": "o-1", "time": record.at.to_string(), "datacontenttype": "application/json",
                "data": {"keys": {"id": "o-1"}, "new": {"id": "o-1", "total": 19.8}}
            })
        );
        assert_eq!(
            source.event(&record).unwrap().event,
            event.event,
            "a repeat is the same event"
        );
        assert_eq!(TableSource::event_of_any(&record).unwrap().event, event.event);
    }

    #[tokio::test]
    async fn the_event_of_an_invocations_write_carries_its_lineage() {
        let lineage = Some((InvocationId::from_u128(7), 3));
        for lineage in [None, lineage] {
            let row = json!({"id": {"S": "a"}});
            let (source, record) = put_by(lineage, schema(KeyKind::S, None), row).await;
            assert_eq!(source.event(&record).unwrap().event.lineage(), lineage);
            let of_any = TableSource::event_of_any(&record).unwrap().event;
            assert_eq!(of_any.lineage(), lineage);
        }
    }

    #[tokio::test]
    async fn the_event_of_a_traced_write_belongs_to_its_trace() {
        let recorded = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let unrecorded = Trace {
            sampled: false,
            ..recorded
        };
        for trace in [None, Some(recorded), Some(unrecorded)] {
            let row = json!({"id": {"S": "a"}});
            let (source, record) = put_in(trace, None, schema(KeyKind::S, None), row).await;
            let event = source.event(&record).unwrap().event;
            assert_eq!(event.trace(), trace);
            let said = event.to_value().get("traceparent").cloned();
            assert_eq!(said, trace.map(|trace| json!(trace.traceparent())));
        }
    }

    #[tokio::test]
    async fn the_subject_is_the_key_and_its_parts_can_be_told_apart() {
        use KeyKind::{B, N, S};
        for (row, hash, range, subject) in [
            (json!({"id": {"S": "a/b"}}), S, None, "a/b"),
            (json!({"id": {"S": "50%\n"}}), S, None, "50%25%0A"),
            (json!({"id": {"N": "1.50"}}), N, None, "1.5"),
            (json!({"id": {"B": "AAE="}}), B, None, "AAE="),
            (
                json!({"id": {"S": "a/b"}, "at": {"N": "7"}}),
                S,
                Some(N),
                "a%2Fb/7",
            ),
            (
                json!({"id": {"S": "a"}, "at": {"S": "b/c"}}),
                S,
                Some(S),
                "a/b%2Fc",
            ),
        ] {
            let (source, record) = put(schema(hash, range), row).await;
            assert_eq!(source.event(&record).unwrap().event.subject(), Some(subject));
            let of_any = TableSource::event_of_any(&record).unwrap().event;
            assert_eq!(of_any.subject(), range.is_none().then_some(subject));
        }
    }

    #[tokio::test]
    async fn a_record_of_something_else_is_refused() {
        let (source, record) = put(schema(KeyKind::S, None), json!({"id": {"S": "a"}})).await;
        for bad in [&b""[..], b"\x01", b"\x02", b"no change"] {
            let record = Record {
                value: bytes::Bytes::copy_from_slice(bad),
                ..record.clone()
            };
            assert!(source.event(&record).is_err(), "{bad:?}");
        }
    }
}
