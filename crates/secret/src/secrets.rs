//! The secrets of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock};
use aloft_seal::{Context, Seal};
use aloft_store::layout::{self, Binding, Id, Name, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Direction, Entry, Expect, Store, commit_decided};
use bytes::Bytes;

use crate::{CURRENT, Error, MAX_TAGS, MAX_VALUE_BYTES, Secret, Value, stages, stored};

/// The kind of the layout's names, and of what is sealed.
const KIND: &str = "secret";
/// Secrets that one sweep removes.
const SWEPT: usize = 100;
const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// The secrets of a store. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    store: Arc<dyn Store>,
    seal: Seal,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

/// A new version.
#[derive(Debug, Clone, Copy)]
pub struct Put<'a> {
    /// Its id. Asked again with the same id and value, nothing is done.
    pub id: &'a str,
    /// Its value.
    pub value: &'a Value,
    /// Its labels; `AWSCURRENT` if none are given.
    pub stages: Option<&'a BTreeSet<String>>,
}

/// What of a secret changes beside its versions.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new description.
    pub description: Option<String>,
    /// Tags that are added or replaced.
    pub tags: BTreeMap<String, String>,
    /// Keys of tags that are taken away.
    pub untagged: BTreeSet<String>,
}

/// A version with its value.
#[derive(Debug, Clone)]
pub struct Read {
    /// The secret.
    pub secret: Secret,
    /// Which version.
    pub version: crate::Version,
    /// Its value.
    pub value: Value,
}

struct Found {
    binding: Binding,
    entry: Entry,
    secret: Secret,
}

impl Secrets {
    /// Those of a store.
    pub fn new(store: Arc<dyn Store>, seal: Seal, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self {
            store,
            seal,
            clock,
            chance,
        }
    }

    /// Makes a secret, with a first version or none. Asked again with the same version's id and value, nothing is done.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::State`] while one of this name waits for its removal, [`Error::Invalid`], [`Error::TooMany`].
    pub async fn create(
        &self,
        namespace: &Namespace,
        name: &str,
        change: &Change,
        first: Option<Put<'_>>,
    ) -> Result<Secret, Error> {
        check_value(first)?;
        for attempt in 1..=ATTEMPTS {
            match self.look(namespace, name).await? {
                Some(found) if self.is_gone(&found.secret) => {
                    self.remove(namespace, found).await?;
                    continue;
                }
                Some(found) if found.secret.deleted.is_some() => return Err(Error::SCHEDULED),
                Some(found) => {
                    let same = match first {
                        Some(put) => self.is_there(namespace, &found, put).await?,
                        None => None,
                    };
                    return match same {
                        Some(true) => Ok(found.secret),
                        Some(false) | None => Err(Error::Exists(name.to_owned())),
                    };
                }
                None => {}
            }
            let now = self.clock.now();
            let mut secret = Secret {
                name: name.to_owned(),
                suffix: self.suffix(),
                created: now,
                ..Secret::default()
            };
            apply(&mut secret, change)?;
            secret.changed = now;
            let named = named(namespace, name);
            let Some((id, mut batch)) = layout::bind(&*self.store, named, self.batch()).await? else {
                continue;
            };
            if let Some(put) = first {
                stages::add(&mut secret, put.id, put.stages, now)?;
                let sealed = self.sealed(namespace, name, id, put).await?;
                batch = batch.put(stored::value_key(id, put.id)?, sealed);
            }
            let batch = batch.put(stored::key(id)?, stored::write(&secret));
            if commit_decided(&*self.store, batch, attempt, &*self.chance).await? {
                return Ok(secret);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// A secret without its values, also while it waits for its removal.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn get(&self, namespace: &Namespace, name: &str) -> Result<Secret, Error> {
        Ok(self.find(namespace, name).await?.secret)
    }

    /// A version by its id, its label, or both; the current one by neither.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NoVersion`], [`Error::State`].
    pub async fn read(
        &self,
        namespace: &Namespace,
        name: &str,
        version: Option<&str>,
        stage: Option<&str>,
    ) -> Result<Read, Error> {
        let Found { binding, secret, .. } = self.find(namespace, name).await?;
        if secret.deleted.is_some() {
            return Err(Error::DELETED);
        }
        let chosen = match (version, stage) {
            (Some(id), stage) => {
                let chosen = secret.version(id);
                let chosen = chosen.ok_or_else(|| Error::NoVersion(format!("VersionId: {id}")))?;
                if stage.is_some_and(|stage| !chosen.stages.contains(stage)) {
                    return Err(Error::State(
                        "You provided a VersionStage that is not associated to the provided VersionId.",
                    ));
                }
                chosen
            }
            (None, stage) => {
                let stage = stage.unwrap_or(CURRENT);
                let chosen = secret.staged(stage);
                chosen.ok_or_else(|| Error::NoVersion(format!("staging label: {stage}")))?
            }
        };
        let version = chosen.clone();
        let value = self.value(namespace, name, binding.id, &version.id).await?;
        // It was dropped, or the secret removed, since the secret was read.
        let value = value.ok_or_else(|| Error::NoVersion(format!("VersionId: {}", version.id)))?;
        Ok(Read {
            secret,
            version,
            value,
        })
    }

    /// Adds a version, or changes what is said about the secret, or both. Answers the secret as it is then.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::State`], [`Error::Taken`] when the version's id stands for another value, [`Error::Invalid`],
    /// [`Error::TooMany`].
    pub async fn update(
        &self,
        namespace: &Namespace,
        name: &str,
        change: &Change,
        put: Option<Put<'_>>,
    ) -> Result<Secret, Error> {
        check_value(put)?;
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            if found.secret.deleted.is_some() {
                return Err(Error::DELETED);
            }
            let there = match put {
                Some(put) => self.is_there(namespace, &found, put).await?,
                None => None,
            };
            let put = match (put, there) {
                (Some(put), Some(false)) => return Err(Error::Taken(put.id.to_owned())),
                (_, Some(true)) => None,
                (put, _) => put,
            };
            apply(&mut found.secret, change)?;
            let now = self.clock.now();
            found.secret.changed = now;
            let id = found.binding.id;
            let mut batch = self.batch();
            if let Some(put) = put {
                for dropped in stages::add(&mut found.secret, put.id, put.stages, now)? {
                    batch = batch.delete(stored::value_key(id, &dropped)?);
                }
                let sealed = self.sealed(namespace, name, id, put).await?;
                batch = batch.put(stored::value_key(id, put.id)?, sealed);
            }
            if self.write(batch, &found, attempt).await? {
                return Ok(found.secret);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Moves a label from one version to another; see `stages.rs`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NoVersion`], [`Error::State`], [`Error::Invalid`], [`Error::TooMany`].
    pub async fn shift(
        &self,
        namespace: &Namespace,
        name: &str,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Secret, Error> {
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            if found.secret.deleted.is_some() {
                return Err(Error::DELETED);
            }
            stages::shift(&mut found.secret, stage, from, to)?;
            found.secret.changed = self.clock.now();
            if self.write(self.batch(), &found, attempt).await? {
                return Ok(found.secret);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Deletes a secret after this time, within which it can be [restored](Self::restore); at once with none, also one that waits.
    /// Answers it with the time of its end.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::State`] when it waits already.
    pub async fn delete(
        &self,
        namespace: &Namespace,
        name: &str,
        window: Option<Duration>,
    ) -> Result<Secret, Error> {
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            let now = self.clock.now();
            let Some(window) = window else {
                let mut secret = found.secret.clone();
                secret.deleted = Some((now, now));
                match self.remove(namespace, found).await? {
                    true => return Ok(secret),
                    false => continue,
                }
            };
            if found.secret.deleted.is_some() {
                return Err(Error::DELETED);
            }
            found.secret.deleted = Some((now, now + window));
            let due = stored::due_key(now + window, namespace, name)?;
            if self
                .write(self.batch().put(due, Bytes::new()), &found, attempt)
                .await?
            {
                return Ok(found.secret);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Takes a deletion back; nothing happens if there was none.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn restore(&self, namespace: &Namespace, name: &str) -> Result<Secret, Error> {
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            let Some((_, gone)) = found.secret.deleted.take() else {
                return Ok(found.secret);
            };
            let batch = self.batch().delete(stored::due_key(gone, namespace, name)?);
            if self.write(batch, &found, attempt).await? {
                return Ok(found.secret);
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Secrets in order of their names, after `after`, those that wait for their removal among them: what the next `limit` names stand
    /// for, the last name that was looked at, and whether there are more.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        namespace: &Namespace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Secret>, Option<String>, bool), Error> {
        let (names, more) = layout::list(&*self.store, namespace, KIND, after, limit).await?;
        let last = names.last().map(|(name, _)| name.clone());
        let mut secrets = Vec::with_capacity(names.len());
        for (name, _) in names {
            match self.find(namespace, &name).await {
                Ok(found) => secrets.push(found.secret),
                // Removed since then.
                Err(Error::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((secrets, last, more))
    }

    /// Removes secrets whose time has come, at most a hundred, of all tenants. Says whether there may be more.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<bool, Error> {
        let snapshot = self.store.snapshot().await?;
        let waiting = snapshot
            .scan(&stored::deleted(), Direction::Forward, SWEPT)
            .await?;
        drop(snapshot);
        let now = self.clock.now();
        for entry in &waiting.entries {
            let (due, namespace, name) = stored::read_due(&entry.key)?;
            if due > now {
                return Ok(false);
            }
            match self.look(&namespace, &name).await? {
                // Two at once: the next sweep finds what is left.
                Some(found) if found.secret.deleted.is_some_and(|(_, gone)| gone == due) => {
                    self.remove(&namespace, found).await?;
                }
                _ => {
                    let batch = self.batch().delete(entry.key.clone());
                    commit_decided(&*self.store, batch, 1, &*self.chance).await?;
                }
            }
        }
        Ok(waiting.more)
    }

    async fn find(&self, namespace: &Namespace, name: &str) -> Result<Found, Error> {
        let found = self.look(namespace, name).await?;
        found
            .filter(|found| !self.is_gone(&found.secret))
            .ok_or_else(|| Error::Missing(name.to_owned()))
    }

    /// A secret, also one whose time has come.
    async fn look(&self, namespace: &Namespace, name: &str) -> Result<Option<Found>, Error> {
        if name.is_empty() {
            return Ok(None);
        }
        let Some(binding) = layout::resolve(&*self.store, named(namespace, name)).await? else {
            return Ok(None);
        };
        let Some(entry) = self.store.get(&stored::key(binding.id)?).await? else {
            return Ok(None);
        };
        let secret = stored::read(name, &entry.value)
            .map_err(|error| aloft_store::Error::corrupt(format!("the secret \"{name}\""), error))?;
        Ok(Some(Found {
            binding,
            entry,
            secret,
        }))
    }

    fn is_gone(&self, secret: &Secret) -> bool {
        secret.deleted.is_some_and(|(_, gone)| gone <= self.clock.now())
    }

    /// Whether the version is there already with this value; none if there is no version of this id.
    async fn is_there(
        &self,
        namespace: &Namespace,
        found: &Found,
        put: Put<'_>,
    ) -> Result<Option<bool>, Error> {
        let name = &found.secret.name;
        if found.secret.version(put.id).is_none() {
            return Ok(None);
        }
        let value = self.value(namespace, name, found.binding.id, put.id).await?;
        Ok(Some(value.is_some_and(|value| value.is(put.value))))
    }

    async fn value(
        &self,
        namespace: &Namespace,
        name: &str,
        id: Id,
        version: &str,
    ) -> Result<Option<Value>, Error> {
        let Some(entry) = self.store.get(&stored::value_key(id, version)?).await? else {
            return Ok(None);
        };
        let about = about(id, version);
        let plain = self
            .seal
            .unseal(&context(namespace, name, &about), &entry.value)
            .await?;
        let (is_text, bytes) = match plain.expose() {
            [TEXT, bytes @ ..] => (true, bytes),
            [BINARY, bytes @ ..] => (false, bytes),
            _ => {
                return Err(aloft_store::Error::corrupt(format!("the secret \"{name}\""), "no value").into());
            }
        };
        Ok(Some(Value {
            bytes: aloft_seal::Secret::new(bytes.to_vec()),
            is_text,
        }))
    }

    async fn sealed(&self, namespace: &Namespace, name: &str, id: Id, put: Put<'_>) -> Result<Bytes, Error> {
        let kind = if put.value.is_text { TEXT } else { BINARY };
        let plain = aloft_seal::Secret::new([&[kind], put.value.bytes.expose()].concat());
        let about = about(id, put.id);
        Ok(self
            .seal
            .seal(&context(namespace, name, &about), plain.expose())
            .await?)
    }

    async fn write(&self, batch: Batch, found: &Found, attempt: u32) -> Result<bool, Error> {
        let batch = batch
            .expect(found.entry.key.clone(), Expect::Version(found.entry.version))
            .put(found.entry.key.clone(), stored::write(&found.secret));
        Ok(commit_decided(&*self.store, batch, attempt, &*self.chance).await?)
    }

    /// Removes a secret as it was read, if it still is so. Its values go with its id, a minute later (see `layout`).
    async fn remove(&self, namespace: &Namespace, found: Found) -> Result<bool, Error> {
        let Found {
            binding,
            entry,
            secret,
        } = found;
        let now = self.clock.now();
        let mut batch = layout::unbind(named(namespace, &secret.name), binding, 0, now, self.batch())?;
        if let Some((_, gone)) = secret.deleted {
            batch = batch.delete(stored::due_key(gone, namespace, &secret.name)?);
        }
        // Not the grace of what can be restored by hand: these are secrets.
        for version in &secret.versions {
            batch = batch.delete(stored::value_key(binding.id, &version.id)?);
        }
        let batch = batch
            .expect(entry.key.clone(), Expect::Version(entry.version))
            .delete(entry.key);
        Ok(commit_decided(&*self.store, batch, 1, &*self.chance).await?)
    }

    fn suffix(&self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let draw = |_| {
            let index = usize::try_from(self.chance.below(LETTERS.len() as u64)).unwrap_or_default();
            char::from(LETTERS.get(index).copied().unwrap_or(b'0'))
        };
        (0..6).map(draw).collect()
    }

    fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.chance))
    }
}

fn apply(secret: &mut Secret, change: &Change) -> Result<(), Error> {
    if let Some(description) = &change.description {
        secret.description.clone_from(description);
    }
    secret.tags.extend(change.tags.clone());
    secret.tags.retain(|key, _| !change.untagged.contains(key));
    match secret.tags.len() {
        0..=MAX_TAGS => Ok(()),
        count => Err(Error::TooMany(format!(
            "The secret {} would have {count} tags, and at most {MAX_TAGS} are allowed.",
            secret.name
        ))),
    }
}

fn check_value(put: Option<Put<'_>>) -> Result<(), Error> {
    match put.map_or(1, |put| put.value.bytes.expose().len()) {
        1..=MAX_VALUE_BYTES => Ok(()),
        bytes => Err(Error::Invalid(format!(
            "The value has {bytes} bytes; a secret's has 1 to {MAX_VALUE_BYTES}."
        ))),
    }
}

fn about(id: Id, version: &str) -> String {
    format!("{}/{version}", id.to_u64())
}

fn context<'a>(namespace: &'a Namespace, name: &'a str, about: &'a str) -> Context<'a> {
    Context {
        tenant: &namespace.tenant,
        kind: KIND,
        name,
        version: about,
    }
}

fn named<'a>(namespace: &'a Namespace, name: &'a str) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name,
    }
}
