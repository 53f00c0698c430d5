//! What waits of one rule and one ordering key: the delivery that failed, and what came after it. As long as a key has a
//! backlog, its later events join it, so that each key's events arrive in the order of commits whatever fails; all other keys
//! go on.
//!
//! A backlog is a *head* (the numbers of its first row and of the next, and when the first event was born) and one row per parcel. One task in the rule's lane
//! stands for the whole backlog and moves from row to row. Whoever adds or removes a row expects the head's version, so that
//! a reader that adds and a runner that removes never overlook each other. A list in one value was rejected (it is rewritten
//! with each parcel), and so was one task per parcel (nothing would keep their order).
//!
//! At most [`Backlogs::LENGTH`] parcels wait for a key; what comes beyond is dead at once, with the reason, since a
//! backlog without bound would only move the overflow to the disk.

use std::collections::BTreeMap;

use aloft_base::{Chance, Timestamp};
use aloft_codec::{Reader, Unknown, Writer};
use aloft_store::{Batch, Direction, Enqueue, Entry, Expect, Snapshot, Task, TaskId};
use bytes::Bytes;

use crate::{Error, KeyHash, Parcel, RuleId};

const FORMAT: u8 = 1;
/// Heads that are read at once.
const PAGE: usize = 1_000;

/// The backlogs of a rule: how they are read, and the changes to them as parts of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Backlogs {
    rule: RuleId,
}

/// A parcel that joins its key's backlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The parcel.
    pub parcel: Parcel,
    /// When it is due if it is the first of its key; behind others it is due as soon as they are gone.
    pub due: Timestamp,
}

/// What a key's backlog holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    first: u64,
    next: u64,
    /// When the first parcel's event was born; unknown in stores of former releases.
    born: Option<Timestamp>,
    unknown: Unknown,
    expect: Expect,
}

/// What waits of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many events; a lower bound beyond [`Backlogs::SURVEYED`] keys.
    pub events: u64,
    /// When the oldest of them was born.
    pub oldest: Option<Timestamp>,
}

impl Backlogs {
    /// How many parcels of one key may wait.
    pub const LENGTH: u64 = 1_000;
    /// How many keys a survey looks at.
    pub const SURVEYED: usize = 10_000;

    /// The backlogs of a rule.
    pub fn new(rule: RuleId) -> Self {
        Self { rule }
    }

    /// Whether any key has a backlog.
    pub async fn any(&self, snapshot: &dyn Snapshot) -> Result<bool, Error> {
        let page = snapshot.scan(&self.rule.heads(), Direction::Forward, 1).await?;
        Ok(!page.entries.is_empty())
    }

    /// Whether this key has one.
    pub async fn has(&self, snapshot: &dyn Snapshot, key: KeyHash) -> Result<bool, Error> {
        Ok(snapshot.get(&self.rule.head(key)?).await?.is_some())
    }

    /// What waits. Reads a small row of each key.
    pub async fn waiting(&self, snapshot: &dyn Snapshot) -> Result<Waiting, Error> {
        let (mut waiting, mut range) = (Waiting::default(), self.rule.heads());
        for _ in 0..Self::SURVEYED / PAGE {
            let page = snapshot.scan(&range, Direction::Forward, PAGE).await?;
            // One that cannot be read is for whoever works on its key.
            let heads = page.entries.iter().filter_map(|entry| Head::decode(entry).ok());
            for head in heads {
                waiting.events += head.next.saturating_sub(head.first);
                waiting.oldest = waiting.oldest.into_iter().chain(head.born).min();
            }
            let Some(last) = page.entries.last().filter(|_| page.more) else {
                break;
            };
            range = range.after(&last.key);
        }
        Ok(waiting)
    }

    /// Adds the parcels, in their order, to the backlogs of their keys. Gives the batch and the parcels for which there is no
    /// room. If the commit then meets a conflict on a key that is not the caller's own, a backlog has changed meanwhile: take
    /// a new snapshot and park again.
    pub async fn park(
        &self,
        mut batch: Batch,
        snapshot: &dyn Snapshot,
        parcels: &[Parked],
        chance: &dyn Chance,
    ) -> Result<(Batch, Vec<Parcel>), Error> {
        let mut heads: BTreeMap<KeyHash, Head> = BTreeMap::new();
        let mut overflow = Vec::new();
        for Parked { parcel, due } in parcels {
            let key = parcel.key;
            let mut head = match heads.remove(&key) {
                Some(head) => head,
                None => self.head(snapshot, key).await?.unwrap_or_else(Head::new),
            };
            if head.next - head.first >= Self::LENGTH {
                overflow.push(parcel.clone());
            } else {
                if head.is_new() {
                    head.born = Some(parcel.born);
                    batch = batch.enqueue(task(self.rule, parcel, *due, chance));
                }
                batch = batch.put(self.rule.row(key, head.next)?, parcel.encode());
                head.next += 1;
            }
            heads.insert(key, head);
        }
        for (key, head) in heads {
            let name = self.rule.head(key)?;
            batch = batch.expect(name.clone(), head.expect).put(name, head.encode());
        }
        Ok((batch, overflow))
    }

    /// What a task stands for: its key's head and first parcel. `None` if the backlog is gone: the task is left over. A head without
    /// its parcel is damage: the two are written and taken away in one commit.
    pub(crate) async fn open(
        &self,
        snapshot: &dyn Snapshot,
        key: KeyHash,
    ) -> Result<Option<(Head, Option<Entry>)>, Error> {
        let Some(head) = self.head(snapshot, key).await? else {
            return Ok(None);
        };
        let row = snapshot.get(&self.rule.row(key, head.first)?).await?;
        Ok(Some((head, row)))
    }

    /// Writes down what is known of the first parcel, unless somebody else changed it since it was read.
    pub(crate) fn note(&self, batch: Batch, row: &Entry, parcel: &Parcel) -> Batch {
        batch
            .expect(row.key.clone(), Expect::Version(row.version))
            .put(row.key.clone(), parcel.encode())
    }

    /// Puts the first parcel back after an attempt, to be due at `due`. The task's token guards the row.
    pub(crate) fn retry(
        &self,
        batch: Batch,
        (head, parcel): (&Head, &Parcel),
        (task, due): (&Task, Timestamp),
    ) -> Result<Batch, Error> {
        let again = Enqueue {
            id: task.id,
            lane: task.lane,
            due,
            attempts: parcel.attempts.tried,
            body: task.body.clone(),
            claimed: None,
        };
        Ok(batch
            .put(self.rule.row(parcel.key, head.first)?, parcel.encode())
            .enqueue(again))
    }

    /// Takes the first parcel out; what follows it is due `now`.
    pub(crate) async fn advance(
        &self,
        batch: Batch,
        snapshot: &dyn Snapshot,
        key: KeyHash,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Batch, Error> {
        let Some(mut head) = self.head(snapshot, key).await? else {
            return Ok(batch);
        };
        let name = self.rule.head(key)?;
        let batch = batch
            .expect(name.clone(), head.expect)
            .delete(self.rule.row(key, head.first)?);
        head.first += 1;
        if head.first >= head.next {
            return Ok(batch.delete(name));
        }
        let row = snapshot.get(&self.rule.row(key, head.first)?).await?;
        // An unreadable row still gets a task: it is found unreadable again there, and ends in the dead letter.
        let parcel = row.and_then(|row| Parcel::decode(&row.value).ok());
        head.born = parcel.as_ref().map(|parcel| parcel.born);
        let tried = parcel.map_or(0, |parcel| parcel.attempts.tried);
        let next = Enqueue {
            id: TaskId::draw(chance),
            lane: self.rule.lane(),
            due: now,
            attempts: tried,
            body: encode_key(key),
            claimed: None,
        };
        Ok(batch.put(name, head.encode()).enqueue(next))
    }

    async fn head(&self, snapshot: &dyn Snapshot, key: KeyHash) -> Result<Option<Head>, Error> {
        let Some(entry) = snapshot.get(&self.rule.head(key)?).await? else {
            return Ok(None);
        };
        match Head::decode(&entry) {
            Ok(head) => Ok(Some(head)),
            Err(error) => {
                tracing::error!(%error, ?key, "the head of a backlog is damaged; it is made anew from what waits");
                self.found(snapshot, key, &entry).await.map(Some)
            }
        }
    }

    /// The head as the rows tell it, which stand without a gap. When there are none, a dead letter will stand for what there was.
    async fn found(&self, snapshot: &dyn Snapshot, key: KeyHash, damaged: &Entry) -> Result<Head, Error> {
        let rows = self.rule.rows(key);
        let one = async |direction| -> Result<Option<Entry>, Error> {
            Ok(snapshot.scan(&rows, direction, 1).await?.entries.pop())
        };
        let mut head = Head {
            expect: Expect::Version(damaged.version),
            ..Head::new()
        };
        if let (Some(first), Some(last)) = (one(Direction::Forward).await?, one(Direction::Backward).await?) {
            head.first = self.rule.number(&first.key)?;
            head.next = self.rule.number(&last.key)?.saturating_add(1);
            head.born = Parcel::decode(&first.value).ok().map(|parcel| parcel.born);
        }
        Ok(head)
    }
}

impl Head {
    fn new() -> Self {
        Self {
            first: 0,
            next: 0,
            born: None,
            unknown: Unknown::default(),
            expect: Expect::Absent,
        }
    }

    /// Whether there is no task for the backlog yet: neither one that is stored, nor one that this batch has made. A head that was
    /// damaged and found empty has its task.
    fn is_new(&self) -> bool {
        self.expect == Expect::Absent && self.next == 0
    }

    fn encode(&self) -> Bytes {
        let mut writer = Writer::new(FORMAT).u64(1, self.first).u64(2, self.next);
        if let Some(born) = self.born {
            writer = writer.u64(3, born.as_millis());
        }
        writer.unknown(&self.unknown).finish()
    }

    fn decode(entry: &Entry) -> Result<Self, Error> {
        let mut head = Self {
            expect: Expect::Version(entry.version),
            ..Self::new()
        };
        let mut read = || -> Result<(), aloft_codec::Error> {
            let mut fields = Reader::new(&entry.value, FORMAT)?;
            while let Some(field) = fields.next()? {
                match field.number() {
                    1 => head.first = field.u64()?,
                    2 => head.next = field.u64()?,
                    3 => head.born = Some(Timestamp::from_millis(field.u64()?)),
                    _ => head.unknown.keep(&field),
                }
            }
            Ok(())
        };
        read().map_err(Error::unreadable("the head of a backlog"))?;
        Ok(head)
    }
}

fn task(rule: RuleId, parcel: &Parcel, due: Timestamp, chance: &dyn Chance) -> Enqueue {
    Enqueue {
        id: TaskId::draw(chance),
        lane: rule.lane(),
        due,
        attempts: parcel.attempts.tried,
        body: encode_key(parcel.key),
        claimed: None,
    }
}

fn encode_key(key: KeyHash) -> Bytes {
    Writer::new(FORMAT).u128(1, key.0).finish()
}

/// The key whose backlog a task stands for. What a newer release added is passed over: a task is never rewritten. In stores of the first
/// days it was the key's bare bytes.
pub(crate) fn decode_key(body: &Bytes) -> Result<KeyHash, Error> {
    if let Ok(bare) = <[u8; 16]>::try_from(body.as_ref()) {
        return Ok(KeyHash(u128::from_be_bytes(bare)));
    }
    let read = || {
        let mut fields = Reader::new(body, FORMAT)?;
        while let Some(field) = fields.next()? {
            if field.number() == 1 {
                return field.u128().map(KeyHash);
            }
        }
        Err(aloft_codec::Error::Malformed {
            expected: "a key's hash",
            at: 0,
        })
    };
    read().map_err(Error::unreadable("a retry task"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aloft_base::{ManualClock, SeededChance};
    use aloft_store::layout::Id;
    use aloft_store::{BatchId, Memory, Store as _};

    use super::*;

    const RULE: RuleId = RuleId(Id::from_u64(3));
    const KEY: KeyHash = KeyHash(7);
    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn store() -> Memory {
        Memory::new(Arc::new(ManualClock::new(NOW)))
    }

    fn chance() -> SeededChance {
        SeededChance::new(1)
    }

    /// Parks so many parcels of one key; answers how many found no room.
    async fn park(store: &Memory, id: u128, count: u64) -> usize {
        let parcel = Parcel::new("e", KEY, NOW, Bytes::new());
        let parked = vec![Parked { parcel, due: NOW }; usize::try_from(count).unwrap()];
        let snapshot = store.snapshot().await.unwrap();
        let (batch, overflow) = Backlogs::new(RULE)
            .park(Batch::new(BatchId(id)), &*snapshot, &parked, &chance())
            .await
            .unwrap();
        assert!(store.commit(batch).await.unwrap().is_committed());
        overflow.len()
    }

    async fn advance(store: &Memory, id: u128) {
        let snapshot = store.snapshot().await.unwrap();
        let batch = Batch::new(BatchId(id));
        let (backlogs, chance) = (Backlogs::new(RULE), chance());
        let batch = backlogs.advance(batch, &*snapshot, KEY, NOW, &chance);
        assert!(store.commit(batch.await.unwrap()).await.unwrap().is_committed());
    }

    #[tokio::test]
    async fn there_is_room_for_as_many_as_have_left() {
        let store = store();
        assert_eq!(park(&store, 1, Backlogs::LENGTH).await, 0);
        for id in 2..=4 {
            advance(&store, id).await;
        }
        assert_eq!(park(&store, 5, 5).await, 2);
    }

    #[tokio::test]
    async fn a_backlog_has_one_task_however_many_join_it() {
        let store = store();
        park(&store, 1, 3).await;
        park(&store, 2, 3).await;
        let claims = store.receive(RULE.lane(), 9, std::time::Duration::from_secs(1));
        assert_eq!(claims.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_backlog_is_there_until_its_last_parcel_leaves() {
        let (store, backlogs) = (store(), Backlogs::new(RULE));
        let is_there = async || {
            let snapshot = store.snapshot().await.unwrap();
            let other = backlogs.has(&*snapshot, KeyHash(8)).await.unwrap();
            assert!(!other, "of a key that has none");
            let any = backlogs.any(&*snapshot).await.unwrap();
            (any, backlogs.has(&*snapshot, KEY).await.unwrap())
        };
        assert_eq!(is_there().await, (false, false));
        park(&store, 1, 2).await;
        assert_eq!(is_there().await, (true, true));
        advance(&store, 2).await;
        assert_eq!(is_there().await, (true, true));
        advance(&store, 3).await;
        assert_eq!(is_there().await, (false, false));
        // Who comes too late finds nothing to take out.
        advance(&store, 4).await;
        assert_eq!(is_there().await, (false, false));
    }

    #[tokio::test]
    async fn a_survey_looks_at_so_many_keys_and_no_more() {
        let store = store();
        let parked = |key| Parked {
            parcel: Parcel::new("e", KeyHash(key), NOW, Bytes::new()),
            due: NOW,
        };
        let keys: Vec<Parked> = (0..11_001).map(parked).collect();
        for (id, keys) in (1..).zip(keys.chunks(2_000)) {
            let snapshot = store.snapshot().await.unwrap();
            let batch = Batch::new(BatchId(id));
            let (batch, overflow) = Backlogs::new(RULE)
                .park(batch, &*snapshot, keys, &chance())
                .await
                .unwrap();
            assert!(overflow.is_empty());
            assert!(store.commit(batch).await.unwrap().is_committed());
        }
        let snapshot = store.snapshot().await.unwrap();
        let waiting = Backlogs::new(RULE).waiting(&*snapshot).await.unwrap();
        assert_eq!(waiting.events, Backlogs::SURVEYED as u64);
        assert_eq!(waiting.oldest, Some(NOW));
    }

    /// The head is rewritten with each parcel that joins or leaves.
    #[test]
    fn what_a_newer_release_wrote_into_a_head_survives() {
        let newer = Writer::new(1)
            .u64(1, 3)
            .u64(2, 5)
            .u64(3, 7)
            .text(99, "later")
            .finish();
        let entry = Entry {
            key: RuleId(aloft_store::layout::Id::from_u64(5_000))
                .head(KeyHash(1))
                .unwrap(),
            value: newer.clone(),
            version: aloft_store::Version::from_u64(1),
        };
        let mut head = Head::decode(&entry).unwrap();
        assert_eq!(head.encode(), newer);
        head.next += 1;
        let changed = Writer::new(1)
            .u64(1, 3)
            .u64(2, 6)
            .u64(3, 7)
            .text(99, "later")
            .finish();
        assert_eq!(head.encode(), changed);
    }

    #[test]
    fn a_task_is_read_whatever_a_newer_release_added() {
        let body = encode_key(KeyHash(7));
        assert_eq!(decode_key(&body).unwrap(), KeyHash(7));
        let bare = aloft_codec::KeyWriter::new().u128(7).finish();
        assert_eq!(decode_key(&bare).unwrap(), KeyHash(7));
        let newer = Writer::new(1).text(99, "later").u128(1, 7).finish();
        assert_eq!(decode_key(&newer).unwrap(), KeyHash(7));
        for wrong in [
            Writer::new(2).u128(1, 7).finish(),
            Writer::new(1).finish(),
            Bytes::new(),
        ] {
            assert!(decode_key(&wrong).is_err(), "{wrong:?}");
        }
    }
}
