//! Reading many rows: a part of one partition in order, or all of them. Both go page by page: at most 1 MiB of rows, and at
//! most as many as the caller wants to look at.

use aloft_item::Item;
use aloft_store::{Direction, Key, KeyRange};

use crate::expression::{Condition, KeyCondition, Projection, Range};
use crate::place::{query, row, segment};
use crate::{Error, Table};

/// A page ends when the rows that were looked at reach this size.
const PAGE_BYTES: usize = 1 << 20;
/// How many rows are read from the store at a time.
const CHUNK: usize = 256;
/// After so many rows a read lets others have its thread.
const ROWS_A_TURN: usize = 64;

/// What of the rows an answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Select {
    /// Everything.
    #[default]
    All,
    /// Parts.
    Some(Projection),
    /// Only how many there are.
    Count,
}

/// What a query and a scan have in common.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Rows that do not meet it are looked at but not shown.
    pub filter: Option<Condition>,
    /// What is shown of a row.
    pub select: Select,
    /// The most rows that are looked at.
    pub limit: Option<usize>,
    /// Where to go on: the key attributes of the last row that was looked at.
    pub start: Option<Item>,
}

/// A part of one partition.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which part.
    pub condition: KeyCondition,
    /// In the order of the sort key, or the other way.
    pub forward: bool,
    /// What else.
    pub read: Read,
}

/// All rows, or one of several even parts of them.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Which part, from 0, of how many.
    pub segment: Option<(u32, u32)>,
    /// What else.
    pub read: Read,
}

/// What a query or a scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The rows, none if only their number was wanted.
    pub items: Vec<Item>,
    /// How many rows met the filter.
    pub count: usize,
    /// How many rows were looked at.
    pub scanned: usize,
    /// The size of the rows that were looked at.
    pub bytes: usize,
    /// The key of the last row that was looked at, if there may be more.
    pub last: Option<Item>,
}

impl Table {
    /// Reads a page of a query.
    ///
    /// # Errors
    /// When the condition, the filter or the start do not fit this table.
    pub async fn query(&self, wanted: &Query) -> Result<Found, Error> {
        let schema = &self.description.schema;
        let (hash, range) = wanted.condition.fit(schema)?;
        let hash_item = Item([(schema.hash.name.clone(), hash.clone())].into_iter().collect());
        if let Some(filter) = &wanted.read.filter
            && let Some(key) = schema
                .keys()
                .find(|key| filter.attributes().contains(&key.name.as_str()))
        {
            return Err(Error::Invalid(format!(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: {}",
                key.name
            )));
        }
        let mut part = query(self.id, self.tables.0.secret.hash(&hash), &range);
        let direction = if wanted.forward {
            Direction::Forward
        } else {
            Direction::Backward
        };
        if let Some(start) = &wanted.read.start {
            let key = self.start(start)?;
            if start.get(&schema.hash.name) != Some(&hash) {
                return Err(Error::Invalid(
                    "The provided starting key is outside query boundaries based on provided conditions"
                        .to_owned(),
                ));
            }
            self.check_start(start, &range)?;
            part = if wanted.forward {
                part.after(&key)
            } else {
                part.before(&key)
            };
        }
        self.read_many(part, direction, &wanted.read, Some(&hash_item))
            .await
    }

    /// Reads a page of a scan.
    ///
    /// # Errors
    /// When the start or the segment do not fit.
    pub async fn scan(&self, wanted: &Scan) -> Result<Found, Error> {
        let (part, of) = wanted.segment.unwrap_or((0, 1));
        let mut range = segment(self.id, part, of);
        if let Some(start) = &wanted.read.start {
            let key = self.start(start)?;
            if !contains(&range, &key) {
                return Err(Error::Invalid(format!(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: {of} Segment: {part}"
                )));
            }
            range = range.after(&key);
        }
        self.read_many(range, Direction::Forward, &wanted.read, None)
            .await
    }

    /// The store key of a start.
    fn start(&self, start: &Item) -> Result<Key, Error> {
        let schema = &self.description.schema;
        schema.check_key(start).map_err(|error| match error {
            Error::Invalid(message) => {
                Error::Invalid(format!("The provided starting key is invalid: {message}"))
            }
            other => other,
        })?;
        row(self.id, self.tables.0.secret, schema, start)
    }

    fn check_start(&self, start: &Item, range: &Range) -> Result<(), Error> {
        let sort_key = self
            .description
            .schema
            .range
            .as_ref()
            .and_then(|key| start.get(&key.name));
        match sort_key {
            Some(value) if !range.holds(value) => Err(Error::Invalid(
                "The provided starting key does not match the range key predicate".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    async fn read_many(
        &self,
        mut range: KeyRange,
        direction: Direction,
        read: &Read,
        partition: Option<&Item>,
    ) -> Result<Found, Error> {
        let mut found = Found::default();
        let limit = read.limit.unwrap_or(usize::MAX);
        let snapshot = self.tables.0.store.snapshot().await?;
        loop {
            if range.is_empty() {
                return Ok(found);
            }
            let page = snapshot
                .scan(&range, direction, CHUNK.min(limit - found.scanned))
                .await?;
            let last_key = page.entries.last().map(|entry| entry.key.clone());
            for entry in &page.entries {
                // A filter may take a while, and others wait for this thread.
                if found.scanned.is_multiple_of(ROWS_A_TURN) {
                    tokio::task::yield_now().await;
                }
                let (item, _) = match partition {
                    Some(partition) => self.read_row(entry, partition)?,
                    None => self.read(entry)?,
                };
                found.scanned += 1;
                found.bytes += item.size();
                let is_full = found.scanned >= limit || found.bytes >= PAGE_BYTES;
                if is_full {
                    found.last = Some(self.description.schema.keys_of(&item));
                }
                found.take(item, read);
                if is_full {
                    return Ok(found);
                }
            }
            match (page.more, last_key) {
                (true, Some(last)) => {
                    range = match direction {
                        Direction::Forward => range.after(&last),
                        Direction::Backward => range.before(&last),
                    };
                }
                _ => return Ok(found),
            }
        }
    }
}

impl Found {
    fn take(&mut self, item: Item, read: &Read) {
        if read.filter.as_ref().is_some_and(|filter| !filter.holds(&item)) {
            return;
        }
        self.count += 1;
        match &read.select {
            Select::All => self.items.push(item),
            Select::Some(projection) => self.items.push(projection.apply(&item)),
            Select::Count => {}
        }
    }
}

fn contains(range: &KeyRange, key: &Key) -> bool {
    use std::ops::RangeBounds;
    (range.from.clone(), range.to.clone()).contains(key.as_bytes())
}
