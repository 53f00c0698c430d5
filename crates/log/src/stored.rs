//! How logs lie in the store, below the id that a group's name is bound to:
//!
//! | key after the id | value |
//! |---|---|
//! | 1 | the group itself; whoever changes anything of it writes this row, and expects it as it was read |
//! | 2, stream's name | a stream |
//! | 3, first time, number | a chunk: events of one stream, in the order of time, at most [`SPAN`] apart |
//! | 4, invocation, first time | that a chunk has events of the invocation, or records of calls that it led to: until when |
//!
//! Events lie in chunks, and not in rows of their own, because an engine pays for each row: a function that prints a hundred lines
//! costs one. A chunk's span is bounded so that whoever reads from a time on knows how far before it a chunk may begin.

use std::sync::Arc;

use aloft_base::{InvocationId, Logging, Tenant, Timestamp};
use aloft_codec::{Error, KeyReader, KeyWriter, Reader, Writer};
use aloft_observe::{Found, Invocation};
use aloft_store::layout::Id;
use aloft_store::{Entry as Row, Key, KeyRange};
use bytes::Bytes;

use crate::event::{EVENT_BYTES, Event, Group, Kind, Position, Stream, words};

const FORMAT: u8 = 1;
const GROUP: u8 = 1;
const STREAM: u8 = 2;
const CHUNK: u8 = 3;
const INVOCATION: u8 = 4;

/// The most that the first and the last event of a chunk lie apart, in milliseconds. Shorter would make a chunk of almost each event
/// that is put with times far apart, longer would make reading from a time on begin far before it.
pub(crate) const SPAN: u64 = 10_000;
/// The same of what functions say: it is kept as it is said, and only the start of a long call that printed nothing lies far behind.
pub(crate) const FUNCTIONS_SPAN: u64 = 1_000;

/// Events of one stream that lie together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) number: u64,
    pub(crate) stream: Arc<str>,
    pub(crate) stream_id: u64,
    pub(crate) ingested: Timestamp,
    /// In the order of time.
    pub(crate) events: Vec<Kept>,
}

/// An event in its chunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) at: u64,
    pub(crate) kind: Kind,
    pub(crate) invocation: Option<InvocationId>,
    pub(crate) message: String,
    pub(crate) record: Option<Box<Invocation>>,
}

impl Kept {
    pub(crate) fn bytes(&self) -> u64 {
        let record = self.record.as_ref().map_or(0, |record| words(record));
        (self.message.len() + record) as u64 + EVENT_BYTES
    }
}

impl Chunk {
    pub(crate) fn first(&self) -> u64 {
        self.events.first().map_or(0, |event| event.at)
    }

    pub(crate) fn last(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.events.iter().map(Kept::bytes).sum()
    }

    /// Each invocation that has events in it, with the times of its first and last. A call's record is also one of its chain's first.
    pub(crate) fn invocations(&self) -> Vec<(InvocationId, u64, u64)> {
        let mut found: Vec<(InvocationId, u64, u64)> = Vec::new();
        for event in &self.events {
            let root = event.record.as_ref().and_then(|record| record.root);
            for id in event.invocation.into_iter().chain(root) {
                match found.iter_mut().rev().find(|(known, ..)| *known == id) {
                    Some((_, _, last)) => *last = event.at,
                    None => found.push((id, event.at, event.at)),
                }
            }
        }
        found
    }

    pub(crate) fn into_events(self) -> impl Iterator<Item = Event> {
        let (stream, ingested, chunk) = (self.stream, self.ingested, self.number);
        self.events.into_iter().zip(0..).map(move |(event, index)| Event {
            position: Position {
                at: event.at,
                chunk,
                index,
            },
            stream: stream.clone(),
            ingested,
            kind: event.kind,
            invocation: event.invocation,
            message: event.message,
            record: event.record,
        })
    }
}

pub(crate) fn group_key(id: Id) -> Result<Key, aloft_store::Error> {
    id.key(&[GROUP])
}

pub(crate) fn stream_key(id: Id, name: &str) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(STREAM).text(name).finish())
}

pub(crate) fn streams(id: Id) -> KeyRange {
    id.prefix(&[STREAM])
}

pub(crate) fn chunk_key(id: Id, first: u64, number: u64) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(CHUNK).u64(first).u64(number).finish())
}

pub(crate) fn chunks(id: Id) -> KeyRange {
    id.prefix(&[CHUNK])
}

/// The time and number in a chunk's key.
pub(crate) fn chunk_place(id: Id, key: &Key) -> Result<(u64, u64), aloft_store::Error> {
    let rest = id.rest(key).unwrap_or_default();
    let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
    let place = parts.u64().and_then(|first| Ok((first, parts.u64()?)));
    place.map_err(|error| corrupt("a chunk's key", error))
}

pub(crate) fn invocation_key(
    id: Id,
    invocation: InvocationId,
    first: u64,
) -> Result<Key, aloft_store::Error> {
    let key = KeyWriter::new().u8(INVOCATION).u128(invocation.to_u128());
    id.key(&key.u64(first).finish())
}

pub(crate) fn invocations(id: Id, invocation: InvocationId) -> KeyRange {
    let prefix = KeyWriter::new()
        .u8(INVOCATION)
        .u128(invocation.to_u128())
        .finish();
    id.prefix(&prefix)
}

/// The times between which the invocation has events, by one of its rows.
pub(crate) fn invocation_span(id: Id, row: &Row) -> Result<(u64, u64), aloft_store::Error> {
    let rest = id.rest(&row.key).unwrap_or_default();
    let mut parts = KeyReader::new(rest.get(17..).unwrap_or_default());
    let mut read = || {
        let first = parts.u64()?;
        let (mut last, mut fields) = (first, Reader::new(&row.value, FORMAT)?);
        while let Some(field) = fields.next()? {
            if field.number() == 1 {
                last = field.u64()?;
            }
        }
        Ok((first, last))
    };
    read().map_err(|error: Error| corrupt("a row of an invocation", error))
}

pub(crate) fn write_invocation(last: u64) -> Bytes {
    Writer::new(FORMAT).u64(1, last).finish()
}

pub(crate) fn corrupt(what: &str, error: Error) -> aloft_store::Error {
    aloft_store::Error::corrupt(what.to_owned(), error)
}

pub(crate) fn write_group(group: &Group) -> Bytes {
    let Group {
        name: _,
        created,
        retention_days,
        bytes,
        tags,
        next,
        reach,
        unknown,
    } = group;
    let mut writer = Writer::new(FORMAT)
        .u64(1, created.as_millis())
        .u64(2, *bytes)
        .u64(3, *next)
        .u64(6, *reach);
    if let Some(days) = retention_days {
        writer = writer.u64(4, (*days).into());
    }
    for (name, value) in tags {
        writer = writer.pair(5, name, value);
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read_group(name: &str, value: &Bytes) -> Result<Group, aloft_store::Error> {
    let read = || {
        let mut group = Group {
            name: name.to_owned(),
            ..Group::default()
        };
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => group.created = Timestamp::from_millis(field.u64()?),
                2 => group.bytes = field.u64()?,
                3 => group.next = field.u64()?,
                4 => group.retention_days = Some(field.u32()?),
                5 => group.tags.extend([field.pair()?]),
                6 => group.reach = field.u64()?,
                _ => group.unknown.keep(&field),
            }
        }
        Ok(group)
    };
    read().map_err(|error| corrupt("a log group", error))
}

pub(crate) fn write_stream(stream: &Stream) -> Bytes {
    let Stream {
        name: _,
        created,
        first,
        last,
        ingested,
        id,
        is_automatic,
        unknown,
    } = stream;
    let mut writer = Writer::new(FORMAT)
        .u64(1, created.as_millis())
        .u64(2, *id)
        .u64(3, (*is_automatic).into());
    for (number, time) in [(4, first), (5, last), (6, ingested)] {
        if let Some(time) = time {
            writer = writer.u64(number, time.as_millis());
        }
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read_stream(name: &str, value: &Bytes) -> Result<Stream, aloft_store::Error> {
    let read = || {
        let mut stream = Stream {
            name: name.to_owned(),
            ..Stream::default()
        };
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => stream.created = Timestamp::from_millis(field.u64()?),
                2 => stream.id = field.u64()?,
                3 => stream.is_automatic = field.u64()? != 0,
                4 => stream.first = Some(Timestamp::from_millis(field.u64()?)),
                5 => stream.last = Some(Timestamp::from_millis(field.u64()?)),
                6 => stream.ingested = Some(Timestamp::from_millis(field.u64()?)),
                _ => stream.unknown.keep(&field),
            }
        }
        Ok(stream)
    };
    read().map_err(|error| corrupt("a log stream", error))
}

/// The name in a stream's key.
pub(crate) fn stream_name(id: Id, key: &Key) -> Result<String, aloft_store::Error> {
    let rest = id.rest(key).unwrap_or_default();
    KeyReader::new(rest.get(1..).unwrap_or_default())
        .text()
        .map_err(|error| corrupt("a log stream's key", error))
}

pub(crate) fn write_chunk(chunk: &Chunk) -> Bytes {
    let mut writer = Writer::new(FORMAT)
        .text(1, &chunk.stream)
        .u64(2, chunk.stream_id)
        .u64(3, chunk.ingested.as_millis())
        .u64(5, chunk.last() - chunk.first());
    let first = chunk.first();
    for event in &chunk.events {
        writer = writer.nested(4, |event_writer| {
            let mut event_writer = event_writer
                .u64(1, event.at - first)
                .u64(2, code(event.kind))
                .text(3, &event.message);
            if let Some(invocation) = event.invocation {
                event_writer = event_writer.u128(4, invocation.to_u128());
            }
            match &event.record {
                Some(record) => event_writer.nested(5, |writer| write_record(writer, record)),
                None => event_writer,
            }
        });
    }
    writer.finish()
}

/// What stands before a chunk's events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) stream: Arc<str>,
    pub(crate) stream_id: u64,
    /// The milliseconds between the first and the last event.
    pub(crate) span: u64,
}

/// A chunk's head; its events are not even read.
pub(crate) fn read_chunk_head(value: &Bytes) -> Result<Head, aloft_store::Error> {
    let read = || {
        let mut head = Head {
            stream: "".into(),
            stream_id: 0,
            span: 0,
        };
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => head.stream = field.text()?.into(),
                2 => head.stream_id = field.u64()?,
                5 => head.span = field.u64()?,
                4 => break,
                _ => {}
            }
        }
        Ok(head)
    };
    read().map_err(|error| corrupt("a chunk of a log", error))
}

/// A chunk is never written again, so what a newer release added is passed over here and stays where it is.
pub(crate) fn read_chunk(first: u64, number: u64, value: &Bytes) -> Result<Chunk, aloft_store::Error> {
    let read = || {
        let mut chunk = Chunk {
            number,
            stream: "".into(),
            stream_id: 0,
            ingested: Timestamp::default(),
            events: Vec::new(),
        };
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => chunk.stream = field.text()?.into(),
                2 => chunk.stream_id = field.u64()?,
                3 => chunk.ingested = Timestamp::from_millis(field.u64()?),
                4 => chunk.events.push(read_event(first, field.nested()?)?),
                _ => {}
            }
        }
        Ok(chunk)
    };
    read().map_err(|error| corrupt("a chunk of a log", error))
}

fn read_event(first: u64, mut fields: Reader) -> Result<Kept, Error> {
    let mut event = Kept {
        at: first,
        kind: Kind::Put,
        invocation: None,
        message: String::new(),
        record: None,
    };
    let mut record = None;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => event.at = first.saturating_add(field.u64()?),
            2 => event.kind = kind(field.u64()?),
            3 => field.text()?.clone_into(&mut event.message),
            4 => event.invocation = Some(InvocationId::from_u128(field.u128()?)),
            5 => record = Some(field.nested()?),
            _ => {}
        }
    }
    if let (Some(record), Some(invocation)) = (record, event.invocation) {
        event.record = read_record(record, event.at, invocation)?;
    }
    Ok(event)
}

/// Time and invocation are the event's. In JSON it would be as long as all that Lambda says of a call.
fn write_record(writer: Writer, record: &Invocation) -> Writer {
    let micros = |millis: f64| (millis * 1e3).round() as u64;
    let mut writer = writer
        .text(1, record.function.as_str())
        .u64(2, record.number)
        .text(3, &record.kind)
        .u64(4, record.cold.into())
        .u64(5, micros(record.queued_ms))
        .u64(6, micros(record.init_ms))
        .u64(7, micros(record.run_ms))
        .u64(8, record.billed_ms)
        .u64(9, record.memory_peak_bytes)
        .u64(10, record.memory_limit_bytes)
        .u64(11, record.in_bytes)
        .u64(12, record.out_bytes)
        .text(13, &record.outcome);
    if let Some(version) = &record.version {
        writer = writer.text(14, version);
    }
    if let Some(root) = record.root {
        writer = writer.u128(15, root.to_u128());
    }
    let found = record.found;
    for (number, value) in [
        (17, record.depth.into()),
        (18, micros(record.sandbox_ms)),
        (19, micros(record.total_ms)),
        (20, found.loaded.into()),
        (21, found.busy.into()),
        (22, found.starting.into()),
        (23, found.waiting.into()),
        (24, found.is_full.into()),
        (25, micros(record.code_ms)),
    ] {
        // Most of them are.
        if value > 0 {
            writer = writer.u64(number, value);
        }
    }
    if record.trace != 0 {
        writer = writer.u128(26, record.trace);
    }
    match &record.error {
        Some(error) => writer.text(16, error),
        None => writer,
    }
}

/// The function is the first field; a record without one is none.
fn read_record(
    mut fields: Reader,
    at: u64,
    invocation: InvocationId,
) -> Result<Option<Box<Invocation>>, Error> {
    let function = match fields.next()? {
        Some(field) if field.number() == 1 => field.text()?.parse().ok(),
        _ => None,
    };
    let Some(function) = function else {
        return Ok(None);
    };
    let mut record = Box::new(Invocation {
        at: Timestamp::from_millis(at),
        invocation,
        // It lies in the log of whose it is, so it need not say.
        tenant: Tenant::local(),
        function,
        version: None,
        number: 0,
        kind: "".into(),
        root: None,
        depth: 0,
        trace: 0,
        cold: false,
        found: Found::default(),
        code_ms: 0.0,
        queued_ms: 0.0,
        init_ms: 0.0,
        sandbox_ms: 0.0,
        run_ms: 0.0,
        total_ms: 0.0,
        billed_ms: 0,
        memory_peak_bytes: 0,
        memory_limit_bytes: 0,
        in_bytes: 0,
        out_bytes: 0,
        outcome: "".into(),
        error: None,
        logging: Logging::Text,
    });
    while let Some(field) = fields.next()? {
        let millis = |micros: u64| micros as f64 / 1e3;
        match field.number() {
            2 => record.number = field.u64()?,
            3 => record.kind = field.text()?.into(),
            4 => record.cold = field.u64()? != 0,
            5 => record.queued_ms = millis(field.u64()?),
            6 => record.init_ms = millis(field.u64()?),
            7 => record.run_ms = millis(field.u64()?),
            8 => record.billed_ms = field.u64()?,
            9 => record.memory_peak_bytes = field.u64()?,
            10 => record.memory_limit_bytes = field.u64()?,
            11 => record.in_bytes = field.u64()?,
            12 => record.out_bytes = field.u64()?,
            13 => record.outcome = field.text()?.into(),
            14 => record.version = Some(field.text()?.into()),
            15 => record.root = Some(InvocationId::from_u128(field.u128()?)),
            16 => record.error = Some(field.text()?.to_owned()),
            17 => record.depth = u8::try_from(field.u64()?).unwrap_or(u8::MAX),
            18 => record.sandbox_ms = millis(field.u64()?),
            19 => record.total_ms = millis(field.u64()?),
            20 => record.found.loaded = field.u32()?,
            21 => record.found.busy = field.u32()?,
            22 => record.found.starting = field.u32()?,
            23 => record.found.waiting = field.u32()?,
            24 => record.found.is_full = field.u64()? != 0,
            26 => record.trace = field.u128()?,
            25 => record.code_ms = millis(field.u64()?),
            _ => {}
        }
    }
    Ok(Some(record))
}

fn code(kind: Kind) -> u64 {
    match kind {
        Kind::Put => 0,
        Kind::Stdout => 1,
        Kind::Stderr => 2,
        Kind::Platform => 3,
        Kind::Start => 4,
        Kind::End => 5,
        Kind::Report => 6,
        Kind::Untold => 7,
    }
}

/// A kind that a newer release added is shown as what it also is: something that was put.
fn kind(code: u64) -> Kind {
    match code {
        1 => Kind::Stdout,
        2 => Kind::Stderr,
        3 => Kind::Platform,
        4 => Kind::Start,
        5 => Kind::End,
        6 => Kind::Report,
        7 => Kind::Untold,
        _ => Kind::Put,
    }
}
