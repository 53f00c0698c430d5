//! What the durable log holds of functions, of one or of all, in the order of time.

use std::collections::{HashMap, VecDeque};

use aloft_base::{FunctionName, InvocationId, Timestamp};
use aloft_log::{Direction, Error, Event, FUNCTIONS, Logs, PLATFORM, Pattern, Position, Query, group_of};
use aloft_store::layout::Namespace;

/// Events that are shown of each function when nothing says since when.
const NEWEST: usize = 1_000;
/// Their bytes, of all functions together.
const NEWEST_BYTES: usize = 16 << 20;
/// What is held of all functions together while what lies in the log is merged, and at least of each.
const PAGES: usize = 20_000;
const PAGES_BYTES: usize = 8 << 20;
const PAGE: usize = 100;
const PAGE_BYTES: usize = 16 << 10;
/// Functions whose logs are shown together.
pub(crate) const GROUPS: usize = 10_000;

/// Which events are asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) function: Option<FunctionName>,
    pub(crate) invocation: Option<InvocationId>,
    /// With it the records of all calls that it led to.
    pub(crate) is_chain: bool,
    pub(crate) since: Option<Timestamp>,
    pub(crate) pattern: Option<Pattern>,
}

impl Wanted {
    pub(crate) fn takes(&self, message: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.takes(message))
    }
}

/// The events of some groups, merged.
pub(crate) struct History {
    logs: Logs,
    namespace: Namespace,
    sources: Vec<Source>,
    /// The time before which nothing of a group is shown, because it has more than is shown.
    horizons: HashMap<String, u64>,
}

struct Source {
    query: Query,
    events: VecDeque<Event>,
    is_done: bool,
}

impl History {
    /// Finds where to begin.
    pub(crate) async fn open(logs: Logs, namespace: Namespace, wanted: &Wanted) -> Result<Self, Error> {
        let groups = match (&wanted.function, wanted.invocation) {
            (Some(function), _) => vec![group_of(function)],
            // One or a few of thousands have something of it, and only those are read.
            (None, Some(invocation)) => logs.groups_of(&namespace, FUNCTIONS, invocation, GROUPS).await?,
            (None, None) => {
                let mut names = logs.group_names(&namespace, FUNCTIONS, GROUPS).await?;
                names.push(PLATFORM.to_owned());
                names
            }
        };
        let count = groups.len().max(1);
        let sources = groups.iter().map(|group| Source {
            query: Query {
                invocation: wanted.invocation,
                is_chain: wanted.is_chain,
                since: wanted.since.map_or(0, Timestamp::as_millis),
                limit: (PAGES / count).max(PAGE),
                bytes: (PAGES_BYTES / count).max(PAGE_BYTES),
                ..Query::all(group)
            },
            events: VecDeque::new(),
            is_done: false,
        });
        let mut history = Self {
            logs,
            namespace,
            sources: sources.collect(),
            horizons: HashMap::new(),
        };
        if wanted.since.is_none() && wanted.invocation.is_none() {
            history.begin_with_newest(wanted).await?;
        }
        history.fill(wanted).await?;
        Ok(history)
    }

    /// The next event, with its group.
    pub(crate) async fn next(&mut self, wanted: &Wanted) -> Result<Option<(String, Event)>, Error> {
        self.fill(wanted).await?;
        let first = |source: &Source| source.events.front().map(|event| event.position.at);
        let next = self.sources.iter_mut().filter(|source| !source.events.is_empty());
        let Some(source) = next.min_by_key(|source| first(source)) else {
            return Ok(None);
        };
        let event = source.events.pop_front();
        Ok(event.map(|event| (source.query.group.clone(), event)))
    }

    /// Whether what a group said at this time lies before what is shown of it.
    pub(crate) fn is_before(&self, group: &str, at: Timestamp) -> bool {
        let horizon = self.horizons.get(group);
        horizon.is_some_and(|horizon| at.as_millis() <= *horizon)
    }

    /// Takes the newest of each group, which are all: what comes from now on is told by the feed.
    async fn begin_with_newest(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let bytes = NEWEST_BYTES / self.sources.len().max(1);
        for source in &mut self.sources {
            let mut query = Query {
                bytes,
                direction: Direction::Backward,
                from: Position::END,
                ..source.query.clone()
            };
            let mut newest: Vec<Event> = Vec::new();
            // Where little is wanted of much, a page may be empty and not the last.
            loop {
                query.limit = NEWEST - newest.len();
                let page = match self
                    .logs
                    .read(&self.namespace, &query, wanted.pattern.as_ref())
                    .await
                {
                    Ok(page) => page,
                    Err(Error::NoGroup(_)) => break,
                    Err(error) => return Err(error),
                };
                query.from = page.next;
                newest.extend(page.events);
                let held: usize = newest.iter().map(|event| event.message.len()).sum();
                if page.is_done {
                    break;
                }
                if newest.len() >= NEWEST || held >= bytes {
                    let group = source.query.group.clone();
                    self.horizons.insert(group, query.from.at.saturating_sub(1));
                    break;
                }
            }
            source.is_done = true;
            source.events.extend(newest.into_iter().rev());
        }
        Ok(())
    }

    /// Fills each source that has nothing at hand and is not at its end.
    async fn fill(&mut self, wanted: &Wanted) -> Result<(), Error> {
        for source in &mut self.sources {
            while source.events.is_empty() && !source.is_done {
                let page = match self
                    .logs
                    .read(&self.namespace, &source.query, wanted.pattern.as_ref())
                    .await
                {
                    Ok(page) => page,
                    // A function that has said nothing yet.
                    Err(Error::NoGroup(_)) => {
                        source.is_done = true;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                source.query.from = page.next;
                source.is_done = page.is_done;
                source.events.extend(page.events);
            }
        }
        Ok(())
    }
}
