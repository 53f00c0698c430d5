//! Where a rule stands in a shard of its log. A cursor is a row under the rule's number; whoever moves it expects the version
//! that it read, so that two owners can never both move it.
//!
//! A cursor is made at a position that a commit just before gave: the rule sees everything written after it was made. It names
//! its log, so that a table that was dropped and created anew gets a new cursor.
//!
//! `starts` counts how often a reader began to deliver at the very same place. An event that kills the node would otherwise be
//! read again for ever: when a place was begun too often, its events become tasks, whose crashes are counted one by one.

use aloft_base::Chance;
use aloft_codec::{KeyReader, KeyWriter, Reader, Unknown, Writer};
use aloft_delivery::RuleId;
use aloft_store::{Batch, BatchId, Direction, Expect, Key, LogId, Outcome, Position, Shard, Store, Version};
use bytes::Bytes;

use crate::Error;

const FORMAT: u8 = 1;
/// Delivery has the kinds below: see its layout.
const CURSOR: u8 = 3;
const MARK: u8 = 4;
/// How often making a cursor is tried again when somebody else made one meanwhile.
const TRIES: usize = 16;

/// A cursor as it was read or last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) key: Key,
    pub(crate) position: Position,
    pub(crate) starts: u32,
    pub(crate) expect: Expect,
    unknown: Unknown,
}

impl Cursor {
    /// Reads a cursor.
    pub(crate) async fn load(
        store: &dyn Store,
        rule: RuleId,
        name: &str,
        (log, shard): (LogId, Shard),
    ) -> Result<Option<Self>, Error> {
        let key = key_of(rule, log, shard)?;
        let Some(entry) = store.get(&key).await? else {
            return Ok(None);
        };
        let mut cursor = Self::at(key, Position::START);
        cursor.expect = Expect::Version(entry.version);
        cursor.read(&entry.value).map_err(|source| Error::Cursor {
            rule: name.to_owned(),
            source,
        })?;
        Ok(Some(cursor))
    }

    /// Adds to the batch what moves the cursor; it commits only if nobody else moved it.
    pub(crate) fn put(&self, batch: Batch, position: Position, starts: u32) -> Batch {
        let value = Writer::new(FORMAT)
            .bytes(1, &position.to_bytes())
            .u64(2, starts.into())
            .unknown(&self.unknown)
            .finish();
        batch
            .expect(self.key.clone(), self.expect)
            .put(self.key.clone(), value)
    }

    /// Notes that a commit moved it.
    pub(crate) fn moved(&mut self, position: Position, starts: u32, version: Version) {
        self.position = position;
        self.starts = starts;
        self.expect = Expect::Version(version);
    }

    fn at(key: Key, position: Position) -> Self {
        Self {
            key,
            position,
            starts: 0,
            expect: Expect::Absent,
            unknown: Unknown::default(),
        }
    }

    fn read(&mut self, value: &Bytes) -> Result<(), aloft_codec::Error> {
        let wrong = |_| aloft_codec::Error::Malformed {
            expected: "a log position",
            at: 0,
        };
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => self.position = Position::from_bytes(&field.bytes()).map_err(wrong)?,
                2 => self.starts = field.u32()?,
                _ => self.unknown.keep(&field),
            }
        }
        Ok(())
    }
}

/// Makes the rule's cursors into a log where they do not exist yet, and leaves those into other logs, which somebody may still
/// read. Once this is done, the rule sees all that is written; with `all` also what was written before.
pub(crate) async fn ensure(
    store: &dyn Store,
    rule: RuleId,
    name: &str,
    (log, shards): (LogId, u16),
    all: bool,
    chance: &dyn Chance,
) -> Result<(), Error> {
    for shard in (0..shards).map(Shard) {
        let mut tries = 0..TRIES;
        while Cursor::load(store, rule, name, (log, shard)).await?.is_none() {
            if tries.next().is_none() {
                return Err(Error::Contended(name.to_owned()));
            }
            // Any commit gives a position that lies behind all that was acknowledged; this one notes the rule's name.
            let mark = rule.0.key(&KeyWriter::new().u8(MARK).finish())?;
            let value = Writer::new(FORMAT).text(1, name).finish();
            let mark = Batch::new(BatchId::draw(chance)).put(mark, value);
            let Outcome::Committed(committed) = store.commit(mark).await? else {
                continue;
            };
            let position = if all { Position::START } else { committed.position };
            let cursor = Cursor::at(key_of(rule, log, shard)?, position);
            let batch = cursor.put(Batch::new(BatchId::draw(chance)), cursor.position, 0);
            if store.commit(batch).await?.is_committed() {
                break;
            }
        }
    }
    Ok(())
}

/// A cursor that is to go.
pub(crate) struct Left {
    pub(crate) cursor: Cursor,
    pub(crate) log: LogId,
    pub(crate) shard: Shard,
}

/// The rule's cursors but for those into `but`: at most a page, again and again until there are none.
pub(crate) async fn left(
    store: &dyn Store,
    rule: RuleId,
    name: &str,
    but: Option<LogId>,
) -> Result<Vec<Left>, Error> {
    let prefix = rule.0.prefix(&[CURSOR]);
    let page = store
        .snapshot()
        .await?
        .scan(&prefix, Direction::Forward, 1_000)
        .await?;
    let mut left = Vec::new();
    for entry in page.entries {
        let Some((log, shard)) = place_of(rule, &entry.key).filter(|(log, _)| Some(*log) != but) else {
            continue;
        };
        let mut cursor = Cursor::at(entry.key, Position::START);
        cursor.expect = Expect::Version(entry.version);
        cursor.read(&entry.value).map_err(|source| Error::Cursor {
            rule: name.to_owned(),
            source,
        })?;
        left.push(Left { cursor, log, shard });
    }
    Ok(left)
}

fn key_of(rule: RuleId, log: LogId, shard: Shard) -> Result<Key, Error> {
    Ok(rule
        .0
        .key(&KeyWriter::new().u8(CURSOR).u64(log.0).u16(shard.0).finish())?)
}

fn place_of(rule: RuleId, key: &Key) -> Option<(LogId, Shard)> {
    let rest = rule.0.rest(key)?;
    let mut parts = KeyReader::new(&rest);
    parts.u8().ok()?;
    Some((LogId(parts.u64().ok()?), Shard(parts.u16().ok()?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aloft_base::SystemClock;
    use aloft_store::layout::Id;
    use aloft_store::{BatchId, Memory};

    use super::*;

    /// A cursor is rewritten whenever it moves.
    #[tokio::test]
    async fn what_a_newer_release_wrote_into_a_cursor_survives() {
        let store = Memory::new(Arc::new(SystemClock));
        let (rule, of) = (RuleId(Id::from_u64(2_000)), (LogId(7), Shard(0)));
        let (before, after) = (Position::new(1, 2), Position::new(3, 4));
        let newer = |position: Position| {
            let writer = Writer::new(1).bytes(1, &position.to_bytes()).u64(2, 9);
            writer.text(99, "later").finish()
        };
        let key = key_of(rule, of.0, of.1).unwrap();
        let batch = Batch::new(BatchId(1)).put(key.clone(), newer(before));
        assert!(store.commit(batch).await.unwrap().is_committed());

        let cursor = Cursor::load(&store, rule, "r", of).await.unwrap().unwrap();
        assert_eq!((cursor.position, cursor.starts), (before, 9));
        let moved = store.commit(cursor.put(Batch::new(BatchId(2)), after, 9)).await;
        assert!(moved.unwrap().is_committed());
        assert_eq!(store.get(&key).await.unwrap().unwrap().value, newer(after));
    }
}
