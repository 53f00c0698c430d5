//! How many rows a table has. Nothing keeps a number: a row that each write counts up would make all writers of a table wait for one
//! another. So rows are counted when somebody asks, page by page, and a count stays good for the longer the dearer it was. DynamoDB
//! renews its own number every six hours or so.
//!
//! One call counts at most 64 MiB of rows. A larger table's count goes on with the next call; until it is complete for the first
//! time the answer is what has been counted so far, and afterwards the last complete one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aloft_item::Item;
use aloft_store::layout::Id;

use crate::query::{Read, Scan, Select};
use crate::{Error, Table};

/// Pages of 1 MiB that one call counts at most: about half a second.
const PAGES: u32 = 64;
/// A count is good for so long for each of its pages, so that counting takes a hundredth of one processor's time.
const GOOD_A_PAGE: Duration = Duration::from_secs(1);
/// No count is good for longer.
const GOOD_AT_MOST: Duration = Duration::from_secs(6 * 3_600);
/// Counts kept in memory.
const KEPT: usize = 10_000;

/// How many rows a table has, and how large they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub items: u64,
    /// Their bytes by DynamoDB's reckoning: names and values, without keys' places and whatever the store adds.
    pub bytes: u64,
}

/// What is known of each table.
#[derive(Default)]
pub(crate) struct Census(Mutex<HashMap<Id, Arc<tokio::sync::Mutex<Known>>>>);

/// What is known of a table. Locked while it is counted, so that several who ask at once count once.
#[derive(Default)]
struct Known {
    complete: Option<(Size, Instant)>,
    under_way: Count,
}

/// A count that has come so far.
#[derive(Debug, Default, Clone)]
struct Count {
    size: Size,
    pages: u32,
    after: Option<Item>,
}

impl Census {
    fn of(&self, id: Id) -> Arc<tokio::sync::Mutex<Known>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&id) {
            kept.clear();
        }
        kept.entry(id).or_default().clone()
    }
}

impl Table {
    /// How many rows the table has: exact for one of up to 1 MiB. Beyond that it is what the last count found, which is at most a
    /// second old for each MiB; a first count of more than 64 MiB is shown as far as it has come, and goes on when asked again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn size(&self) -> Result<Size, Error> {
        let known = self.tables.0.census.of(self.id);
        let mut known = known.lock().await;
        let now = self.tables.0.clock.instant();
        if let Some((size, until)) = known.complete
            && now < until
        {
            return Ok(size);
        }
        // Should this call be given up in between, the next one goes on from here.
        for _ in 0..PAGES {
            let read = Read {
                select: Select::Count,
                start: known.under_way.after.clone(),
                ..Read::default()
            };
            let found = self.scan(&Scan { segment: None, read }).await;
            let found = found.inspect_err(|_| known.under_way = Count::default())?;
            let count = &mut known.under_way;
            count.pages += 1;
            count.size.items += found.scanned as u64;
            count.size.bytes += found.bytes as u64;
            count.after = found.last;
            if count.after.is_none() {
                let Count { size, pages, .. } = std::mem::take(count);
                let good = (GOOD_A_PAGE * (pages - 1)).min(GOOD_AT_MOST);
                known.complete = Some((size, now + good));
                return Ok(size);
            }
        }
        Ok(known.complete.map_or(known.under_way.size, |(size, _)| size))
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Clock as _, ManualClock, Region, SeededChance, SystemClock, Tenant};
    use aloft_item::{Value, parse_item};
    use aloft_store::Memory;
    use aloft_store::layout::Namespace;
    use serde_json::json;

    use super::*;
    use crate::{Billing, KeyAttribute, KeyKind, Schema, Tables};

    async fn table(clock: Arc<ManualClock>) -> Table {
        let store = Arc::new(Memory::new(Arc::new(SystemClock)));
        let tables = Tables::open(store, clock, Arc::new(SeededChance::new(1)))
            .await
            .unwrap();
        let namespace = Namespace {
            tenant: Tenant::local(),
            region: Region::local(),
        };
        let schema = Schema {
            hash: KeyAttribute {
                name: "id".to_owned(),
                kind: KeyKind::S,
            },
            range: None,
        };
        let name = "rows".parse().unwrap();
        let created = tables.create(&namespace, &name, schema, Billing::PerRequest);
        created.await.unwrap()
    }

    /// Writes rows of so many bytes each, their number from `from` on.
    async fn fill(table: &Table, from: usize, rows: usize, bytes: usize) {
        for n in from..from + rows {
            let mut item = parse_item(json!({"id": {"S": format!("{n:06}")}})).unwrap();
            item.0.insert("v".to_owned(), Value::S("v".repeat(bytes - 9)));
            table.put(item, None).await.unwrap();
        }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(SystemClock.now()))
    }

    #[tokio::test]
    async fn a_small_table_is_counted_each_time() {
        let table = table(clock()).await;
        assert_eq!(table.size().await.unwrap(), Size::default());
        fill(&table, 0, 3, 100).await;
        let size = Size { items: 3, bytes: 300 };
        assert_eq!(table.size().await.unwrap(), size);
        fill(&table, 3, 1, 100).await;
        assert_eq!(table.size().await.unwrap().items, 4);
    }

    #[tokio::test]
    async fn a_larger_one_is_counted_anew_when_the_last_count_is_too_old() {
        let clock = clock();
        let table = table(clock.clone()).await;
        fill(&table, 0, 30, 100_000).await;
        assert_eq!(
            table.size().await.unwrap(),
            Size {
                items: 30,
                bytes: 3_000_000
            }
        );
        fill(&table, 30, 1, 100_000).await;
        assert_eq!(
            table.size().await.unwrap().items,
            30,
            "three pages are good for two seconds"
        );
        clock.advance(Duration::from_secs(2));
        assert_eq!(table.size().await.unwrap().items, 31);
    }

    #[tokio::test]
    async fn what_one_call_cannot_count_is_counted_by_the_next() {
        let clock = clock();
        let table = table(clock.clone()).await;
        fill(&table, 0, 200, 390_000).await;
        let first = table.size().await.unwrap();
        // A page ends with the row that reaches 1 MiB.
        assert_eq!(first.items, 64 * 3);
        let all = Size {
            items: 200,
            bytes: 200 * 390_000,
        };
        assert_eq!(table.size().await.unwrap(), all);
        clock.advance(Duration::from_secs(600));
        assert_eq!(
            table.size().await.unwrap(),
            all,
            "the last complete count stands until the next one is"
        );
    }
}
