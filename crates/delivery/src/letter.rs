//! Dead letters: what was given up, with the reason, until somebody retries or drops it. They lie in the order of their
//! deaths; nothing removes one but a person, so none is lost without being seen.
//!
//! A letter mostly holds one event. A *range* stands for events that a log no longer holds or that became too old while nobody
//! read them: it counts them and says where they lay.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aloft_base::{Chance, Clock, Timestamp};
use aloft_codec::{Reader, Unknown, Writer};
use aloft_store::layout::Id;
use aloft_store::{Batch, BatchId, Direction, Expect, LogId, Outcome, Position, Shard, Store, Version};
use bytes::Bytes;

use crate::backlog::{Backlogs, Parked};
use crate::{Attempts, Error, Failures, Parcel, Reason, RuleId, Space};

const FORMAT: u8 = 1;
/// How often a change is tried again when somebody else changed the same thing.
const TRIES: usize = 16;

/// A dead letter's id: the millisecond of its death and chance, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub(crate) u128);

/// What was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The rule's number.
    pub rule: RuleId,
    /// The rule's name at that time.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// What.
    pub content: Content,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// What a dead letter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One delivery.
    One(Box<Parcel>),
    /// One delivery as it was stored, which cannot be read; empty when nothing was left of it.
    Raw(Bytes),
    /// Events that are only counted.
    Range(Range),
}

/// Events of a log's shard that were given up together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The log.
    pub log: LogId,
    /// The shard.
    pub shard: Shard,
    /// The first position; where the first records are gone, the one before them.
    pub from: Position,
    /// The last position.
    pub to: Position,
    /// How many events matched; `None` when the records were gone before anybody could look.
    pub events: Option<u64>,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id.
    pub id: LetterId,
    /// The letter.
    pub letter: Letter,
}

/// The dead letters of a namespace. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters {
    store: Arc<dyn Store>,
    space: Space,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl DeadLetters {
    /// The most letters of one page.
    pub const PAGE: usize = 100;

    /// The dead letters of a namespace.
    pub fn new(store: Arc<dyn Store>, space: Space, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self {
            store,
            space,
            clock,
            chance,
        }
    }

    /// Adds a letter to a batch.
    pub fn put(&self, batch: Batch, letter: &Letter) -> Result<Batch, Error> {
        let id = LetterId(u128::from(letter.at.as_millis()) << 64 | u128::from(self.chance.next_u64()));
        Ok(batch.put(self.space.letter(id)?, letter.encode()))
    }

    /// Letters, the newest first: those before `before`, at most `limit` and at most [`DeadLetters::PAGE`]. The flag tells whether
    /// there are more. An unreadable letter is an error: it names the letter, which can still be dropped.
    pub async fn list(&self, before: Option<LetterId>, limit: usize) -> Result<(Vec<Listed>, bool), Error> {
        let mut range = self.space.letters();
        if let Some(before) = before {
            range = range.before(&self.space.letter(before)?);
        }
        let snapshot = self.store.snapshot().await?;
        let page = snapshot
            .scan(&range, Direction::Backward, limit.clamp(1, Self::PAGE))
            .await?;
        let read = |entry: &aloft_store::Entry| {
            let id = self.space.letter_id(&entry.key)?;
            Ok(Listed {
                id,
                letter: Letter::decode(id, &entry.value)?,
            })
        };
        Ok((
            page.entries.iter().map(read).collect::<Result<_, Error>>()?,
            page.more,
        ))
    }

    /// One letter.
    pub async fn show(&self, id: LetterId) -> Result<Letter, Error> {
        self.get(id).await.map(|(letter, _)| letter)
    }

    /// Delivers a letter's event anew: it joins its key's backlog with all retries before it, its age counted from now, and the letter goes,
    /// in one commit. `heir` says which rule delivers it: mostly the letter's own; another of its name when that one is gone.
    pub async fn retry(&self, id: LetterId, heir: impl Fn(&Letter) -> Option<RuleId>) -> Result<(), Error> {
        for _ in 0..TRIES {
            let (letter, version) = self.get(id).await?;
            let rule = heir(&letter);
            let Content::One(parcel) = letter.content else {
                return Err(Error::NothingToRetry(id.to_string()));
            };
            let Some(rule) = rule else {
                return Err(Error::NoRule {
                    letter: id.to_string(),
                    rule: letter.name,
                });
            };
            let now = self.clock.now();
            let parcel = Parcel {
                born: now,
                attempts: Attempts::default(),
                is_alone: false,
                ..*parcel
            };
            let key = self.space.letter(id)?;
            let batch = Batch::new(BatchId::draw(&*self.chance))
                .expect(key.clone(), Expect::Version(version))
                .delete(key);
            let snapshot = self.store.snapshot().await?;
            let parked = [Parked { parcel, due: now }];
            let backlogs = Backlogs::new(rule);
            let (batch, overflow) = backlogs.park(batch, &*snapshot, &parked, &*self.chance).await?;
            if !overflow.is_empty() {
                return Err(Error::BacklogFull(id.to_string()));
            }
            if self.store.commit(batch).await?.is_committed() {
                return Ok(());
            }
        }
        Err(Error::Contended("the dead letter"))
    }

    /// Forgets a letter, readable or not.
    pub async fn drop(&self, id: LetterId) -> Result<(), Error> {
        let key = self.space.letter(id)?;
        for _ in 0..TRIES {
            let entry = self
                .store
                .get(&key)
                .await?
                .ok_or_else(|| Error::NoLetter(id.to_string()))?;
            let batch = Batch::new(BatchId::draw(&*self.chance))
                .expect(key.clone(), Expect::Version(entry.version))
                .delete(key.clone());
            if let Outcome::Committed(_) = self.store.commit(batch).await? {
                return Ok(());
            }
        }
        Err(Error::Contended("the dead letter"))
    }

    async fn get(&self, id: LetterId) -> Result<(Letter, Version), Error> {
        let entry = self.store.get(&self.space.letter(id)?).await?;
        let entry = entry.ok_or_else(|| Error::NoLetter(id.to_string()))?;
        Ok((Letter::decode(id, &entry.value)?, entry.version))
    }
}

impl Letter {
    /// The letter of one delivery.
    pub fn one(rule: RuleId, name: &str, reason: Reason, at: Timestamp, parcel: Parcel) -> Self {
        Self::of(rule, name, reason, at, Content::One(Box::new(parcel)))
    }

    /// The letter of a range.
    pub fn range(rule: RuleId, name: &str, reason: Reason, at: Timestamp, range: Range) -> Self {
        Self::of(rule, name, reason, at, Content::Range(range))
    }

    fn of(rule: RuleId, name: &str, reason: Reason, at: Timestamp, content: Content) -> Self {
        Self {
            rule,
            name: name.to_owned(),
            reason,
            at,
            content,
            unknown: Unknown::default(),
        }
    }

    /// How many events it stands for, as far as that is known.
    pub fn events(&self) -> u64 {
        match &self.content {
            Content::One(_) | Content::Raw(_) => 1,
            Content::Range(range) => range.events.unwrap_or(0),
        }
    }

    /// The failures of its delivery, if it holds one that was tried.
    pub fn failures(&self) -> Option<&Failures> {
        match &self.content {
            Content::One(parcel) => parcel.failures.as_ref(),
            Content::Raw(_) | Content::Range(_) => None,
        }
    }

    fn encode(&self) -> Bytes {
        let writer = Writer::new(FORMAT)
            .u64(1, self.rule.0.to_u64())
            .text(2, &self.name)
            .text(3, self.reason.word())
            .u64(4, self.at.as_millis());
        let writer = match &self.content {
            Content::One(parcel) => writer.bytes(5, &parcel.encode()),
            Content::Raw(bytes) => writer.bytes(6, bytes),
            Content::Range(range) => writer.nested(7, |inner| {
                let inner = inner
                    .u64(1, range.log.0)
                    .u64(2, range.shard.0.into())
                    .bytes(3, &range.from.to_bytes())
                    .bytes(4, &range.to.to_bytes());
                match range.events {
                    Some(events) => inner.u64(5, events),
                    None => inner,
                }
            }),
        };
        writer.unknown(&self.unknown).finish()
    }

    fn decode(id: LetterId, value: &Bytes) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable {
            what: format!("the dead letter \"{id}\""),
            source,
        };
        let missing = |expected| unreadable(aloft_codec::Error::Malformed { expected, at: 0 });
        let (mut rule, mut name, mut reason, mut at) =
            (RuleId(Id::from_u64(0)), String::new(), None, Timestamp::default());
        let (mut content, mut unknown) = (None, Unknown::default());
        let mut fields = Reader::new(value, FORMAT).map_err(unreadable)?;
        while let Some(field) = fields.next().map_err(unreadable)? {
            match field.number() {
                1 => rule = RuleId(Id::from_u64(field.u64().map_err(unreadable)?)),
                2 => name = field.text().map_err(unreadable)?.to_owned(),
                3 => reason = Reason::parse(field.text().map_err(unreadable)?),
                4 => at = Timestamp::from_millis(field.u64().map_err(unreadable)?),
                5 => content = Some(Content::One(Box::new(Parcel::decode(&field.bytes())?))),
                6 => content = Some(Content::Raw(field.bytes())),
                7 => {
                    content = Some(Content::Range(
                        read_range(field.nested().map_err(unreadable)?).map_err(unreadable)?,
                    ))
                }
                _ => unknown.keep(&field),
            }
        }
        let reason = reason.ok_or_else(|| missing("a reason that this release knows"))?;
        let content = content.ok_or_else(|| missing("what was given up"))?;
        Ok(Self {
            rule,
            name,
            reason,
            at,
            content,
            unknown,
        })
    }
}

fn read_range(mut fields: Reader) -> Result<Range, aloft_codec::Error> {
    let position = |bytes: Bytes| {
        Position::from_bytes(&bytes).map_err(|_| aloft_codec::Error::Malformed {
            expected: "a log position",
            at: 0,
        })
    };
    let mut range = Range {
        log: LogId(0),
        shard: Shard(0),
        from: Position::START,
        to: Position::START,
        events: None,
    };
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => range.log = LogId(field.u64()?),
            2 => range.shard = Shard(u16::try_from(field.u64()?).unwrap_or(u16::MAX)),
            3 => range.from = position(field.bytes())?,
            4 => range.to = position(field.bytes())?,
            5 => range.events = Some(field.u64()?),
            _ => {}
        }
    }
    Ok(range)
}

/// 32 hexadecimal digits.
impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for LetterId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_id = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        id.map(LetterId)
            .ok_or_else(|| Error::NoLetter(text.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_release_wrote_into_a_letter_survives() {
        let parcel = Parcel::new("1", crate::KeyHash(2), Timestamp::from_millis(3), Bytes::new());
        let later = Writer::new(1).text(99, "later").finish().slice(1..);
        let parcel: Bytes = [parcel.encode(), later.clone()].concat().into();
        let letter = Writer::new(FORMAT)
            .u64(1, 2_000)
            .text(2, "receipt")
            .text(3, Reason::Unreadable.word())
            .u64(4, 5)
            .bytes(5, &parcel)
            .finish();
        let newer: Bytes = [letter, later].concat().into();
        let read = Letter::decode(LetterId(1), &newer).unwrap();
        assert!(!read.unknown.is_empty());
        assert_eq!(read.encode(), newer, "the letter's own, and the delivery's in it");
    }
}
