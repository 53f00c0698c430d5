//! Reading a group in the order of time, forward and backward, page by page.
//!
//! Chunks lie in the order of their first events and overlap by at most the group's reach, so a page is found by going through them and keeping the
//! first events that are wanted: one is certain when no later chunk can begin before it. What a page holds and how much is looked
//! through for it are bounded; a page may be empty and not the last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aloft_base::InvocationId;
use aloft_store::Direction;
use aloft_store::layout::Namespace;

use crate::Error;
use crate::event::{Event, Kind, Position, words};
use crate::logs::{self, Found, Logs};
use crate::stored;

/// Chunks that are taken at once; they are 4 MiB at most.
const CHUNKS: usize = 64;
/// The bytes of chunks that are looked through for one page.
const LOOKED_BYTES: usize = 16 << 20;

/// Whose events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Streams {
    /// Those of all streams.
    #[default]
    All,
    /// Those of these streams, which must be there.
    Named(Vec<String>),
    /// Those of streams whose names begin so.
    Prefix(String),
}

/// What is wanted of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The group's name.
    pub group: String,
    /// Of these streams.
    pub streams: Streams,
    /// Of this invocation.
    pub invocation: Option<InvocationId>,
    /// With it the records of all calls that it led to.
    pub is_chain: bool,
    /// Not before this millisecond.
    pub since: u64,
    /// Before this millisecond.
    pub until: u64,
    /// Forward: from here on. Backward: what lies before.
    pub from: Position,
    /// Forward from the oldest, or backward from the newest.
    pub direction: Direction,
    /// The most events of a page.
    pub limit: usize,
    /// The most bytes of a page's messages, but for one event.
    pub bytes: usize,
}

impl Query {
    /// All of a group, forward.
    pub fn all(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            streams: Streams::All,
            invocation: None,
            is_chain: false,
            since: 0,
            until: u64::MAX,
            from: Position::START,
            direction: Direction::Forward,
            limit: 10_000,
            bytes: 1 << 20,
        }
    }

    /// All of a group, backward.
    pub fn newest(group: &str) -> Self {
        Self {
            from: Position::END,
            direction: Direction::Backward,
            ..Self::all(group)
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// In the order of the direction.
    pub events: Vec<Event>,
    /// Where to go on in the same direction.
    pub next: Position,
    /// Whether nothing follows.
    pub is_done: bool,
}

/// Where a page may lie: from `lower` on, before `upper`.
struct Window {
    lower: Position,
    upper: Position,
}

impl Logs {
    /// A page of what is wanted and what `takes` takes.
    ///
    /// # Errors
    /// [`Error::NoGroup`], [`Error::NoStream`].
    pub async fn read(
        &self,
        namespace: &Namespace,
        query: &Query,
        takes: &(dyn Fn(&Event) -> bool + Sync),
    ) -> Result<Page, Error> {
        let found = self.find(namespace, &query.group).await?;
        let id = found.id();
        let snapshot = self.0.store.snapshot().await?;
        let nothing = Page {
            events: Vec::new(),
            next: query.from,
            is_done: true,
        };
        let Some(window) = self.window(&*snapshot, &found, query).await? else {
            return Ok(nothing);
        };
        // Of the same moment as the chunks, or one with a longer reach might be passed over.
        let group = match snapshot.get(&stored::group_key(id)?).await? {
            Some(row) => stored::read_group(&query.group, &row.value)?,
            None => return Err(Error::NoGroup(query.group.clone())),
        };
        let mut page = Gathering::new(query, &window, group.reach);
        let begin = window.lower.at.saturating_sub(group.reach);
        let mut range = stored::chunks(id);
        if begin > 0 {
            range = range.after(&stored::chunk_key(id, begin - 1, u64::MAX)?);
        }
        range = range.before(&stored::chunk_key(id, window.upper.at, u64::MAX)?);
        let (mut looked, mut alive) = (0, HashMap::<Arc<str>, Option<u64>>::new());
        loop {
            let chunks = snapshot.scan(&range, query.direction, CHUNKS).await?;
            let last = chunks.entries.last().map(|row| row.key.clone());
            for row in chunks.entries {
                let (first, number) = stored::chunk_place(id, &row.key)?;
                if page.is_certain(first) {
                    return Ok(page.full());
                }
                if looked > LOOKED_BYTES && page.moves_on(first) {
                    return Ok(page.cut(first));
                }
                looked += row.value.len();
                let chunk = stored::read_chunk_from(first, number, &row.value, window.lower.at)?;
                let Some(chunk) = chunk else { continue };
                if !query.streams.take(&chunk.stream) {
                    continue;
                }
                if !alive.contains_key(&chunk.stream) {
                    let stream = logs::stream(&*snapshot, id, &chunk.stream).await?;
                    alive.insert(chunk.stream.clone(), stream.map(|stream| stream.id));
                }
                // One that was deleted, or made anew since, shows nothing of what it was.
                if alive.get(&chunk.stream).copied().flatten() != Some(chunk.stream_id) {
                    continue;
                }
                for event in chunk.into_events() {
                    let record = event.record.as_deref().filter(|_| query.is_chain);
                    let root = record.and_then(|record| record.root);
                    let is_asked = query.invocation.is_none()
                        || event.invocation == query.invocation
                        || root == query.invocation;
                    let is_told = event.kind != Kind::Untold || query.is_chain;
                    if event.position >= window.lower
                        && event.position < window.upper
                        && is_asked
                        && is_told
                        && takes(&event)
                    {
                        page.add(event);
                    }
                }
            }
            range = match (last, query.direction) {
                (Some(last), Direction::Forward) if chunks.more => range.after(&last),
                (Some(last), Direction::Backward) if chunks.more => range.before(&last),
                _ => return Ok(page.end()),
            };
        }
    }

    /// Where what is wanted may lie, if it may be anywhere.
    async fn window(
        &self,
        snapshot: &dyn aloft_store::Snapshot,
        found: &Found,
        query: &Query,
    ) -> Result<Option<Window>, Error> {
        let id = found.id();
        let mut since = query.since.max(found.group.oldest(self.0.clock.now()));
        let mut until = query.until;
        let mut narrow = |spans: Vec<(u64, u64)>| {
            let first = spans.iter().map(|(first, _)| *first).min();
            let last = spans.iter().map(|(_, last)| last.saturating_add(1)).max();
            since = since.max(first.unwrap_or(u64::MAX));
            until = until.min(last.unwrap_or(0));
        };
        if let Some(invocation) = query.invocation {
            let range = stored::invocations(id, invocation);
            let rows = snapshot.scan(&range, Direction::Forward, 10_000).await?;
            let spans = rows.entries.iter().map(|row| stored::invocation_span(id, row));
            narrow(spans.collect::<Result<_, _>>()?);
        }
        if let Streams::Named(names) = &query.streams {
            let mut spans = Vec::new();
            for name in names {
                let stream = logs::stream(snapshot, id, name).await?;
                let stream = stream.ok_or_else(|| Error::NoStream(name.chars().take(512).collect()))?;
                if let (Some(first), Some(last)) = (stream.first, stream.last) {
                    spans.push((first.as_millis(), last.as_millis()));
                }
            }
            narrow(spans);
        }
        let (mut lower, mut upper) = (Position::at(since), Position::at(until));
        match query.direction {
            Direction::Forward => lower = lower.max(query.from),
            Direction::Backward => upper = upper.min(query.from),
        }
        Ok((lower < upper).then_some(Window { lower, upper }))
    }
}

impl Streams {
    fn take(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|wanted| wanted == name),
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

/// A page while it is gathered: the first events, in the order of its direction, of all that were seen.
struct Gathering<'a> {
    query: &'a Query,
    /// How far the group's chunks reach beyond their begin, at most.
    reach: u64,
    lower: Position,
    upper: Position,
    events: BTreeMap<Position, Event>,
    bytes: usize,
    /// The nearest of the events that found no room; from there on none has.
    edge: Option<Position>,
}

impl<'a> Gathering<'a> {
    fn new(query: &'a Query, window: &Window, reach: u64) -> Self {
        Self {
            query,
            reach,
            lower: window.lower,
            upper: window.upper,
            events: BTreeMap::new(),
            bytes: 0,
            edge: None,
        }
    }

    fn add(&mut self, event: Event) {
        // A small one must not take the room of a larger one before it, which the next page would not show then.
        let is_beyond = |edge| match self.query.direction {
            Direction::Forward => event.position >= edge,
            Direction::Backward => event.position <= edge,
        };
        if self.edge.is_some_and(is_beyond) {
            return;
        }
        self.bytes += weight(&event);
        self.events.insert(event.position, event);
        while self.events.len() > 1
            && (self.events.len() > self.query.limit.max(1) || self.bytes > self.query.bytes)
        {
            let gone = match self.query.direction {
                Direction::Forward => self.events.pop_last(),
                Direction::Backward => self.events.pop_first(),
            };
            let Some((position, gone)) = gone else { break };
            self.bytes = self.bytes.saturating_sub(weight(&gone));
            self.edge = Some(position);
        }
    }

    /// Whether the page is full and no chunk from the one that begins at `first` on can change it.
    fn is_certain(&self, first: u64) -> bool {
        let is_full = self.edge.is_some() || self.events.len() >= self.query.limit;
        let farthest = match self.query.direction {
            Direction::Forward => self.events.last_key_value(),
            Direction::Backward => self.events.first_key_value(),
        };
        let Some((farthest, _)) = farthest.filter(|_| is_full) else {
            return false;
        };
        match self.query.direction {
            Direction::Forward => first > farthest.at,
            Direction::Backward => first.saturating_add(self.reach) < farthest.at,
        }
    }

    /// Whether a page that ends before the chunk which begins at `first` goes beyond where it began.
    fn moves_on(&self, first: u64) -> bool {
        match self.query.direction {
            Direction::Forward => first > self.lower.at,
            Direction::Backward => first.saturating_add(self.reach + 1) < self.upper.at,
        }
    }

    fn full(self) -> Page {
        let next = match self.query.direction {
            Direction::Forward => self.events.last_key_value().map(|(last, _)| last.next()),
            Direction::Backward => self.events.first_key_value().map(|(first, _)| *first),
        };
        let next = next.unwrap_or(self.query.from);
        self.page(next, false)
    }

    /// The page up to the chunk that begins at `first`, which is not looked at any more. The page is not certain, so what found no room
    /// lies beyond that, too.
    fn cut(mut self, first: u64) -> Page {
        let end = match self.query.direction {
            Direction::Forward => Position::at(first),
            Direction::Backward => Position::at(first.saturating_add(self.reach + 1)),
        };
        match self.query.direction {
            Direction::Forward => drop(self.events.split_off(&end)),
            Direction::Backward => self.events = self.events.split_off(&end),
        }
        self.page(end, false)
    }

    fn end(self) -> Page {
        if self.edge.is_some() {
            return self.full();
        }
        Page {
            is_done: true,
            ..self.full()
        }
    }

    fn page(self, next: Position, is_done: bool) -> Page {
        let mut events: Vec<Event> = self.events.into_values().collect();
        if self.query.direction == Direction::Backward {
            events.reverse();
        }
        Page {
            events,
            next,
            is_done,
        }
    }
}

fn weight(event: &Event) -> usize {
    event.message.len() + event.record.as_ref().map_or(0, |record| words(record)) + 26
}
