//! The horizon of readers: the oldest transaction that is still open anywhere on the server. Records of commits that are not
//! older stay hidden, since an open one may still put a record before them. Whoever waits for a log is woken when its records
//! can be read, not when they were committed.
//!
//! Nothing runs here while nothing is hidden.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aloft_store::work::Now;
use aloft_store::{Error, Topic};
use tokio::sync::Notify;

use crate::connection::{column, only};
use crate::number::back;
use crate::shared::Shared;
use crate::statement::Sql;

/// After so long behind the horizon a warning names who holds it, and again after each such time.
const WARN: Duration = Duration::from_secs(5);
/// The first pause between two looks; it doubles.
const PAUSE: Duration = Duration::from_millis(3);
/// The longest pause.
const LONGEST: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(crate) struct Horizon {
    hidden: Mutex<BTreeMap<u64, Hidden>>,
    kick: Notify,
    seen: Notify,
    /// How long the oldest hidden commit has waited, when last looked, in ms.
    pub(crate) age_ms: AtomicU64,
    /// How often a warning named a holder.
    pub(crate) warnings: AtomicU64,
}

struct Hidden {
    since: Instant,
    topics: Vec<Topic>,
}

impl Horizon {
    /// A commit has the number `xid` and records in these logs, and may not be readable yet.
    pub(crate) fn wait_for(&self, xid: u64, topics: &[Topic], now: Now) {
        if topics.is_empty() {
            return;
        }
        self.hidden().insert(
            xid,
            Hidden {
                since: now.instant,
                topics: topics.to_vec(),
            },
        );
        self.kick.notify_one();
    }

    /// Waits until nothing that was committed is hidden.
    pub(crate) async fn is_clear(&self) {
        loop {
            let seen = self.seen.notified();
            if self.hidden().is_empty() {
                return;
            }
            seen.await;
        }
    }

    fn hidden(&self) -> MutexGuard<'_, BTreeMap<u64, Hidden>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches the horizon whenever something is hidden, until the store ends.
pub(crate) async fn watch(shared: &Shared) -> Result<(), Error> {
    let horizon = &shared.horizon;
    let mut warned = None;
    let mut pause = PAUSE;
    loop {
        if horizon.hidden().is_empty() {
            horizon.age_ms.store(0, Ordering::Relaxed);
            (pause, warned) = (PAUSE, None);
            tokio::select! {
                () = horizon.kick.notified() => {}
                () = shared.stop.asked() => return Ok(()),
            }
        }
        match look(shared).await {
            Ok(true) => pause = PAUSE,
            Ok(false) => pause = (pause * 2).min(LONGEST),
            Err(error) => {
                tracing::debug!(%error, "the horizon could not be asked for");
                pause = LONGEST;
            }
        }
        let oldest = horizon.hidden().values().map(|hidden| hidden.since).min();
        let now = shared.clock.instant();
        let age = oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        horizon.age_ms.store(
            u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        let due = warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN);
        if age >= WARN && due {
            warn(shared, age).await;
            warned = Some(now);
        }
        tokio::select! {
            () = tokio::time::sleep(pause), if oldest.is_some() => {}
            () = std::future::ready(()), if oldest.is_none() => {}
            () = shared.stop.asked() => return Ok(()),
        }
    }
}

/// Wakes those whose records can be read now; answers whether there were any.
async fn look(shared: &Shared) -> Result<bool, Error> {
    let rows = shared
        .upkeep
        .query(Sql::Horizon, &[], shared.config.patience)
        .await?;
    let xmin = back(column::<i64>(only(&rows)?, 0)?.saturating_add(shared.shift))?;
    let readable = {
        let mut hidden = shared.horizon.hidden();
        let rest = hidden.split_off(&xmin);
        std::mem::replace(&mut *hidden, rest)
    };
    let any = !readable.is_empty();
    for hidden in readable.into_values() {
        hidden.topics.into_iter().for_each(|topic| shared.tell(topic));
    }
    if any {
        shared.horizon.seen.notify_waiters();
    }
    Ok(any)
}

/// Who holds the horizon, the oldest first: as many as a line holds.
pub(crate) async fn holders(shared: &Shared) -> Result<Vec<String>, Error> {
    let rows = shared
        .upkeep
        .query(Sql::Holders, &[], shared.config.patience)
        .await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

async fn warn(shared: &Shared, age: Duration) {
    let holder = match holders(shared).await {
        Ok(holders) if holders.is_empty() => {
            "nobody whom this user may see; grant it pg_read_all_stats to learn more".to_owned()
        }
        Ok(holders) => holders.join("; "),
        Err(error) => format!("unknown: {error}"),
    };
    shared.horizon.warnings.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(
        database = shared.name(),
        age_ms = age.as_millis() as u64,
        holder,
        "records of logs stay hidden behind an open transaction: end it, and readers go on"
    );
}
