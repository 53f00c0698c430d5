//! A table's log: one record per write that changed its row, with both images, in the commit of the write.
//!
//! | field | value |
//! |---|---|
//! | 1, 2, 3 | the table's name, the row's keys, when |
//! | 4, 5 | the image before, the image after; at least one of them |
//! | 6, 7 | the chain's first invocation and the depth in it, when an invocation made the write |
//! | 8, 9, 10 | the trace that the write belongs to and the span in it, if there is one; 10 is there if it is not recorded |

use aloft_base::{InvocationId, TableName, Timestamp, Trace};
use aloft_codec::{Reader, Writer};
use aloft_item::{Change, Item, Kind};
use aloft_store::{Position, Record, Shard};
use bytes::Bytes;

use crate::coding::{read_item, write_item};
use crate::{Error, Table};

const FORMAT: u8 = 1;

/// How many shards a table's log has. One orders all of a table's changes; a rule reads it as one cursor.
pub const LOG_SHARDS: u16 = 1;

pub(crate) fn write(
    table: &Table,
    keys: &Item,
    old: Option<&Bytes>,
    new: Option<&Bytes>,
    at: Timestamp,
) -> Bytes {
    let mut writer = Writer::new(FORMAT)
        .text(1, table.description.name.as_str())
        .bytes(2, &write_item(keys))
        .u64(3, at.as_millis());
    if let Some(old) = old {
        writer = writer.bytes(4, old);
    }
    if let Some(new) = new {
        writer = writer.bytes(5, new);
    }
    if let Some((root, depth)) = table.lineage {
        writer = writer.u128(6, root.to_u128()).u64(7, depth.into());
    }
    if let Some(trace) = table.trace {
        writer = writer.u128(8, trace.trace).u64(9, trace.span);
        if !trace.sampled {
            writer = writer.u64(10, 1);
        }
    }
    writer.finish()
}

/// The bytes of records that one step of forgetting reads.
const TRIM_BYTES: usize = 4 << 20;

impl Table {
    /// Forgets changes made before `before`: one step, which looks at up to `limit` records. Says whether another step would
    /// find work now. A rule that had not read them learns it from the store, as [`aloft_store::Error::Trimmed`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_changes(&self, before: Timestamp, limit: usize) -> Result<bool, Error> {
        let store = &self.tables.0.store;
        let records = store
            .read_log(self.log(), Shard(0), Position::START, limit, TRIM_BYTES)
            .await?;
        let old = records.iter().take_while(|record| record.at < before);
        let Some(last) = old.last() else {
            return Ok(false);
        };
        store.trim_log(self.log(), Shard(0), last.position).await?;
        Ok(records.last().is_some_and(|record| record.at < before))
    }
}

/// Reads a record of a table's log.
///
/// # Errors
/// When it is none; then the store holds something wrong.
pub fn decode_change(record: &Record) -> Result<Change, Error> {
    let wrong = |reason: String| Error::corrupt(format!("log record {:?}", record.position), reason);
    let (mut table, mut keys, mut at, mut old, mut new) = (None, None, Timestamp::default(), None, None);
    let (mut root, mut depth) = (None, 0);
    let (mut trace, mut span, mut sampled) = (0, 0, true);
    let mut read = || -> Result<(), aloft_codec::Error> {
        let mut fields = Reader::new(&record.value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => table = field.text()?.parse::<TableName>().ok(),
                2 => keys = Some(read_item(&field.bytes())?),
                3 => at = Timestamp::from_millis(field.u64()?),
                4 => old = Some(read_item(&field.bytes())?),
                5 => new = Some(read_item(&field.bytes())?),
                6 => root = Some(InvocationId::from_u128(field.u128()?)),
                // Too deep for the type is far too deep for delivery.
                7 => depth = u8::try_from(field.u64()?).unwrap_or(u8::MAX),
                8 => trace = field.u128()?,
                9 => span = field.u64()?,
                10 => sampled = field.u64()? == 0,
                _ => {}
            }
        }
        Ok(())
    };
    read().map_err(|error| wrong(error.to_string()))?;
    let (Some(table), Some(keys)) = (table, keys) else {
        return Err(wrong("the table's name or the keys are missing".to_owned()));
    };
    let kind = match (&old, &new) {
        (None, Some(_)) => Kind::Insert,
        (Some(_), Some(_)) => Kind::Modify,
        (Some(_), None) => Kind::Remove,
        (None, None) => return Err(wrong("it has no image".to_owned())),
    };
    let (major, minor) = record.position.parts();
    let sequence = (u128::from(major) << 64) | u128::from(minor);
    Ok(Change {
        table,
        kind,
        keys,
        new,
        old,
        at,
        sequence,
        lineage: root.map(|root| (root, depth)),
        trace: (trace != 0 && span != 0).then_some(Trace { trace, span, sampled }),
    })
}
