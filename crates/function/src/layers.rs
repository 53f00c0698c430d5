//! Layers: code that functions share.

use std::sync::Arc;

use aloft_base::{Chance, Clock, Timestamp};
use aloft_codec::{KeyReader, KeyWriter, Reader, Unknown, Writer};
use aloft_store::blobs::{BlobId, refer, release};
use aloft_store::layout::{self, Id, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Direction, Entry, Expect, Key, Store, commit_decided};
use bytes::Bytes;

use crate::{Artifact, Error};

/// The kind of the layout's names.
const KIND: &str = "layer";
const FORMAT: u8 = 1;
const HEAD: u8 = 1;
const VERSIONS: u8 = 2;

/// A version of a layer, which never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVersion {
    /// Its number, from 1 on.
    pub number: u64,
    /// What it holds.
    pub artifact: Artifact,
    /// At most 256 characters.
    pub description: String,
    /// The runtimes that it is for, as its maker says; nobody is held to it.
    pub runtimes: Vec<String>,
    /// The architectures that it is for.
    pub architectures: Vec<String>,
    /// Its license, at most 512 characters.
    pub license: String,
    /// When it was made.
    pub created: Timestamp,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// A layer's version as a function uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedLayer {
    /// Its ARN, with the version.
    pub arn: String,
    /// What it holds. The function keeps it, also when the layer is deleted.
    pub artifact: Artifact,
}

/// Which versions of layers are looked for: what one says of itself counts, and one that says nothing is for none.
#[derive(Debug, Clone, Default)]
pub struct Compatible {
    /// With this runtime; any if it is absent.
    pub runtime: Option<String>,
    /// On this architecture; any if it is absent.
    pub architecture: Option<String>,
}

impl Compatible {
    fn takes(&self, version: &LayerVersion) -> bool {
        let has =
            |all: &[String], wanted: &Option<String>| wanted.as_ref().is_none_or(|one| all.contains(one));
        has(&version.runtimes, &self.runtime) && has(&version.architectures, &self.architecture)
    }
}

/// The layers of a store. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Layers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl Layers {
    /// Those of a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self { store, clock, chance }
    }

    /// Publishes a version of a layer, which is made with its first; its number and time are given here. The blob must have been stored or
    /// renewed less than [`aloft_store::blobs::GRACE`] ago.
    ///
    /// # Errors
    /// [`Error::Contended`] and the store's.
    pub async fn publish(
        &self,
        namespace: &Namespace,
        layer: &str,
        version: LayerVersion,
    ) -> Result<LayerVersion, Error> {
        for attempt in 1..=ATTEMPTS {
            let batch = self.batch();
            let (id, number, batch) = match self.find(namespace, layer).await? {
                Some((id, head)) => {
                    let next = read_head(&head)?;
                    let expected = batch.expect(head.key.clone(), Expect::Version(head.version));
                    (id, next, expected)
                }
                None => match layout::bind(&*self.store, named(namespace, layer), batch).await? {
                    Some((id, batch)) => (id, 1, batch),
                    None => continue,
                },
            };
            let version = LayerVersion {
                number,
                created: self.clock.now(),
                ..version.clone()
            };
            let key = key(id, number)?;
            let batch = batch
                .put(id.key(&[HEAD])?, Writer::new(FORMAT).u64(1, number + 1).finish())
                .put(key.clone(), write(&version));
            let batch = refer(batch, version.artifact.blob, key.as_ref())?;
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(version);
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// A version, if it is there.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(
        &self,
        namespace: &Namespace,
        layer: &str,
        number: u64,
    ) -> Result<Option<LayerVersion>, Error> {
        let Some((id, _)) = self.find(namespace, layer).await? else {
            return Ok(None);
        };
        let entry = self.store.get(&key(id, number)?).await?;
        entry.map(|entry| read(id, &entry)).transpose()
    }

    /// Deletes a version. Functions that use it go on using it. That there is none is no error, as on Lambda.
    ///
    /// # Errors
    /// [`Error::Contended`] and the store's.
    pub async fn delete(&self, namespace: &Namespace, layer: &str, number: u64) -> Result<(), Error> {
        for attempt in 1..=ATTEMPTS {
            let Some((id, _)) = self.find(namespace, layer).await? else {
                return Ok(());
            };
            let Some(entry) = self.store.get(&key(id, number)?).await? else {
                return Ok(());
            };
            let version = read(id, &entry)?;
            let batch = self
                .batch()
                .expect(entry.key.clone(), Expect::Version(entry.version))
                .delete(entry.key.clone());
            let batch = release(batch, version.artifact.blob, entry.key.as_ref())?;
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    /// The versions of a layer that are looked for, the newest first, those below `before`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn versions(
        &self,
        namespace: &Namespace,
        layer: &str,
        compatible: &Compatible,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<LayerVersion>, bool), Error> {
        let Some((id, _)) = self.find(namespace, layer).await? else {
            return Ok((Vec::new(), false));
        };
        let mut range = id.prefix(&[VERSIONS]);
        if let Some(before) = before {
            range = range.before(&key(id, before)?);
        }
        let snapshot = self.store.snapshot().await?;
        let mut found = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Backward, limit + 1).await?;
            for entry in &page.entries {
                let version = read(id, entry)?;
                if !compatible.takes(&version) {
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(version);
            }
            match page.entries.last() {
                Some(last) if page.more => range = range.before(&last.key),
                _ => return Ok((found, false)),
            }
        }
    }

    /// The layers that have such versions, each with its newest, in order of their names, after `after`: at most `limit`, and the name of the
    /// last one that was looked at if there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        namespace: &Namespace,
        compatible: &Compatible,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, LayerVersion)>, Option<String>), Error> {
        let (names, more) = layout::list(&*self.store, namespace, KIND, after, limit).await?;
        let last = names.last().map(|(name, _)| name.clone()).filter(|_| more);
        let mut layers = Vec::with_capacity(names.len());
        for (name, _) in names {
            let (newest, _) = self.versions(namespace, &name, compatible, None, 1).await?;
            layers.extend(newest.into_iter().map(|version| (name.clone(), version)));
        }
        Ok((layers, last))
    }

    async fn find(&self, namespace: &Namespace, layer: &str) -> Result<Option<(Id, Entry)>, Error> {
        let Some(binding) = layout::resolve(&*self.store, named(namespace, layer)).await? else {
            return Ok(None);
        };
        let head = self.store.get(&binding.id.key(&[HEAD])?).await?;
        Ok(head.map(|head| (binding.id, head)))
    }

    fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.chance))
    }
}

fn named<'a>(namespace: &'a Namespace, name: &'a str) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name,
    }
}

fn key(id: Id, number: u64) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(VERSIONS).u64(number).finish())
}

fn corrupt(entry: &Entry, reason: impl ToString) -> Error {
    let what = format!("a layer's row \"{}\"", entry.key.as_ref().escape_ascii());
    aloft_store::Error::corrupt(what, reason.to_string()).into()
}

/// The number of the next version.
fn read_head(entry: &Entry) -> Result<u64, Error> {
    let read = || {
        let (mut next, mut fields) = (0, Reader::new(&entry.value, FORMAT)?);
        while let Some(field) = fields.next()? {
            if field.number() == 1 {
                next = field.u64()?;
            }
        }
        Ok::<_, aloft_codec::Error>(next)
    };
    read().map_err(|error| corrupt(entry, error))
}

fn write(version: &LayerVersion) -> Bytes {
    let LayerVersion {
        number: _,
        artifact,
        description,
        runtimes,
        architectures,
        license,
        created,
        unknown,
    } = version;
    let mut writer = Writer::new(FORMAT)
        .text(1, &artifact.blob.to_string())
        .u64(2, artifact.bytes)
        .u64(3, artifact.content)
        .text(4, description)
        .text(5, license)
        .u64(6, created.as_millis());
    for (number, texts) in [(7, runtimes), (8, architectures)] {
        for text in texts {
            writer = writer.text(number, text);
        }
    }
    writer.unknown(unknown).finish()
}

fn read(id: Id, entry: &Entry) -> Result<LayerVersion, Error> {
    let rest = id.rest(&entry.key).unwrap_or_default();
    let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
    let number = parts.u64().map_err(|error| corrupt(entry, error))?;
    let fields = || {
        let (mut blob, mut bytes, mut content) = (None::<BlobId>, 0, 0);
        let (mut description, mut license, mut created) = (String::new(), String::new(), 0);
        let (mut runtimes, mut architectures, mut unknown) = (Vec::new(), Vec::new(), Unknown::default());
        let mut fields = Reader::new(&entry.value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => blob = field.text()?.parse().ok(),
                2 => bytes = field.u64()?,
                3 => content = field.u64()?,
                4 => field.text()?.clone_into(&mut description),
                5 => field.text()?.clone_into(&mut license),
                6 => created = field.u64()?,
                7 => runtimes.push(field.text()?.to_owned()),
                8 => architectures.push(field.text()?.to_owned()),
                _ => unknown.keep(&field),
            }
        }
        Ok::<_, aloft_codec::Error>(blob.map(|blob| LayerVersion {
            number,
            artifact: Artifact { blob, bytes, content },
            description,
            runtimes,
            architectures,
            license,
            created: Timestamp::from_millis(created),
            unknown,
        }))
    };
    let version = fields().map_err(|error| corrupt(entry, error))?;
    version.ok_or_else(|| corrupt(entry, "it names no blob"))
}
