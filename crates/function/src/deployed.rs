//! Which artifact each function runs, durably: rows under the platform's id 3, by tenant, region and function, each with the
//! name of a blob. A row and its blob's reference are written in one commit, so that whatever is deployed is kept, and whatever is
//! not deployed any more is collected.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::{Chance, ErrorKind, FunctionName};
use aloft_codec::{KeyWriter, Reader, Unknown, Writer};
use aloft_store::blobs::{BlobId, refer, release};
use aloft_store::layout::{Id, Namespace};
use aloft_store::{Batch, BatchId, Direction, Entry, Expect, Key, Store};
use bytes::Bytes;

const DEPLOYED: Id = Id::platform(3);
const FORMAT: u8 = 1;
/// Rows of one page.
const PAGE: usize = 1_000;
/// Functions of one commit: each is at most three operations.
const TOGETHER: usize = 1_000;
/// How often it is decided again because somebody else changed the rows.
const TRIES: u32 = 8;

/// Why what is deployed could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
    /// Others kept changing it.
    #[error(
        "what runs was changed by others {TRIES} times in a row: is another process working on the same data?"
    )]
    Contended,
}

impl DeployError {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Contended => ErrorKind::Conflict,
        }
    }
}

/// The artifacts that are deployed. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Deployed {
    store: Arc<dyn Store>,
    chance: Arc<dyn Chance>,
}

/// A row.
struct Row {
    artifact: BlobId,
    unknown: Unknown,
    expect: Expect,
}

/// What is to change.
struct Change {
    key: Key,
    former: Option<Row>,
    new: Option<BlobId>,
}

impl Deployed {
    /// Those of a store.
    pub fn new(store: Arc<dyn Store>, chance: Arc<dyn Chance>) -> Self {
        Self { store, chance }
    }

    /// Writes down that these are the artifacts that functions run now, so that they are kept. With `is_all` no other function
    /// runs any. Commits once for each 1,000 functions that changed, and nothing if all is as it was.
    ///
    /// # Errors
    /// The store's, and [`DeployError::Contended`].
    pub async fn set(
        &self,
        namespace: &Namespace,
        artifacts: &BTreeMap<FunctionName, BlobId>,
        is_all: bool,
    ) -> Result<(), DeployError> {
        for _ in 0..TRIES {
            let changes = self.changes(namespace, artifacts, is_all).await?;
            let mut is_done = true;
            for some in changes.chunks(TOGETHER) {
                let batch = some
                    .iter()
                    .try_fold(Batch::new(BatchId::draw(&*self.chance)), |batch, change| {
                        change.add_to(batch)
                    })?;
                is_done &= self.store.commit(batch).await?.is_committed();
            }
            if is_done {
                return Ok(());
            }
        }
        Err(DeployError::Contended)
    }

    async fn changes(
        &self,
        namespace: &Namespace,
        artifacts: &BTreeMap<FunctionName, BlobId>,
        is_all: bool,
    ) -> Result<Vec<Change>, aloft_store::Error> {
        let mut rows = self.rows(namespace).await?;
        let mut changes = Vec::new();
        for (function, artifact) in artifacts {
            let key = DEPLOYED.key(&prefix(namespace).text(function.as_str()).finish())?;
            let former = rows.remove(&key);
            if former.as_ref().is_none_or(|row| row.artifact != *artifact) {
                let new = Some(*artifact);
                changes.push(Change { key, former, new });
            }
        }
        if is_all {
            changes.extend(rows.into_iter().map(|(key, row)| Change {
                key,
                former: Some(row),
                new: None,
            }));
        }
        Ok(changes)
    }

    async fn rows(&self, namespace: &Namespace) -> Result<BTreeMap<Key, Row>, aloft_store::Error> {
        let snapshot = self.store.snapshot().await?;
        let mut range = DEPLOYED.prefix(&prefix(namespace).finish());
        let mut rows = BTreeMap::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, PAGE).await?;
            for entry in page.entries {
                let row = Row::decode(&entry)?;
                rows.insert(entry.key, row);
            }
            match rows.last_key_value() {
                Some((last, _)) if page.more => range = range.after(last),
                _ => return Ok(rows),
            }
        }
    }
}

impl Change {
    /// The key of the row is also the holder of the reference.
    fn add_to(&self, batch: Batch) -> Result<Batch, aloft_store::Error> {
        let holder = self.key.as_ref();
        let expect = self.former.as_ref().map_or(Expect::Absent, |row| row.expect);
        let mut batch = batch.expect(self.key.clone(), expect);
        if let Some(former) = &self.former {
            batch = release(batch, former.artifact, holder)?;
        }
        let unknown = self.former.as_ref().map(|row| row.unknown.clone());
        Ok(match self.new {
            Some(new) => {
                refer(batch, new, holder)?.put(self.key.clone(), encode(new, &unknown.unwrap_or_default()))
            }
            None => batch.delete(self.key.clone()),
        })
    }
}

impl Row {
    fn decode(entry: &Entry) -> Result<Self, aloft_store::Error> {
        let what = format!("the artifact of \"{}\"", entry.key.as_ref().escape_ascii());
        let read = || {
            let (mut artifact, mut unknown) = (None, Unknown::default());
            let mut fields = Reader::new(&entry.value, FORMAT)?;
            while let Some(field) = fields.next()? {
                match field.number() {
                    1 => artifact = field.text()?.parse().ok(),
                    _ => unknown.keep(&field),
                }
            }
            Ok::<_, aloft_codec::Error>((artifact, unknown))
        };
        let (artifact, unknown) = read().map_err(|error| aloft_store::Error::corrupt(&what, error))?;
        Ok(Self {
            artifact: artifact.ok_or_else(|| aloft_store::Error::corrupt(&what, "it names no blob"))?,
            unknown,
            expect: Expect::of(Some(entry)),
        })
    }
}

fn encode(artifact: BlobId, unknown: &Unknown) -> Bytes {
    Writer::new(FORMAT)
        .text(1, &artifact.to_string())
        .unknown(unknown)
        .finish()
}

fn prefix(namespace: &Namespace) -> KeyWriter {
    let writer = KeyWriter::new().text(namespace.tenant.as_str());
    writer.text(namespace.region.as_str())
}
