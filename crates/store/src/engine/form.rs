//! What lies where in the ground. The first byte of a key says what it is; values are `aloft-codec` values of format 1.
//!
//! | first byte | key | value |
//! |---|---|---|
//! | 0 | name of a fact about the store | number or list |
//! | 1 | the row's key | version, batch, value |
//! | 2 | log u64, shard u16, position 2 × u64 | key, value, batch, time |
//! | 3 | lane u64, due u64, commit u64, index u64 | task id, attempts, body |
//! | 4 | log u64, shard u16 | the position up to which it is trimmed |
//! | 5 | lane u64 | where the lane's first unsettled task may lie |
//! | 6 | partition u16 | its epoch |

use aloft_base::Timestamp;
use aloft_codec::{KeyReader, KeyWriter, Reader, Writer};
use bytes::Bytes;

use crate::work::Place;
use crate::{
    BatchId, Enqueue, Entry, Error, Key, Lane, LogId, Partition, Position, Record, Shard, Task, TaskId,
    Version,
};

const FORMAT: u8 = 1;
const FACT: u8 = 0;
const ROW: u8 = 1;
const RECORD: u8 = 2;
const TASK: u8 = 3;
const TRIM: u8 = 4;
const FLOOR: u8 = 5;
const EPOCH: u8 = 6;

/// The number of the last commit.
pub(crate) const LAST_COMMIT: &[u8] = &[FACT, b'c'];
/// How often the store was opened; the owner number in tokens.
pub(crate) const STARTS: &[u8] = &[FACT, b's'];
/// Present while a process has the store open: found at opening, it tells of an unclean end.
pub(crate) const OPEN: &[u8] = &[FACT, b'o'];
/// The unclean restarts.
pub(crate) const UNCLEAN: &[u8] = &[FACT, b'u'];
/// The level of the store's form.
pub(crate) const LEVEL: &[u8] = &[FACT, b'l'];

pub(crate) fn row_key(key: &[u8]) -> Bytes {
    KeyWriter::new().u8(ROW).raw(key).finish()
}

/// The row's own key, without the mark.
pub(crate) fn row_name(key: &Bytes) -> Bytes {
    key.slice(1.min(key.len())..)
}

/// The first ground key after all rows.
pub(crate) const ROWS_END: &[u8] = &[ROW + 1];

pub(crate) fn row(version: Version, batch: BatchId, value: &[u8]) -> Bytes {
    Writer::new(FORMAT)
        .u64(1, version.to_u64())
        .u128(2, batch.0)
        .bytes(3, value)
        .finish()
}

pub(crate) fn read_row(key: Bytes, bytes: &Bytes) -> Result<Entry, Error> {
    let read = || {
        let (mut version, mut value) = (0, Bytes::new());
        let mut fields = Reader::new(bytes, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => version = field.u64()?,
                3 => value = field.bytes(),
                _ => {}
            }
        }
        Ok((Version::from_u64(version), value))
    };
    let (version, value) = read().map_err(wrong("the row", &key))?;
    Ok(Entry {
        key: Key::new(key)?,
        value,
        version,
    })
}

pub(crate) fn record_key(log: LogId, shard: Shard, position: Position) -> Bytes {
    let (major, minor) = position.parts();
    KeyWriter::new()
        .u8(RECORD)
        .u64(log.0)
        .u16(shard.0)
        .u64(major)
        .u64(minor)
        .finish()
}

pub(crate) fn record(key: &[u8], value: &[u8], batch: BatchId, at: Timestamp) -> Bytes {
    Writer::new(FORMAT)
        .bytes(1, key)
        .bytes(2, value)
        .u128(3, batch.0)
        .u64(4, at.as_millis())
        .finish()
}

pub(crate) fn record_position(key: &Bytes) -> Result<Position, Error> {
    let read = || {
        let mut parts = KeyReader::new(key);
        let _ = (parts.u8()?, parts.u64()?, parts.u16()?);
        let position = Position::new(parts.u64()?, parts.u64()?);
        parts.end().map(|()| position)
    };
    read().map_err(wrong("the key of a log record", key))
}

pub(crate) fn read_record(key: &Bytes, bytes: &Bytes) -> Result<Record, Error> {
    let position = record_position(key)?;
    let read = || {
        let mut record = Record {
            position,
            key: Bytes::new(),
            value: Bytes::new(),
            batch: BatchId(0),
            at: Timestamp::default(),
        };
        let mut fields = Reader::new(bytes, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => record.key = field.bytes(),
                2 => record.value = field.bytes(),
                3 => record.batch = BatchId(field.u128()?),
                4 => record.at = Timestamp::from_millis(field.u64()?),
                _ => {}
            }
        }
        Ok(record)
    };
    read().map_err(wrong("the log record", key))
}

pub(crate) fn task_key(lane: Lane, place: Place) -> Bytes {
    let writer = KeyWriter::new().u8(TASK).u64(lane.0);
    writer
        .u64(place.due.as_millis())
        .u64(place.commit)
        .u64(place.index)
        .finish()
}

pub(crate) fn task_place(key: &Bytes) -> Result<Place, Error> {
    let read = || {
        let mut parts = KeyReader::new(key);
        let _ = (parts.u8()?, parts.u64()?);
        let place = Place {
            due: Timestamp::from_millis(parts.u64()?),
            commit: parts.u64()?,
            index: parts.u64()?,
        };
        parts.end().map(|()| place)
    };
    read().map_err(wrong("the task's key", key))
}

pub(crate) fn task(task: &Enqueue, batch: BatchId) -> Bytes {
    let writer = Writer::new(FORMAT)
        .u128(1, task.id.0)
        .u64(2, task.attempts.into());
    writer.bytes(3, &task.body).u128(4, batch.0).finish()
}

pub(crate) fn read_task(lane: Lane, place: Place, bytes: &Bytes) -> Result<Task, Error> {
    let read = || {
        let mut task = Task {
            id: TaskId(0),
            lane,
            due: place.due,
            attempts: 0,
            body: Bytes::new(),
        };
        let mut fields = Reader::new(bytes, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => task.id = TaskId(field.u128()?),
                2 => task.attempts = field.u32()?,
                3 => task.body = field.bytes(),
                _ => {}
            }
        }
        Ok(task)
    };
    read().map_err(|error| wrong("the task", &task_key(lane, place))(error))
}

pub(crate) fn trim_key(log: LogId, shard: Shard) -> Bytes {
    KeyWriter::new().u8(TRIM).u64(log.0).u16(shard.0).finish()
}

pub(crate) fn floor_key(lane: Lane) -> Bytes {
    KeyWriter::new().u8(FLOOR).u64(lane.0).finish()
}

pub(crate) fn epoch_key(partition: Partition) -> Bytes {
    KeyWriter::new().u8(EPOCH).u16(partition.0).finish()
}

/// A value that is a list of numbers: counters, positions, places, restarts.
pub(crate) fn numbers(numbers: &[u64]) -> Bytes {
    let writer = Writer::new(FORMAT);
    numbers
        .iter()
        .fold(writer, |writer, number| writer.u64(1, *number))
        .finish()
}

pub(crate) fn read_numbers(key: &[u8], bytes: &Bytes) -> Result<Vec<u64>, Error> {
    let read = || {
        let mut numbers = Vec::new();
        let mut fields = Reader::new(bytes, FORMAT)?;
        while let Some(field) = fields.next()? {
            if field.number() == 1 {
                numbers.push(field.u64()?);
            }
        }
        Ok(numbers)
    };
    read().map_err(wrong("the fact", key))
}

/// Says what could not be read. It is named when that happens: to name each row that a scan reads took a seventh of the scan.
fn wrong(what: &str, key: &[u8]) -> impl FnOnce(aloft_codec::Error) -> Error {
    move |error| Error::corrupt(format!("{what} \"{}\"", key.escape_ascii()), error)
}
