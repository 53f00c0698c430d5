//! Reading a group in the order of time, forward and backward, page by page.
//!
//! Chunks lie in the order of their first events and overlap by at most the group's reach, so a page is found by going through them and keeping the
//! first events that are wanted: one is certain when no later chunk can begin before it. What a page holds and how much is looked
//! through for it are bounded; a page may be empty and not the last. It may end within a millisecond, between two chunks or two events:
//! a million of one time are as many pages as a million of an hour. What overlaps where it begins is looked through besides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aloft_base::{Clock, InvocationId};
use aloft_store::layout::{Id, Namespace};
use aloft_store::{Direction, KeyRange};
use bytes::Bytes;

use crate::event::{Event, Kind, Position, words};
use crate::logs::{self, Inner, Logs};
use crate::stored::{self, Head};
use crate::{Error, Pattern};

/// Chunks that are taken at once; they are 4 MiB at most.
const CHUNKS: usize = 64;

/// How long chunks are looked through for one page: a pattern may cost much more than to read them.
const LOOKED_FOR: Duration = Duration::from_secs(5);

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
#[derive(Debug, Clone, Copy)]
struct Window {
    lower: Position,
    upper: Position,
}

impl Logs {
    /// A page of what is wanted and what the pattern takes.
    ///
    /// # Errors
    /// [`Error::NoGroup`], [`Error::NoStream`].
    pub async fn read(
        &self,
        namespace: &Namespace,
        query: &Query,
        pattern: Option<&Pattern>,
    ) -> Result<Page, Error> {
        // All is of the same moment as the chunks, the group's reach too, or one with a longer reach might be passed over.
        let snapshot = self.0.store.snapshot().await?;
        let found = self.find_in(&*snapshot, namespace, &query.group).await?;
        let (id, reach) = (found.id(), found.group.reach);
        let Some(window) = self.window(&*snapshot, &found, query).await? else {
            return Ok(Page {
                events: Vec::new(),
                next: query.from,
                is_done: true,
            });
        };
        let mut range = window.chunks(id, reach)?;
        let mut page = Gathering::new(&self.0, query, window, reach, pattern);
        let mut alive = Alive::new();
        loop {
            let chunks = snapshot.scan(&range, query.direction, CHUNKS).await?;
            let last = chunks.entries.last().map(|row| row.key.clone());
            let mut rows = Vec::with_capacity(chunks.entries.len());
            for row in chunks.entries {
                let (first, number) = stored::chunk_place(id, &row.key)?;
                rows.push(Found {
                    first,
                    number,
                    head: stored::read_chunk_head(&row.value)?,
                    value: row.value,
                });
            }
            let wanted = rows.iter().filter(|row| query.streams.take(&row.head.stream));
            for row in wanted {
                let stream = &row.head.stream;
                if !alive.contains_key(stream) {
                    let found = logs::stream(&*snapshot, id, stream).await?;
                    alive.insert(stream.clone(), found.map(|stream| stream.id));
                }
            }
            let ended;
            (page, alive, ended) = self.look(page, alive, rows).await?;
            if let Some(ended) = ended {
                return Ok(page.end(ended));
            }
            range = match (last, query.direction) {
                (Some(last), Direction::Forward) if chunks.more => range.after(&last),
                (Some(last), Direction::Backward) if chunks.more => range.before(&last),
                _ => return Ok(page.end(Ended::Chunks)),
            };
        }
    }

    /// Looks through chunks. To match a pattern may take long, so it happens apart from the threads that answer requests, and only a few
    /// patterns are matched at once: who asks for more waits for those, and nobody else does.
    async fn look(&self, mut page: Gathering, alive: Alive, rows: Vec<Found>) -> Result<Looked, Error> {
        if page.pattern.is_none() {
            let ended = page.look(&alive, rows)?;
            return Ok((page, alive, ended));
        }
        let closed = || Error::Store(aloft_store::Error::Closed);
        let permit = self.0.matching.clone().acquire_owned().await;
        let permit = permit.map_err(|_| closed())?;
        let work = move || {
            let _permit = permit;
            let ended = page.look(&alive, rows)?;
            Ok((page, alive, ended))
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(closed()))
    }

    /// Where what is wanted may lie, if it may be anywhere.
    async fn window(
        &self,
        snapshot: &dyn aloft_store::Snapshot,
        found: &logs::Found,
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

impl Window {
    /// The chunks that may have events in it. One that begins before it may reach into it; of those that begin in its last millisecond
    /// the number tells.
    fn chunks(&self, id: Id, reach: u64) -> Result<KeyRange, Error> {
        let Self { lower, upper } = self;
        let begin = match (lower.at.saturating_sub(reach), reach) {
            (at, 0) => (at, lower.chunk),
            (at, _) => (at, 0),
        };
        let mut range = stored::chunks(id);
        let before = match begin {
            (at, number) if number > 0 => Some((at, number - 1)),
            (at, _) if at > 0 => Some((at - 1, u64::MAX)),
            _ => None,
        };
        if let Some((at, number)) = before {
            range = range.after(&stored::chunk_key(id, at, number)?);
        }
        let end = stored::chunk_key(id, upper.at, upper.chunk.saturating_add(1))?;
        Ok(range.before(&end))
    }
}

/// A chunk's row: where it lies and what its head says.
struct Found {
    first: u64,
    number: u64,
    head: Head,
    value: Bytes,
}

/// The number of each stream that was seen, unless it is not there any more.
type Alive = HashMap<Arc<str>, Option<u64>>;

type Looked = (Gathering, Alive, Option<Ended>);

/// Why a page ended.
enum Ended {
    /// It is full, and nothing that was not looked at can change it.
    Full,
    /// Enough was looked through: it has what lies before this place.
    Cut(Position),
    /// There are no more chunks.
    Chunks,
}

/// A page while it is gathered: the first events, in the order of its direction, of all that were seen.
struct Gathering {
    query: Query,
    pattern: Option<Pattern>,
    /// How far the group's chunks reach beyond their begin, at most.
    reach: u64,
    window: Window,
    events: BTreeMap<Position, Event>,
    bytes: usize,
    /// The nearest of the events that found no room; from there on none has.
    edge: Option<Position>,
    /// The bytes of chunks that were looked through of those that lead the page on, and how many may be.
    looked: usize,
    most: usize,
    clock: Arc<dyn Clock>,
    began: Instant,
}

impl Gathering {
    fn new(logs: &Inner, query: &Query, window: Window, reach: u64, pattern: Option<&Pattern>) -> Self {
        Self {
            query: query.clone(),
            pattern: pattern.cloned(),
            reach,
            window,
            events: BTreeMap::new(),
            bytes: 0,
            edge: None,
            looked: 0,
            most: logs.bounds.looked_bytes,
            clock: logs.clock.clone(),
            began: logs.clock.instant(),
        }
    }

    /// Looks through chunks, until the page has ended.
    fn look(&mut self, alive: &Alive, rows: Vec<Found>) -> Result<Option<Ended>, Error> {
        for row in rows {
            let limit = self.limit_of(row.first, row.number);
            if self.is_certain(limit) {
                return Ok(Some(Ended::Full));
            }
            if self.moves_on(limit) {
                let is_late = self.clock.instant().duration_since(self.began) > LOOKED_FOR;
                if self.looked > self.most || is_late {
                    return Ok(Some(Ended::Cut(limit)));
                }
                self.looked += row.value.len();
            }
            // One that was deleted, or made anew since, shows nothing of what it was; one that is not wanted is not known here.
            let is_alive = alive.get(&row.head.stream).copied().flatten() == Some(row.head.stream_id);
            let last = Position {
                at: row.first.saturating_add(row.head.span),
                chunk: row.number,
                index: u32::MAX,
            };
            if !is_alive || !self.query.streams.take(&row.head.stream) || last < self.window.lower {
                continue;
            }
            let chunk = stored::read_chunk(row.first, row.number, &row.value)?;
            for event in chunk.into_events() {
                if self.wants(&event) {
                    self.add(event);
                }
            }
        }
        Ok(None)
    }

    fn wants(&self, event: &Event) -> bool {
        let Query {
            invocation, is_chain, ..
        } = self.query;
        let record = event.record.as_deref().filter(|_| is_chain);
        let root = record.and_then(|record| record.root);
        let is_asked = invocation.is_none() || event.invocation == invocation || root == invocation;
        let is_told = event.kind != Kind::Untold || is_chain;
        let is_within = event.position >= self.window.lower && event.position < self.window.upper;
        let pattern = self.pattern.as_ref();
        is_within
            && is_asked
            && is_told
            && !self.is_beyond(event.position)
            && pattern.is_none_or(|pattern| pattern.takes(&event.message))
    }

    /// Whether it lies where no event has found room. A small one must not take the room of a larger one before it, which the next page
    /// would not show then.
    fn is_beyond(&self, position: Position) -> bool {
        self.edge.is_some_and(|edge| match self.query.direction {
            Direction::Forward => position >= edge,
            Direction::Backward => position <= edge,
        })
    }

    fn add(&mut self, event: Event) {
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

    /// What bounds all that this chunk and those behind it may have: forward nothing of it lies before, backward all does. Within a
    /// millisecond chunks lie as their events do, in the order of their numbers, unless one from before reaches into it.
    fn limit_of(&self, first: u64, number: u64) -> Position {
        let of_chunk = |number| Position {
            at: first,
            chunk: number,
            index: 0,
        };
        match (self.query.direction, self.reach) {
            (Direction::Forward, _) => of_chunk(number),
            (Direction::Backward, 0) => of_chunk(number.saturating_add(1)),
            (Direction::Backward, reach) => Position::at(first.saturating_add(reach + 1)),
        }
    }

    /// Whether the page is full and nothing that is bounded so can change it.
    fn is_certain(&self, limit: Position) -> bool {
        let is_full = self.edge.is_some() || self.events.len() >= self.query.limit;
        let farthest = match self.query.direction {
            Direction::Forward => self.events.last_key_value(),
            Direction::Backward => self.events.first_key_value(),
        };
        let Some((farthest, _)) = farthest.filter(|_| is_full) else {
            return false;
        };
        match self.query.direction {
            Direction::Forward => limit > *farthest,
            Direction::Backward => limit <= *farthest,
        }
    }

    /// Whether a page that ends there goes beyond where it began.
    fn moves_on(&self, limit: Position) -> bool {
        match self.query.direction {
            Direction::Forward => limit > self.window.lower,
            Direction::Backward => limit < self.window.upper,
        }
    }

    fn end(mut self, ended: Ended) -> Page {
        let nearest = match self.query.direction {
            Direction::Forward => self.events.last_key_value().map(|(last, _)| last.next()),
            Direction::Backward => self.events.first_key_value().map(|(first, _)| *first),
        };
        let mut next = nearest.unwrap_or(self.query.from);
        if let Ended::Cut(limit) = ended {
            // The page is not certain, so what found no room lies beyond that, too.
            let beyond = self.events.split_off(&limit);
            if self.query.direction == Direction::Backward {
                self.events = beyond;
            }
            next = limit;
        }
        let is_done = matches!(ended, Ended::Chunks) && self.edge.is_none();
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
