//! The logs of a store: groups and their streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::{Chance, Clock, InvocationId, Turns};
use aloft_store::layout::{self, Binding, Id, Name, Namespace};
use aloft_store::{
    ATTEMPTS, Batch, BatchId, Direction, Entry as Row, Expect, Snapshot, Store, commit_decided,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::event::{Group, RETENTION_DAYS, Stream, check_group, check_stream};
use crate::{Error, stored};

/// Patterns that are matched at once. Each takes a core as long as it is matched.
const MATCHING: usize = 4;
/// Names that are taken at once.
const NAMES: usize = 1_000;
/// Rows of groups that are asked for at once, so that many groups do not cost as many round trips, one after the other.
const AT_ONCE: usize = 32;
/// The kind of the layout's names.
const KIND: &str = "log-group";

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The days for which a function's group keeps its events, unless it is told otherwise. 14.
    pub function_days: u32,
    /// The bytes that a function's group keeps; the oldest events go first. 256 MiB.
    pub function_bytes: u64,
    /// The bytes that any other group keeps. 1 GiB.
    pub group_bytes: u64,
    /// The bytes of chunks that are looked through for one page. 16 MiB.
    pub looked_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            function_days: 14,
            function_bytes: 256 << 20,
            group_bytes: 1 << 30,
            looked_bytes: 16 << 20,
        }
    }
}

/// The logs of a store. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Logs(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) bounds: Bounds,
    /// Held while a group's events change. The group's row decides, by its version; this only keeps those who would find it changed from
    /// doing their work twice.
    pub(crate) turns: Turns<(Namespace, Arc<str>)>,
    /// For whoever matches a pattern.
    pub(crate) matching: Arc<Semaphore>,
}

/// A group as it was read.
pub(crate) struct Found {
    pub(crate) binding: Binding,
    pub(crate) row: Row,
    pub(crate) group: Group,
}

impl Found {
    pub(crate) fn id(&self) -> Id {
        self.binding.id
    }
}

impl Logs {
    /// The most tags of a group.
    pub const TAGS: usize = 50;

    /// Those of a store.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        bounds: Bounds,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            chance,
            bounds,
            turns: Turns::default(),
            matching: Arc::new(Semaphore::new(MATCHING)),
        }))
    }

    /// Makes a group that keeps its events for good, within the bound of its bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::GroupExists`], [`Error::TooMany`].
    pub async fn create_group(
        &self,
        namespace: &Namespace,
        name: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        check_group(name)?;
        let group = Group {
            created: self.0.clock.now(),
            tags,
            ..Group::default()
        };
        check_tags(&group)?;
        self.make(namespace, name, &group).await
    }

    pub(crate) async fn make(&self, namespace: &Namespace, name: &str, group: &Group) -> Result<(), Error> {
        let inner = &*self.0;
        for attempt in 1..=ATTEMPTS {
            let bound = layout::bind(&*inner.store, named(namespace, name), self.batch()).await?;
            let Some((id, batch)) = bound else {
                return Err(Error::GroupExists(name.to_owned()));
            };
            let batch = batch.put(stored::group_key(id)?, stored::write_group(group));
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// A group.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub async fn group(&self, namespace: &Namespace, name: &str) -> Result<Group, Error> {
        Ok(self.find(namespace, name).await?.group)
    }

    /// Groups in the order of their names, after `after` and with this prefix: at most `limit`, and whether there may be more.
    ///
    /// # Errors
    /// The store's.
    pub async fn groups(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Group>, bool), Error> {
        let (names, more) = self.names(namespace, prefix, after, limit).await?;
        let snapshot = self.0.store.snapshot().await?;
        let rows = names
            .into_iter()
            .map(|(name, id)| group_row(&*snapshot, name, id));
        let rows: Result<Vec<Option<Group>>, Error> =
            stream::iter(rows).buffered(AT_ONCE).try_collect().await;
        // One that is not there was deleted since then.
        Ok((rows?.into_iter().flatten().collect(), more))
    }

    /// The names of groups with this prefix that have events of an invocation or, with its chain, records of what it led to; of the
    /// first `limit` groups. Each group is asked once, many at a time.
    ///
    /// # Errors
    /// The store's.
    pub async fn groups_of(
        &self,
        namespace: &Namespace,
        prefix: &str,
        invocation: InvocationId,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let (mut names, _) = self.names(namespace, prefix, None, limit).await?;
        let mut found = Vec::new();
        while !names.is_empty() {
            let later = names.split_off(names.len().min(NAMES));
            // One for so many, so that none is kept open for long.
            let snapshot = self.0.store.snapshot().await?;
            let asked = names
                .into_iter()
                .map(|(name, id)| if_it_knows(&*snapshot, name, id, invocation));
            let some: Vec<Option<String>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
            found.extend(some.into_iter().flatten());
            names = later;
        }
        Ok(found)
    }

    /// The names of groups with this prefix, as [`groups`](Self::groups), without reading the groups.
    ///
    /// # Errors
    /// The store's.
    pub async fn group_names(
        &self,
        namespace: &Namespace,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let (names, _) = self.names(namespace, prefix, None, limit).await?;
        Ok(names.into_iter().map(|(name, _)| name).collect())
    }

    async fn names(
        &self,
        namespace: &Namespace,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, Id)>, bool), Error> {
        // What sorts just before the prefix lets the look begin there.
        let before = prefix.char_indices().next_back().and_then(|(at, last)| {
            let lower = char::from_u32(u32::from(last).checked_sub(1)?)?;
            Some(format!("{}{lower}\u{10ffff}", prefix.get(..at)?))
        });
        let mut after = match (after, before) {
            (Some(after), _) => Some(after.to_owned()),
            (None, before) => before,
        };
        let mut found = Vec::new();
        loop {
            let page = layout::list(&*self.0.store, namespace, KIND, after.as_deref(), NAMES).await?;
            let (names, more) = page;
            for (name, id) in names {
                after = Some(name.clone());
                if !name.starts_with(prefix) {
                    if name.as_str() > prefix {
                        return Ok((found, false));
                    }
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push((name, id));
            }
            if !more {
                return Ok((found, false));
            }
        }
    }

    /// How many days the group keeps its events; `None` for good.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number of days that CloudWatch does not know, [`Error::NoGroup`].
    pub async fn set_retention(
        &self,
        namespace: &Namespace,
        name: &str,
        days: Option<u32>,
    ) -> Result<(), Error> {
        if days.is_some_and(|days| !RETENTION_DAYS.contains(&days)) {
            let known: Vec<String> = RETENTION_DAYS.iter().map(u32::to_string).collect();
            return Err(Error::Invalid(format!(
                "the days of retention must be one of {}",
                known.join(", ")
            )));
        }
        self.change(namespace, name, |group| {
            group.retention_days = days;
            Ok(())
        })
        .await
    }

    /// Changes a group's tags.
    ///
    /// # Errors
    /// [`Error::NoGroup`], [`Error::TooMany`].
    pub async fn tag(
        &self,
        namespace: &Namespace,
        name: &str,
        change: impl Fn(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        self.change(namespace, name, |group| {
            change(&mut group.tags);
            check_tags(group)
        })
        .await
    }

    async fn change(
        &self,
        namespace: &Namespace,
        name: &str,
        change: impl Fn(&mut Group) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let inner = &*self.0;
        let _turn = self.turn(namespace, name).await;
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, name).await?;
            change(&mut found.group)?;
            let batch = changed(self.batch(), &found);
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Deletes a group with all that it holds: at once for whoever looks, and from the disk some time later.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub async fn delete_group(&self, namespace: &Namespace, name: &str) -> Result<(), Error> {
        let inner = &*self.0;
        let _turn = self.turn(namespace, name).await;
        for attempt in 1..=ATTEMPTS {
            let found = self.find(namespace, name).await?;
            let now = inner.clock.now();
            let batch = layout::unbind(named(namespace, name), found.binding, 0, now, self.batch())?;
            let batch = batch
                .expect(found.row.key.clone(), Expect::Version(found.row.version))
                .delete(found.row.key);
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(name.to_owned()))
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NoGroup`], [`Error::StreamExists`].
    pub async fn create_stream(&self, namespace: &Namespace, group: &str, name: &str) -> Result<(), Error> {
        check_stream(name)?;
        let inner = &*self.0;
        let _turn = self.turn(namespace, group).await;
        for attempt in 1..=ATTEMPTS {
            let mut found = self.find(namespace, group).await?;
            let key = stored::stream_key(found.id(), name)?;
            if inner.store.get(&key).await?.is_some() {
                return Err(Error::StreamExists(name.to_owned()));
            }
            let stream = Stream {
                created: inner.clock.now(),
                id: found.group.next,
                ..Stream::default()
            };
            found.group.next += 1;
            let batch = changed(self.batch(), &found).put(key, stored::write_stream(&stream));
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(group.to_owned()))
    }

    /// Deletes a stream: its events are not shown any more, and are removed when they are the group's oldest.
    ///
    /// # Errors
    /// [`Error::NoGroup`], [`Error::NoStream`].
    pub async fn delete_stream(&self, namespace: &Namespace, group: &str, name: &str) -> Result<(), Error> {
        let inner = &*self.0;
        let _turn = self.turn(namespace, group).await;
        for attempt in 1..=ATTEMPTS {
            let found = self.find(namespace, group).await?;
            let key = stored::stream_key(found.id(), name)?;
            if inner.store.get(&key).await?.is_none() {
                return Err(Error::NoStream(name.to_owned()));
            }
            let batch = changed(self.batch(), &found).delete(key);
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended(group.to_owned()))
    }

    /// A group's streams in the order of their names, after `after` and with this prefix: at most `limit`, and whether there may be more.
    ///
    /// # Errors
    /// [`Error::NoGroup`].
    pub async fn streams(
        &self,
        namespace: &Namespace,
        group: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Stream>, bool), Error> {
        let found = self.find(namespace, group).await?;
        let mut range = stored::streams(found.id());
        if let Some(after) = after {
            range = range.after(&stored::stream_key(found.id(), after)?);
        }
        let snapshot = self.0.store.snapshot().await?;
        let mut streams = Vec::new();
        loop {
            let page = snapshot.scan(&range, Direction::Forward, 500).await?;
            let last = page.entries.last().map(|row| row.key.clone());
            for row in page.entries {
                let name = stored::stream_name(found.id(), &row.key)?;
                if !name.starts_with(prefix) {
                    if name.as_str() > prefix {
                        return Ok((streams, false));
                    }
                    continue;
                }
                if streams.len() == limit {
                    return Ok((streams, true));
                }
                streams.push(stored::read_stream(&name, &row.value)?);
            }
            match last {
                Some(last) if page.more => range = range.after(&last),
                _ => return Ok((streams, false)),
            }
        }
    }

    pub(crate) async fn find(&self, namespace: &Namespace, name: &str) -> Result<Found, Error> {
        let missing = || Error::NoGroup(name.chars().take(512).collect());
        // What is no name cannot be bound, and may be longer than a key.
        check_group(name).map_err(|_| missing())?;
        let binding = layout::resolve(&*self.0.store, named(namespace, name)).await?;
        let binding = binding.ok_or_else(missing)?;
        let row = self.0.store.get(&stored::group_key(binding.id)?).await?;
        let row = row.ok_or_else(missing)?;
        let group = stored::read_group(name, &row.value)?;
        Ok(Found { binding, row, group })
    }

    /// The same at a snapshot's moment.
    pub(crate) async fn find_in(
        &self,
        snapshot: &dyn Snapshot,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Found, Error> {
        let missing = || Error::NoGroup(name.chars().take(512).collect());
        check_group(name).map_err(|_| missing())?;
        let binding = layout::resolve_in(snapshot, named(namespace, name)).await?;
        let binding = binding.ok_or_else(missing)?;
        let row = snapshot.get(&stored::group_key(binding.id)?).await?;
        let row = row.ok_or_else(missing)?;
        let group = stored::read_group(name, &row.value)?;
        Ok(Found { binding, row, group })
    }

    /// Waits until nobody else changes this group's events.
    pub(crate) async fn turn(&self, namespace: &Namespace, group: &str) -> OwnedMutexGuard<()> {
        self.0.turns.take(&(namespace.clone(), group.into())).await
    }

    pub(crate) fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.0.chance))
    }
}

/// The group of an id, if it is still there.
async fn group_row(snapshot: &dyn Snapshot, name: String, id: Id) -> Result<Option<Group>, Error> {
    let row = snapshot.get(&stored::group_key(id)?).await?;
    let group = row.map(|row| stored::read_group(&name, &row.value));
    Ok(group.transpose()?)
}

/// The group's name, if it has something of the invocation.
async fn if_it_knows(
    snapshot: &dyn Snapshot,
    name: String,
    id: Id,
    invocation: InvocationId,
) -> Result<Option<String>, Error> {
    let range = stored::invocations(id, invocation);
    let page = snapshot.scan(&range, Direction::Forward, 1).await?;
    Ok((!page.entries.is_empty()).then_some(name))
}

/// Adds to the batch that the group is changed from what was read.
pub(crate) fn changed(batch: Batch, found: &Found) -> Batch {
    batch
        .expect(found.row.key.clone(), Expect::Version(found.row.version))
        .put(found.row.key.clone(), stored::write_group(&found.group))
}

/// The stream of a name, if it is there.
pub(crate) async fn stream(snapshot: &dyn Snapshot, id: Id, name: &str) -> Result<Option<Stream>, Error> {
    let Ok(key) = stored::stream_key(id, name) else {
        return Ok(None);
    };
    let Some(row) = snapshot.get(&key).await? else {
        return Ok(None);
    };
    Ok(Some(stored::read_stream(name, &row.value)?))
}

fn check_tags(group: &Group) -> Result<(), Error> {
    let count = group.tags.len();
    if count <= Logs::TAGS {
        return Ok(());
    }
    Err(Error::TooMany(format!(
        "the log group would have {count} tags, and at most {} are allowed",
        Logs::TAGS
    )))
}

fn named<'a>(namespace: &'a Namespace, name: &'a str) -> Name<'a> {
    Name {
        namespace,
        kind: KIND,
        name,
    }
}
