//! Keeping events: what is said at one time becomes a few chunks, and few commits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use aloft_base::{Region, Tenant, Timestamp};
use aloft_call::Fault;
use aloft_store::layout::Namespace;
use aloft_store::{ATTEMPTS, Key, commit_decided};

use crate::event::{Entry, FUNCTIONS, Group, Kind, MAX_MESSAGE_BYTES, Stream, check_stream};
use crate::logs::{Found, Logs, changed};
use crate::stored::{self, Chunk, FUNCTIONS_SPAN, Kept, SPAN};
use crate::{Error, logs};

/// The steps that one who keeps events takes to make room: others wait meanwhile.
const SHRINK_STEPS: usize = 64;
/// A chunk ends when its events have so many bytes. With one more event, which may have 256 KiB and a record, it is well below the store's
/// bound of a value.
const CHUNK_BYTES: u64 = 384 << 10;
/// The most invocations of a chunk: each is a row of its own.
const CHUNK_INVOCATIONS: usize = 32;
/// The keys of one commit. PostgreSQL lets a commit of more than 64 pass alone, and these are behind nobody's back.
const BATCH_KEYS: usize = 60;
/// The bytes of one commit.
const BATCH_BYTES: u64 = 2 << 20;

/// A group's name, and whose it is.
pub(crate) type Owned = (Tenant, Arc<str>);

/// A group and a stream of it.
type Place = (Owned, Arc<str>);

/// What one commit keeps, group by group.
#[derive(Debug, Default)]
pub(crate) struct Plan(Vec<(Owned, Vec<Chunk>)>);

impl Plan {
    /// How many events it keeps.
    pub(crate) fn events(&self) -> u64 {
        let chunks = self.0.iter().flat_map(|(_, chunks)| chunks);
        chunks.map(|chunk| chunk.events.len() as u64).sum()
    }
}

impl Logs {
    /// Keeps events that somebody puts into a stream; the answer comes after they are durable.
    ///
    /// # Errors
    /// [`Error::NoGroup`], [`Error::NoStream`].
    pub async fn put(
        &self,
        namespace: &Namespace,
        group: &str,
        stream: &str,
        events: Vec<(Timestamp, String)>,
    ) -> Result<(), Error> {
        if events.is_empty() {
            let found = self.find(namespace, group).await?;
            let snapshot = self.0.store.snapshot().await?;
            let there = logs::stream(&*snapshot, found.id(), stream).await?;
            return match there {
                Some(_) => Ok(()),
                None => Err(Error::NoStream(stream.to_owned())),
            };
        }
        let (name, stream): (Arc<str>, Arc<str>) = (group.into(), stream.into());
        let entries = events.into_iter().map(|(at, message)| Entry {
            tenant: namespace.tenant.clone(),
            group: name.clone(),
            stream: stream.clone(),
            at,
            kind: Kind::Put,
            invocation: None,
            message,
            record: None,
        });
        let chunks = cut(entries.collect(), SPAN, self.0.clock.now());
        let owned = (namespace.tenant.clone(), name);
        let plan = Plan(vec![(
            owned,
            chunks.into_iter().map(|(_, chunk)| chunk).collect(),
        )]);
        let _turn = self.turn(namespace, group).await;
        self.commit(&namespace.region, &plan, false).await
    }

    /// The commits that keep what the platform has heard.
    pub(crate) fn plan(&self, entries: Vec<Entry>) -> Vec<Plan> {
        plans(cut(entries, FUNCTIONS_SPAN, self.0.clock.now()))
    }

    /// Keeps what the platform has heard; groups and streams that are not there are made.
    pub(crate) async fn keep_planned(&self, region: &Region, plan: &Plan) -> Result<(), Error> {
        let groups = plan.0.iter().map(|((tenant, group), _)| {
            let namespace = Namespace::new(tenant, region);
            (namespace, group.clone())
        });
        let _turns = self.0.turns.take_all(groups.collect()).await;
        self.commit(region, plan, true).await
    }

    async fn commit(&self, region: &Region, plan: &Plan, is_automatic: bool) -> Result<(), Error> {
        for attempt in 1..=ATTEMPTS {
            let mut batch = self.batch();
            let mut large = Vec::new();
            let mut is_empty = true;
            for ((tenant, name), chunks) in &plan.0 {
                let namespace = Namespace::new(tenant, region);
                let makes = is_automatic && !chunks.iter().all(is_of_nothing);
                let mut found = match self.open(&namespace, name, makes).await {
                    Err(Error::NoGroup(_)) if is_automatic => continue,
                    found => found?,
                };
                is_empty = false;
                let id = found.id();
                let snapshot = self.0.store.snapshot().await?;
                let mut streams: BTreeMap<Arc<str>, Stream> = BTreeMap::new();
                let mut spans: BTreeMap<Key, u64> = BTreeMap::new();
                for chunk in chunks {
                    if !streams.contains_key(&chunk.stream) {
                        let stream = match logs::stream(&*snapshot, id, &chunk.stream).await? {
                            Some(stream) => stream,
                            None => self.begun(&mut found, &chunk.stream, is_automatic)?,
                        };
                        streams.insert(chunk.stream.clone(), stream);
                    }
                    let Some(stream) = streams.get_mut(&chunk.stream) else {
                        continue;
                    };
                    extend(stream, chunk);
                    let chunk = Chunk {
                        number: found.group.next,
                        stream_id: stream.id,
                        ..chunk.clone()
                    };
                    found.group.next += 1;
                    found.group.bytes += chunk.bytes();
                    found.group.reach = found.group.reach.max(chunk.last() - chunk.first());
                    let key = stored::chunk_key(id, chunk.first(), chunk.number)?;
                    batch = batch.put(key, stored::write_chunk(&chunk));
                    for (invocation, first, last) in chunk.invocations() {
                        // Two chunks may have events of an invocation at the same time: one row leads to both.
                        let key = stored::invocation_key(id, invocation, first)?;
                        let known = spans.entry(key).or_insert(last);
                        *known = last.max(*known);
                    }
                }
                for (key, last) in spans {
                    batch = batch.put(key, stored::write_invocation(last));
                }
                for stream in streams.values() {
                    batch = batch.put(
                        stored::stream_key(id, &stream.name)?,
                        stored::write_stream(stream),
                    );
                }
                batch = changed(batch, &found);
                if self.is_too_large(&found.group) {
                    large.push((namespace, found.group.name));
                }
            }
            if is_empty {
                return Ok(());
            }
            if commit_decided(&*self.0.store, batch, attempt, &*self.0.chance).await? {
                // Upkeep comes every few minutes, and a function that prints without end fills a disk before.
                for (namespace, name) in large {
                    self.shrink(&namespace, &name).await;
                }
                return Ok(());
            }
        }
        let name = plan.0.first().map_or("", |((_, name), _)| name);
        Err(Error::Contended(name.to_owned()))
    }

    /// Removes the oldest of a group that is over its bound. What was to be kept is kept already, so nobody is told of a failure who would
    /// put it once more: upkeep tries again.
    async fn shrink(&self, namespace: &Namespace, name: &str) {
        for _ in 0..SHRINK_STEPS {
            match self.trim(namespace, name).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, group = name, "the oldest events of a log group are not removed yet");
                    return;
                }
            }
        }
    }

    /// The group, which is made if nobody has and the platform wants it.
    async fn open(&self, namespace: &Namespace, name: &str, is_automatic: bool) -> Result<Found, Error> {
        match self.find(namespace, name).await {
            Err(Error::NoGroup(_)) if is_automatic => {
                let days = self.0.bounds.function_days;
                let group = Group {
                    created: self.0.clock.now(),
                    retention_days: Some(days),
                    ..Group::default()
                };
                match self.make(namespace, name, &group).await {
                    Ok(()) | Err(Error::GroupExists(_)) => self.find(namespace, name).await,
                    Err(error) => Err(error),
                }
            }
            found => found,
        }
    }

    fn begun(&self, found: &mut Found, name: &str, is_automatic: bool) -> Result<Stream, Error> {
        if !is_automatic {
            return Err(Error::NoStream(name.chars().take(512).collect()));
        }
        check_stream(name)?;
        let stream = Stream {
            name: name.to_owned(),
            created: self.0.clock.now(),
            id: found.group.next,
            is_automatic,
            ..Stream::default()
        };
        found.group.next += 1;
        Ok(stream)
    }

    /// The bytes that a group may keep.
    pub(crate) fn bound(&self, group: &str) -> u64 {
        if group.starts_with(FUNCTIONS) {
            self.0.bounds.function_bytes
        } else {
            self.0.bounds.group_bytes
        }
    }

    /// Whether it is so far beyond its bound that it is not left to upkeep.
    fn is_too_large(&self, group: &Group) -> bool {
        let bound = self.bound(&group.name);
        group.bytes > bound + bound / 8
    }
}

/// Whether all that a chunk has is that functions were called that are not there: no group is made for a name that was mistyped.
fn is_of_nothing(chunk: &Chunk) -> bool {
    chunk.events.iter().all(|event| {
        let record = event.record.as_ref();
        record.is_some_and(|record| *record.outcome == *Fault::NO_FUNCTION)
    })
}

/// Notes in a stream what a chunk brings.
fn extend(stream: &mut Stream, chunk: &Chunk) {
    let (first, last) = (chunk.first(), chunk.last());
    let known = stream.first.map_or(first, Timestamp::as_millis);
    stream.first = Some(Timestamp::from_millis(known.min(first)));
    let known = stream.last.map_or(last, Timestamp::as_millis);
    stream.last = Some(Timestamp::from_millis(known.max(last)));
    stream.ingested = Some(chunk.ingested);
}

/// Cuts entries into chunks of at most `span`, each with its group. What a stream is given at one time keeps its order.
fn cut(entries: Vec<Entry>, span: u64, now: Timestamp) -> Vec<(Owned, Chunk)> {
    let mut lines: Vec<(Place, Vec<Kept>)> = Vec::new();
    let mut places: HashMap<Place, usize> = HashMap::new();
    for mut entry in entries {
        shorten(&mut entry.message, MAX_MESSAGE_BYTES);
        let kept = Kept {
            at: entry.at.as_millis(),
            kind: entry.kind,
            invocation: entry.invocation,
            message: entry.message,
            record: entry.record,
        };
        let place = ((entry.tenant, entry.group), entry.stream);
        let index = *places.entry(place.clone()).or_insert_with(|| {
            lines.push((place, Vec::new()));
            lines.len() - 1
        });
        if let Some((_, events)) = lines.get_mut(index) {
            events.push(kept);
        }
    }
    let mut chunks = Vec::new();
    for ((group, stream), mut events) in lines {
        events.sort_by_key(|event| event.at);
        let mut chunk = empty(&stream, now);
        let (mut bytes, mut invocations) = (0, HashSet::new());
        for event in events {
            let is_new = event.invocation.is_some_and(|id| !invocations.contains(&id));
            let is_full = bytes >= CHUNK_BYTES
                || chunk
                    .events
                    .first()
                    .is_some_and(|first| event.at - first.at > span)
                || (is_new && invocations.len() >= CHUNK_INVOCATIONS);
            if is_full {
                let full = std::mem::replace(&mut chunk, empty(&stream, now));
                chunks.push((group.clone(), full));
                (bytes, invocations) = (0, HashSet::new());
            }
            bytes += event.bytes();
            invocations.extend(event.invocation);
            chunk.events.push(event);
        }
        if !chunk.events.is_empty() {
            chunks.push((group, chunk));
        }
    }
    chunks
}

fn empty(stream: &Arc<str>, now: Timestamp) -> Chunk {
    Chunk {
        number: 0,
        stream: stream.clone(),
        stream_id: 0,
        ingested: now,
        events: Vec::new(),
    }
}

/// Cuts a text to so many bytes, between characters.
pub(crate) fn shorten(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
}

/// Puts chunks together into commits.
fn plans(chunks: Vec<(Owned, Chunk)>) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    let (mut keys, mut bytes) = (usize::MAX, 0);
    for (group, chunk) in chunks {
        // The group's and the stream's rows, and the chunk's own.
        let (needs, weighs) = (3 + chunk.invocations().len(), chunk.bytes());
        if keys.saturating_add(needs) > BATCH_KEYS || bytes + weighs > BATCH_BYTES {
            plans.push(Plan::default());
            (keys, bytes) = (0, 0);
        }
        keys += needs;
        bytes += weighs;
        let Some(plan) = plans.last_mut() else { continue };
        match plan.0.iter_mut().find(|(known, _)| *known == group) {
            Some((_, chunks)) => chunks.push(chunk),
            None => plan.0.push((group, vec![chunk])),
        }
    }
    plans
}
