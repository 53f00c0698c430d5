//! The keeper of the journal's ring. When the current segment is full the next one, which is empty, becomes current, and the
//! oldest is emptied for the next turn: what still lives in it is carried into the current one, page by page, then it is
//! truncated. So nothing is vacuumed, and what was settled or trimmed costs nothing but its segment's time.
//!
//! A segment is truncated only when the outcome of every commit that may have written into it is known: its rows are what an
//! unknown outcome is looked up by. When somebody else's lock keeps it from being truncated (pg_dump takes one), the ring does
//! not turn: the current segment grows, a warning says so, nothing fails.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aloft_store::{Batch, Error};
use tokio::sync::Notify;

use crate::connection::{column, only};
use crate::fault::Fault;
use crate::number::ordered;
use crate::shared::Shared;
use crate::statement::Sql;

/// How many segments the ring has.
const RING: i32 = 4;
/// The size is asked for after each such part of a segment was written.
const LOOKS: u64 = 8;
/// What a row of the journal takes besides its bytes, indexes included; a guess that only decides when the size is asked for.
const ROW: u64 = 200;
/// About so many bytes are carried in one transaction, so that it holds readers back for moments only.
const STEP_BYTES: i64 = 4 << 20;
/// How long to wait before trying again to empty a segment that could not be.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct Keeper {
    written: AtomicU64,
    step: u64,
    kick: Notify,
    segment: AtomicI32,
    /// For each segment the number above all commits that may have written into it.
    retired: Mutex<[u64; RING as usize]>,
    /// The size at which the current segment is full.
    limit: AtomicU64,
    /// How often the ring turned.
    pub(crate) turns: AtomicU64,
    /// Rows that were carried on.
    pub(crate) carried: AtomicU64,
    /// How often a segment could not be truncated for somebody else's lock.
    pub(crate) blocked: AtomicU64,
}

impl Keeper {
    pub(crate) fn new(segment: i32, segment_bytes: u64) -> Self {
        Self {
            written: AtomicU64::new(0),
            step: segment_bytes / LOOKS,
            kick: Notify::new(),
            segment: AtomicI32::new(segment),
            retired: Mutex::new([0; RING as usize]),
            limit: AtomicU64::new(segment_bytes),
            turns: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
        }
    }

    /// A batch was committed: now and then that is worth a look.
    pub(crate) fn wrote(&self, batch: &Batch) {
        let bytes = batch.bytes() as u64 + ROW * (batch.operations().len() as u64 + 1);
        if self.written.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.step {
            self.written.store(0, Ordering::Relaxed);
            self.kick.notify_one();
        }
    }

    fn retired(&self, segment: i32) -> u64 {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let known = usize::try_from(segment)
            .ok()
            .and_then(|segment| retired.get(segment).copied());
        known.unwrap_or(u64::MAX)
    }

    fn retire(&self, segment: i32, number: u64) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = usize::try_from(segment)
            .ok()
            .and_then(|segment| retired.get_mut(segment))
        {
            *slot = number;
        }
    }
}

/// Whether the next segment is empty.
enum Emptied {
    Yes,
    NotYet,
}

/// Keeps the ring turning until the store ends.
pub(crate) async fn keep(shared: &Shared) -> Result<(), Error> {
    let keeper = &shared.keeper;
    // What a former owner left half done is done first.
    let mut dirty = true;
    loop {
        match tend(shared, dirty).await {
            Ok(Emptied::Yes) if dirty => {
                dirty = false;
                continue;
            }
            Ok(Emptied::Yes) => {}
            Ok(Emptied::NotYet) if !dirty => {
                dirty = true;
                continue;
            }
            Ok(Emptied::NotYet) => {}
            Err(error) => tracing::warn!(%error, "the journal's upkeep failed; trying on"),
        }
        tokio::select! {
            () = keeper.kick.notified() => {}
            () = tokio::time::sleep(AGAIN), if dirty => {}
            () = shared.stop.asked() => return Ok(()),
        }
    }
}

/// One round: empties the next segment if it may not be, or turns the ring if the current one is full.
async fn tend(shared: &Shared, dirty: bool) -> Result<Emptied, Error> {
    let keeper = &shared.keeper;
    let current = keeper.segment.load(Ordering::Relaxed);
    if dirty {
        return empty(shared, (current + 1) % RING).await;
    }
    let (bytes, _) = size(shared, current).await?;
    if u64::try_from(bytes).unwrap_or(0) < keeper.limit.load(Ordering::Relaxed) {
        return Ok(Emptied::Yes);
    }
    let rows = ask(shared, Sql::Turn, &[&shared.class.0, &ordered(shared.epoch)]).await?;
    if let Some(next) = column::<Option<i32>>(only(&rows)?, 0)? {
        // Whoever drew a number before this may have read the former segment, and no one else.
        keeper.retire(current, shared.next_number());
        keeper.segment.store(next, Ordering::Relaxed);
        keeper.turns.fetch_add(1, Ordering::Relaxed);
    }
    Ok(Emptied::NotYet)
}

async fn empty(shared: &Shared, segment: i32) -> Result<Emptied, Error> {
    let keeper = &shared.keeper;
    let (bytes, pages) = size(shared, segment).await?;
    if pages == 0 {
        return Ok(Emptied::Yes);
    }
    let window = (STEP_BYTES / (bytes / pages.max(1)).max(1)).clamp(1, 1_024);
    let mut page = 0;
    while page < pages {
        let epoch = ordered(shared.epoch);
        let rows = ask(
            shared,
            Sql::Carry,
            &[&shared.class.0, &epoch, &segment, &page, &window],
        )
        .await?;
        let Some(carried) = column::<Option<i64>>(only(&rows)?, 0)? else {
            return Err(shared.superseded().await);
        };
        let carried = u64::try_from(carried).unwrap_or(0);
        keeper.carried.fetch_add(carried, Ordering::Relaxed);
        page += window;
        if shared.is_stopped() {
            return Ok(Emptied::NotYet);
        }
    }
    if !shared.flights.are_known_below(keeper.retired(segment)) {
        return Ok(Emptied::NotYet);
    }
    let emptied = truncate(shared, segment).await?;
    if matches!(emptied, Emptied::Yes) {
        // What was just carried is no reason to turn again: a turn must be earned by as much that is new.
        let current = keeper.segment.load(Ordering::Relaxed);
        let carried = u64::try_from(size(shared, current).await?.0).unwrap_or(0);
        let limit = shared.config.segment_bytes.max(carried.saturating_mul(2));
        keeper.limit.store(limit, Ordering::Relaxed);
    }
    Ok(emptied)
}

async fn truncate(shared: &Shared, segment: i32) -> Result<Emptied, Error> {
    let connection = shared
        .upkeep
        .take()
        .await
        .map_err(|fault| fault.into_error(shared.name()))?;
    let parameters: [crate::connection::Parameter<'_>; 3] =
        [&shared.class.0, &ordered(shared.epoch), &segment];
    match connection.query(Sql::Empty, &parameters).await {
        Ok(rows) => match column::<Option<bool>>(only(&rows)?, 0)? {
            Some(true) => Ok(Emptied::Yes),
            Some(false) => Ok(Emptied::NotYet),
            None => Err(shared.superseded().await),
        },
        Err(Fault::Refused(reason)) => {
            if shared
                .keeper
                .blocked
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(60)
            {
                tracing::warn!(
                    database = shared.name(),
                    segment,
                    reason,
                    "a finished segment of the journal cannot be truncated: somebody holds a lock on it (a dump?); the \
                     current one grows meanwhile"
                );
            }
            Ok(Emptied::NotYet)
        }
        Err(fault) => Err(fault.into_error(shared.name())),
    }
}

/// A segment's bytes with its indexes and large values, and its pages without.
async fn size(shared: &Shared, segment: i32) -> Result<(i64, i64), Error> {
    let rows = ask(shared, Sql::Size, &[&segment]).await?;
    let row = only(&rows)?;
    Ok((column(row, 0)?, column(row, 1)?))
}

async fn ask(
    shared: &Shared,
    sql: Sql,
    parameters: &[crate::connection::Parameter<'_>],
) -> Result<Vec<tokio_postgres::Row>, Error> {
    shared.upkeep.query(sql, parameters, shared.config.patience).await
}
