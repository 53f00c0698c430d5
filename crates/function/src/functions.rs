//! The functions of a store: creating, changing, publishing, listing and deleting them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aloft_base::{Chance, Clock, FunctionId, FunctionName, Tenant, Timestamp, Turns};
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::blobs::{BlobId, refer, release};
use aloft_store::layout::{self, Binding, Id, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Direction, Entry, Expect, Key, Store, commit_decided};

use crate::stored::{self, Head};
use crate::{Catalogue, Configuration, Error};

/// The kind of the layout's names.
pub(crate) const KIND: &str = "function";
/// Published versions of one function.
pub const MAX_VERSIONS: usize = 5_000;
/// Aliases of one function.
pub const MAX_ALIASES: usize = 1_000;
/// Tags of one function: AWS's bound.
pub const MAX_TAGS: usize = 50;
/// Rows of one page.
const PAGE: usize = 1_000;

/// The code of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// The blob. Of code that came as a zip it is the zip, and its name is Lambda's `CodeSha256`.
    pub blob: BlobId,
    /// Its bytes: Lambda's `CodeSize`.
    pub bytes: u64,
    /// Bytes of its content, unzipped.
    pub content: u64,
}

/// A function as it is at one moment: `$LATEST`, or a version that was published and never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The version's number, from 1 on; 0 for `$LATEST`.
    pub number: u64,
    /// What its user set.
    pub configuration: Configuration,
    /// Its code.
    pub artifact: Artifact,
    /// When it was last changed; of a version, when what it holds was.
    pub modified: Timestamp,
    /// Drawn with every change: Lambda's `RevisionId`.
    pub revision: u128,
    pub(crate) unknown: Unknown,
}

impl Published {
    /// The blobs that it needs: its code and its layers.
    fn blobs(&self) -> BTreeSet<BlobId> {
        let layers = self.configuration.layers.iter().map(|layer| layer.artifact.blob);
        layers.chain([self.artifact.blob]).collect()
    }

    /// What it is called in an ARN.
    pub fn qualifier(&self) -> Qualifier {
        Qualifier::numbered(self.number)
    }
}

/// What is to be changed in `$LATEST`; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The new configuration.
    pub configuration: Option<Configuration>,
    /// The new code. Its blob must have been stored or renewed less than [`aloft_store::blobs::GRACE`] ago.
    pub artifact: Option<Artifact>,
    /// The revision that the caller has seen last.
    pub revision: Option<u128>,
}

/// What a caller believes about what is published.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// The description of the version, instead of the function's.
    pub description: Option<String>,
    /// The revision that the caller has seen last.
    pub revision: Option<u128>,
    /// The code that the caller means.
    pub blob: Option<BlobId>,
}

/// The functions of a store. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Functions {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    catalogue: Arc<Catalogue>,
    /// Held by whoever reserves calls.
    reserving: Arc<tokio::sync::Mutex<()>>,
    /// By account, what is held by whoever makes a function where there is a bound: how many there are is nobody's row.
    creating: Arc<Turns<Tenant>>,
}

/// A function's head as it was read.
pub(crate) struct Found {
    pub(crate) id: Id,
    pub(crate) binding: Binding,
    pub(crate) head: Head,
    pub(crate) entry: Entry,
}

impl Functions {
    /// Those of a store. What changes is forgotten in the catalogue before the change is answered.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        Self {
            store,
            clock,
            chance,
            catalogue,
            reserving: Arc::default(),
            creating: Arc::default(),
        }
    }

    /// Creates a function. Its code's blob must have been stored or renewed less than [`aloft_store::blobs::GRACE`] ago.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken, [`Error::Invalid`] when a value is out of its bounds, [`Error::TooManyFunctions`].
    pub async fn create(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        configuration: &Configuration,
        artifact: Artifact,
        tags: &BTreeMap<String, String>,
    ) -> Result<Published, Error> {
        configuration.check()?;
        check_tags(function, tags)?;
        let allowed = self.catalogue.reserved().account(&namespace.tenant).functions;
        let _turn = match allowed {
            Some(most) => {
                let turn = self.creating.take(&namespace.tenant).await;
                self.check_count(namespace, function, most).await?;
                Some(turn)
            }
            None => None,
        };
        self.again(namespace, function, |attempt| async move {
            let name = name(namespace, function);
            let Some((id, batch)) = layout::bind(&*self.store, name, self.batch()).await? else {
                return Err(Error::Exists {
                    what: "Function",
                    name: function.to_string(),
                });
            };
            let latest = Published {
                number: 0,
                configuration: configuration.clone(),
                artifact,
                modified: self.clock.now(),
                revision: self.chance.next_u128(),
                unknown: Unknown::default(),
            };
            let head = Head {
                latest,
                next: 1,
                versions: 0,
                aliases: 0,
                tags: tags.clone(),
                reserved: None,
                unknown: Unknown::default(),
            };
            let key = stored::head_key(id)?;
            let batch = refer_all(batch, &head.latest, &key)?.put(key, stored::write_head(&head));
            Ok(self.committed(batch, attempt).await?.then_some(head.latest))
        })
        .await
    }

    /// Refuses one more function than an account may have. One that is there already is refused as that.
    async fn check_count(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        most: usize,
    ) -> Result<(), Error> {
        if layout::resolve(&*self.store, name(namespace, function))
            .await?
            .is_some()
        {
            return Ok(());
        }
        let (mut count, mut last) = (0, None::<String>);
        loop {
            let (names, more) = layout::list(&*self.store, namespace, KIND, last.as_deref(), PAGE).await?;
            count += names.len();
            last = names.into_iter().next_back().map(|(name, _)| name);
            if count >= most {
                return Err(Error::TooManyFunctions { most });
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// `$LATEST`, or a published version. Aliases are resolved by [`alias`](Self::alias).
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn get(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        version: u64,
    ) -> Result<Published, Error> {
        let found = self.find(namespace, function).await?;
        if version == 0 {
            return Ok(found.head.latest);
        }
        self.version(function, found.id, version).await
    }

    /// Changes `$LATEST`. A configuration is given whole: whoever changes a part of it names the revision that it was read with.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Stale`] when it is not at the revision, [`Error::Invalid`].
    pub async fn update(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        update: &Update,
    ) -> Result<Published, Error> {
        if let Some(configuration) = &update.configuration {
            configuration.check()?;
        }
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            let latest = &mut found.head.latest;
            expect_revision(update.revision, latest)?;
            let (former, holder) = (latest.clone(), found.entry.key.clone());
            if let Some(configuration) = &update.configuration {
                latest.configuration = configuration.clone();
            }
            latest.artifact = update.artifact.unwrap_or(former.artifact);
            latest.modified = self.clock.now();
            latest.revision = self.chance.next_u128();
            let (latest, mut batch) = (latest.clone(), self.batch());
            let (old, new) = (former.blobs(), latest.blobs());
            for gone in old.difference(&new) {
                batch = release(batch, *gone, holder.as_ref())?;
            }
            for added in new.difference(&old) {
                batch = refer(batch, *added, holder.as_ref())?;
            }
            let batch = found.write(batch);
            Ok(self.committed(batch, attempt).await?.then_some(latest))
        })
        .await
    }

    /// Publishes `$LATEST` as a version. When the newest version has the same code and configuration already, it is that one, and nothing
    /// changes, as on Lambda.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Stale`] when it is not what the caller believes, [`Error::TooMany`], [`Error::Invalid`].
    pub async fn publish(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        publish: &Publish,
    ) -> Result<Published, Error> {
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            let latest = &found.head.latest;
            expect_revision(publish.revision, latest)?;
            if publish.blob.is_some_and(|blob| blob != latest.artifact.blob) {
                return Err(Error::Stale { what: "CodeSha256" });
            }
            let mut version = Published {
                number: found.head.next,
                revision: self.chance.next_u128(),
                ..latest.clone()
            };
            if let Some(newest) = self.newest(found.id).await?
                && newest.artifact == version.artifact
                && is_same(&newest.configuration, &version.configuration)
            {
                return Ok(Some(newest));
            }
            if let Some(description) = &publish.description {
                version.configuration.description.clone_from(description);
                version.configuration.check()?;
            }
            if found.head.versions >= MAX_VERSIONS as u64 {
                return Err(Error::TooMany {
                    function: function.clone(),
                    what: "versions",
                    most: MAX_VERSIONS,
                });
            }
            found.head.next += 1;
            found.head.versions += 1;
            let key = stored::version_key(found.id, version.number)?;
            let batch = refer_all(found.write(self.batch()), &version, &key)?;
            let batch = batch.put(key, stored::write_version(&version));
            Ok(self.committed(batch, attempt).await?.then_some(version))
        })
        .await
    }

    /// The names of the functions in order, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        namespace: &Namespace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Published)>, Option<String>), Error> {
        let (names, more) = layout::list(&*self.store, namespace, KIND, after, limit).await?;
        let last = names.last().map(|(name, _)| name.clone()).filter(|_| more);
        let mut functions = Vec::with_capacity(names.len());
        for (name, id) in names {
            // One that was deleted since then is left out.
            if let Some((_, head)) = self.head(id).await? {
                functions.push((name, head.latest));
            }
        }
        Ok((functions, last))
    }

    /// The published versions in order, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn versions(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Published>, bool), Error> {
        let id = self.find(namespace, function).await?.id;
        let range = stored::versions(id).after(&stored::version_key(id, after)?);
        let snapshot = self.store.snapshot().await?;
        let page = snapshot.scan(&range, Direction::Forward, limit).await?;
        let versions = page.entries.iter().map(read_version);
        Ok((versions.collect::<Result<_, _>>()?, page.more))
    }

    /// A function's tags.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn tags(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.find(namespace, function).await?.head.tags)
    }

    /// Changes a function's tags.
    ///
    /// # Errors
    /// [`Error::Missing`], and [`Error::TooMany`] when there would be more than [`MAX_TAGS`].
    pub async fn tag(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        let change = &change;
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            change(&mut found.head.tags);
            check_tags(function, &found.head.tags)?;
            let batch = found.write(self.batch());
            Ok(self.committed(batch, attempt).await?.then_some(()))
        })
        .await
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.chance))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn revision(&self) -> u128 {
        self.chance.next_u128()
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) fn reserving(&self) -> &tokio::sync::Mutex<()> {
        &self.reserving
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Decides about a function and commits until nobody else was first.
    pub(crate) async fn again<T, F: Future<Output = Result<Option<T>, Error>>>(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        decide: impl Fn(u32) -> F,
    ) -> Result<T, Error> {
        // Also when this is cut off or fails: then nobody knows whether it was committed.
        let _forget = Forget(&self.catalogue, namespace.function(function));
        for attempt in 1..=ATTEMPTS {
            if let Some(done) = decide(attempt).await? {
                return Ok(done);
            }
        }
        Err(Error::Contended(ATTEMPTS))
    }

    pub(crate) async fn committed(&self, batch: Batch, attempt: u32) -> Result<bool, Error> {
        Ok(commit_decided(&*self.store, batch, attempt, &*self.chance).await?)
    }

    pub(crate) async fn find(&self, namespace: &Namespace, function: &FunctionName) -> Result<Found, Error> {
        let missing = || Error::Missing {
            function: function.clone(),
            qualifier: None,
        };
        let binding = layout::resolve(&*self.store, name(namespace, function)).await?;
        let binding = binding.ok_or_else(missing)?;
        // Nothing under an id is reclaimed for a minute after its name was unbound.
        let (entry, head) = self.head(binding.id).await?.ok_or_else(missing)?;
        Ok(Found {
            id: binding.id,
            binding,
            head,
            entry,
        })
    }

    async fn head(&self, id: Id) -> Result<Option<(Entry, Head)>, Error> {
        let Some(entry) = self.store.get(&stored::head_key(id)?).await? else {
            return Ok(None);
        };
        let head = stored::read_head(&entry.value).map_err(|error| corrupt(&entry, error))?;
        let head = head.ok_or_else(|| corrupt(&entry, "it lacks fields"))?;
        Ok(Some((entry, head)))
    }

    /// A version that was published.
    pub(crate) async fn version(
        &self,
        function: &FunctionName,
        id: Id,
        number: u64,
    ) -> Result<Published, Error> {
        let entry = self.store.get(&stored::version_key(id, number)?).await?;
        let entry = entry.ok_or_else(|| Error::Missing {
            function: function.clone(),
            qualifier: Some(Qualifier::Version(number)),
        })?;
        read_version(&entry)
    }

    async fn newest(&self, id: Id) -> Result<Option<Published>, Error> {
        let snapshot = self.store.snapshot().await?;
        let page = snapshot
            .scan(&stored::versions(id), Direction::Backward, 1)
            .await?;
        page.entries.first().map(read_version).transpose()
    }

    /// The rows of all versions.
    pub(crate) async fn rows(&self, id: Id) -> Result<Vec<Entry>, Error> {
        let snapshot = self.store.snapshot().await?;
        let (mut rows, mut range) = (Vec::<Entry>::new(), stored::versions(id));
        loop {
            let page = snapshot.scan(&range, Direction::Forward, PAGE).await?;
            rows.extend(page.entries);
            match rows.last() {
                Some(last) if page.more => range = range.after(&last.key),
                _ => return Ok(rows),
            }
        }
    }
}

/// Forgets a function when it is dropped.
struct Forget<'a>(&'a Catalogue, FunctionId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.forget(&self.1);
    }
}

impl Found {
    /// Adds the changed head to a batch, if it is still as it was read.
    pub(crate) fn write(&self, batch: Batch) -> Batch {
        batch
            .expect(self.entry.key.clone(), Expect::Version(self.entry.version))
            .put(self.entry.key.clone(), stored::write_head(&self.head))
    }
}

pub(crate) fn corrupt(entry: &Entry, reason: impl ToString) -> Error {
    let what = format!("a function's row \"{}\"", entry.key.as_ref().escape_ascii());
    aloft_store::Error::corrupt(what, reason.to_string()).into()
}

pub(crate) fn read_version(entry: &Entry) -> Result<Published, Error> {
    let version = stored::read_version(&entry.value).map_err(|error| corrupt(entry, error))?;
    version.ok_or_else(|| corrupt(entry, "it lacks fields"))
}

/// Whether a version would hold the same; its description is the version's own.
fn is_same(one: &Configuration, other: &Configuration) -> bool {
    let plain = |configuration: &Configuration| Configuration {
        description: String::new(),
        ..configuration.clone()
    };
    plain(one) == plain(other)
}

fn check_tags(function: &FunctionName, tags: &BTreeMap<String, String>) -> Result<(), Error> {
    let fits = tags.len() <= MAX_TAGS;
    fits.then_some(()).ok_or_else(|| Error::TooMany {
        function: function.clone(),
        what: "tags",
        most: MAX_TAGS,
    })
}

/// Adds that what a row stands for is needed.
fn refer_all(batch: Batch, version: &Published, key: &Key) -> Result<Batch, Error> {
    let mut blobs = version.blobs().into_iter();
    Ok(blobs.try_fold(batch, |batch, blob| refer(batch, blob, key.as_ref()))?)
}

/// Adds that it is needed no longer.
pub(crate) fn release_all(batch: Batch, version: &Published, key: &Key) -> Result<Batch, Error> {
    let mut blobs = version.blobs().into_iter();
    Ok(blobs.try_fold(batch, |batch, blob| release(batch, blob, key.as_ref()))?)
}

fn expect_revision(expected: Option<u128>, latest: &Published) -> Result<(), Error> {
    let is_it = expected.is_none_or(|expected| expected == latest.revision);
    is_it.then_some(()).ok_or(Error::Stale { what: "RevisionId" })
}

pub(crate) fn name<'a>(namespace: &'a Namespace, function: &'a FunctionName) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name: function.as_str(),
    }
}
