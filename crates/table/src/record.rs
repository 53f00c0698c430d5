//! A table's log: one record per write that changed its row, with both images, in the commit of the write.

use aloft_base::{TableName, Timestamp};
use aloft_codec::{Reader, Writer};
use aloft_item::{Change, Item, Kind};
use aloft_store::Record;
use bytes::Bytes;

use crate::Error;
use crate::coding::{read_item, write_item};

const FORMAT: u8 = 1;

/// How many shards a table's log has. One orders all of a table's changes; a rule reads it as one cursor.
pub const LOG_SHARDS: u16 = 1;

pub(crate) fn write(
    table: &TableName,
    keys: &Item,
    old: Option<&Bytes>,
    new: Option<&Bytes>,
    at: Timestamp,
) -> Bytes {
    let mut writer = Writer::new(FORMAT)
        .text(1, table.as_str())
        .bytes(2, &write_item(keys))
        .u64(3, at.as_millis());
    if let Some(old) = old {
        writer = writer.bytes(4, old);
    }
    if let Some(new) = new {
        writer = writer.bytes(5, new);
    }
    writer.finish()
}

/// Reads a record of a table's log.
///
/// # Errors
/// When it is none; then the store holds something wrong.
pub fn decode_change(record: &Record) -> Result<Change, Error> {
    let wrong = |reason: String| Error::corrupt(format!("log record {:?}", record.position), reason);
    let (mut table, mut keys, mut at, mut old, mut new) = (None, None, Timestamp::default(), None, None);
    let mut read = || -> Result<(), aloft_codec::Error> {
        let mut fields = Reader::new(&record.value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => table = field.text()?.parse::<TableName>().ok(),
                2 => keys = Some(read_item(&field.bytes())?),
                3 => at = Timestamp::from_millis(field.u64()?),
                4 => old = Some(read_item(&field.bytes())?),
                5 => new = Some(read_item(&field.bytes())?),
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
    })
}
