//! Names and numbers. A namespace is a tenant and a region; a name in it (a table's, a queue's) stands for a 64-bit id that
//! is never used again, and every key of its data starts with the id. So renaming and deleting touch one row, whatever lies
//! beneath, and what is created anew under an old name never sees old data.
//!
//! Deleting unbinds the name at once. What lies under the id is reclaimed later by [`reclaim`], in steps of a bounded size,
//! called by whoever owns the upkeep. It leaves an id alone for [`GRACE`], so that a request which had resolved the name
//! before cannot write behind the reclaimer's back. A lane is emptied by its owner, who receives and settles.
//!
//! Ids below 1,024 are the platform's own; 0 is the directory itself:
//!
//! | key after the directory's id | value |
//! |---|---|
//! | 1, tenant, region, kind, name | the id |
//! | 2 | the next id |
//! | 3, id | what is to be reclaimed: since when, how many log shards |

use std::time::Duration;

use aloft_base::{Chance, FunctionId, FunctionName, Region, Tenant, Timestamp};
use aloft_codec::{KeyReader, KeyWriter, Reader, Unknown, Writer};
use bytes::Bytes;

use crate::{
    ATTEMPTS, Batch, BatchId, Direction, Entry, Error, Expect, Key, KeyRange, Lane, LogId, MAX_OPERATIONS,
    Outcome, Position, Shard, Snapshot, Store, Version, commit_decided,
};

/// How long an id is left alone after its name was unbound: longer than any request that may have resolved it lives.
pub const GRACE: Duration = Duration::from_secs(60);
/// The first id that is given to a name.
pub const FIRST_ID: u64 = 1_024;

const FORMAT: u8 = 1;
const NAMES: u8 = 1;
const NEXT: u8 = 2;
const RECLAIMS: u8 = 3;
const DIRECTORY: Id = Id(0);

/// What data lies under. Never used again for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

impl Id {
    /// One of the platform's own ids, 1 to 1,023; whoever uses one says so in its documentation.
    pub const fn platform(number: u16) -> Self {
        assert!(
            number >= 1 && (number as u64) < FIRST_ID,
            "the platform's own ids are 1 to 1,023"
        );
        Self(number as u64)
    }

    /// From a number that [`to_u64`](Self::to_u64) gave.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// As a number, to be stored.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The key `rest` under this id.
    pub fn key(self, rest: &[u8]) -> Result<Key, Error> {
        Key::new(KeyWriter::new().u64(self.0).raw(rest).finish())
    }

    /// What follows the id in a key of it.
    pub fn rest(self, key: &Key) -> Option<Bytes> {
        let rest = key
            .as_bytes()
            .slice_ref(key.as_ref().strip_prefix(&self.0.to_be_bytes())?);
        Some(rest)
    }

    /// All keys under this id.
    pub fn range(self) -> KeyRange {
        self.prefix(&[])
    }

    /// All keys under this id that go on with `prefix`.
    pub fn prefix(self, prefix: &[u8]) -> KeyRange {
        KeyRange::prefix(&KeyWriter::new().u64(self.0).raw(prefix).finish())
    }

    /// The log of the same number.
    pub const fn log(self) -> LogId {
        LogId(self.0)
    }

    /// The lane of the same number.
    pub const fn lane(self) -> Lane {
        Lane(self.0)
    }
}

/// A tenant's part of a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// Whose it is.
    pub tenant: Tenant,
    /// Where it is.
    pub region: Region,
}

impl Namespace {
    /// A tenant's part of a region.
    pub fn new(tenant: &Tenant, region: &Region) -> Self {
        Self {
            tenant: tenant.clone(),
            region: region.clone(),
        }
    }

    /// The function of this name in it.
    pub fn function(&self, name: &FunctionName) -> FunctionId {
        FunctionId::new(&self.tenant, name)
    }
}

/// A name: kind (such as `table`) and text, within a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a> {
    /// The namespace.
    pub namespace: &'a Namespace,
    /// The kind of thing; kinds have names of their own.
    pub kind: &'a str,
    /// The name proper.
    pub name: &'a str,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The id.
    pub id: Id,
    /// The version of the binding, which changes when the name is bound anew.
    pub version: Version,
}

impl Name<'_> {
    /// The directory's key for this name; a batch may expect it.
    pub fn key(&self) -> Result<Key, Error> {
        DIRECTORY.key(&kind_prefix(self.namespace, self.kind).text(self.name).finish())
    }
}

/// What the name stands for, if anything.
pub async fn resolve(store: &dyn Store, name: Name<'_>) -> Result<Option<Binding>, Error> {
    binding(store.get(&name.key()?).await?)
}

/// The same at a snapshot's moment.
pub async fn resolve_in(snapshot: &dyn Snapshot, name: Name<'_>) -> Result<Option<Binding>, Error> {
    binding(snapshot.get(&name.key()?).await?)
}

fn binding(found: Option<Entry>) -> Result<Option<Binding>, Error> {
    let Some(entry) = found else {
        return Ok(None);
    };
    Ok(Some(Binding {
        id: Id(read_number(&entry.key, &entry.value, 1)?),
        version: entry.version,
    }))
}

/// The names of a kind in order, after `after`: at most `limit`, and whether there are more.
pub async fn list(
    store: &dyn Store,
    namespace: &Namespace,
    kind: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<(String, Id)>, bool), Error> {
    let prefix = kind_prefix(namespace, kind).finish();
    let mut range = DIRECTORY.prefix(&prefix);
    if let Some(after) = after {
        let name = Name {
            namespace,
            kind,
            name: after,
        };
        range = range.after(&name.key()?);
    }
    let page = store
        .snapshot()
        .await?
        .scan(&range, Direction::Forward, limit)
        .await?;
    let mut names = Vec::with_capacity(page.entries.len());
    for entry in page.entries {
        let id = Id(read_number(&entry.key, &entry.value, 1)?);
        let rest = DIRECTORY.rest(&entry.key).unwrap_or_default();
        let mut parts = KeyReader::new(rest.get(prefix.len()..).unwrap_or_default());
        let name = parts.text().and_then(|name| parts.end().map(|()| name));
        names.push((name.map_err(|error| wrong(&entry.key, error))?, id));
    }
    Ok((names, page.more))
}

/// The id of a name, which is bound if it is not. `None` if others kept binding names meanwhile.
pub async fn ensure(store: &dyn Store, name: Name<'_>, chance: &dyn Chance) -> Result<Option<Id>, Error> {
    for attempt in 1..=ATTEMPTS {
        if let Some(binding) = resolve(store, name).await? {
            return Ok(Some(binding.id));
        }
        let Some((id, batch)) = bind(store, name, Batch::new(BatchId::draw(chance))).await? else {
            continue;
        };
        if commit_decided(store, batch, attempt, chance).await? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Adds to `batch` what binds the name to a new id; `None` if the name is taken. A conflict of the batch on one of the
/// directory's keys means that somebody else bound a name meanwhile: bind again, with a new batch.
pub async fn bind(store: &dyn Store, name: Name<'_>, batch: Batch) -> Result<Option<(Id, Batch)>, Error> {
    if resolve(store, name).await?.is_some() {
        return Ok(None);
    }
    let next = DIRECTORY.key(&[NEXT])?;
    let found = store.get(&next).await?;
    let (id, unknown) = match &found {
        Some(entry) => read_next(&entry.key, &entry.value)?,
        None => (FIRST_ID, Unknown::default()),
    };
    let following = Writer::new(FORMAT).u64(1, id + 1).unknown(&unknown).finish();
    let key = name.key()?;
    let batch = batch
        .expect(key.clone(), Expect::Absent)
        .put(key, number(id))
        .expect(next.clone(), Expect::of(found.as_ref()))
        .put(next, following);
    Ok(Some((Id(id), batch)))
}

/// Adds to `batch` what unbinds the name, if it is still bound so, and hands its data, with the log of the id's number in
/// `shards` shards, to [`reclaim`].
pub fn unbind(
    name: Name<'_>,
    binding: Binding,
    shards: u16,
    now: Timestamp,
    batch: Batch,
) -> Result<Batch, Error> {
    let key = name.key()?;
    let reclaim = Writer::new(FORMAT)
        .u64(1, now.as_millis())
        .u64(2, shards.into())
        .finish();
    Ok(batch
        .expect(key.clone(), Expect::Version(binding.version))
        .delete(key)
        .put(reclaim_key(binding.id)?, reclaim))
}

/// What a step of reclaiming did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reclaimed {
    /// How many rows it removed.
    pub rows: usize,
    /// Whether another step would find work now.
    pub more: bool,
}

/// One step of reclaiming: removes up to `limit` rows (at most 10,000) of an id whose name was unbound at least [`GRACE`]
/// ago, or, when it has none left, its log. Only one may run at a time.
pub async fn reclaim(
    store: &dyn Store,
    limit: usize,
    now: Timestamp,
    chance: &dyn Chance,
) -> Result<Reclaimed, Error> {
    let snapshot = store.snapshot().await?;
    let waiting = snapshot
        .scan(&DIRECTORY.prefix(&[RECLAIMS]), Direction::Forward, 1_000)
        .await?;
    let mut ripe = None;
    for entry in waiting.entries {
        let since = Timestamp::from_millis(read_number(&entry.key, &entry.value, 1)?);
        if now.since(since) >= GRACE {
            ripe = Some(entry);
            break;
        }
    }
    let Some(entry) = ripe else {
        return Ok(Reclaimed::default());
    };
    let rest = DIRECTORY.rest(&entry.key).unwrap_or_default();
    let id = KeyReader::new(rest.get(1..).unwrap_or_default()).u64();
    let id = Id(id.map_err(|error| wrong(&entry.key, error))?);
    let page = snapshot
        .scan(&id.range(), Direction::Forward, limit.clamp(1, MAX_OPERATIONS))
        .await?;
    drop(snapshot);
    let mut batch = Batch::new(BatchId::draw(chance));
    if page.entries.is_empty() {
        let shards = u16::try_from(read_number(&entry.key, &entry.value, 2)?).unwrap_or(u16::MAX);
        for shard in 0..shards {
            store.trim_log(id.log(), Shard(shard), Position::END).await?;
        }
        batch = batch.delete(entry.key);
    }
    let rows = page.entries.len();
    let batch = page
        .entries
        .into_iter()
        .fold(batch, |batch, entry| batch.delete(entry.key));
    match store.commit(batch).await? {
        Outcome::Committed(_) => Ok(Reclaimed { rows, more: true }),
        refused => Err(Error::corrupt(
            "the reclaimer's batch",
            format!("it expects nothing and got {refused:?}"),
        )),
    }
}

fn kind_prefix(namespace: &Namespace, kind: &str) -> KeyWriter {
    let writer = KeyWriter::new().u8(NAMES).text(namespace.tenant.as_str());
    writer.text(namespace.region.as_str()).text(kind)
}

fn reclaim_key(id: Id) -> Result<Key, Error> {
    DIRECTORY.key(&KeyWriter::new().u8(RECLAIMS).u64(id.0).finish())
}

fn number(number: u64) -> Bytes {
    Writer::new(FORMAT).u64(1, number).finish()
}

/// The next id, and what a newer release keeps beside it.
fn read_next(key: &Key, value: &Bytes) -> Result<(u64, Unknown), Error> {
    let read = || {
        let (mut next, mut unknown) = (None, Unknown::default());
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => next = Some(field.u64()?),
                _ => unknown.keep(&field),
            }
        }
        Ok((next, unknown))
    };
    let (next, unknown) = read().map_err(|error: aloft_codec::Error| wrong(key, error))?;
    let next = next.ok_or_else(|| wrong(key, "field 1 is missing".to_owned()))?;
    Ok((next, unknown))
}

fn read_number(key: &Key, value: &Bytes, number: u16) -> Result<u64, Error> {
    let read = || {
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            if field.number() == number {
                return field.u64().map(Some);
            }
        }
        Ok(None)
    };
    read()
        .map_err(|error| wrong(key, error))?
        .ok_or_else(|| wrong(key, format!("field {number} is missing")))
}

fn wrong(key: &Key, reason: impl ToString) -> Error {
    Error::corrupt(
        format!("the directory's row \"{}\"", key.as_ref().escape_ascii()),
        reason,
    )
}
