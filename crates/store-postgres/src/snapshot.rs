//! Snapshots: a read-only transaction on a connection of its own, for at most 30 s. An open snapshot keeps the server from
//! cleaning up what changed since, which is why there are few and why they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aloft_base::{Clock, Policy};
use aloft_store::{
    Direction, Entry, Error, Key, KeyRange, MAX_KEY_BYTES, MAX_PAGE_BYTES, MAX_SNAPSHOT_AGE, Page, Snapshot,
    Version,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Bound;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_postgres::Row;

use crate::connection::{Connection, Dial, column};
use crate::fault::{Fault, unavailable};
use crate::number::back;
use crate::pool::BACKOFF;
use crate::shared::Shared;
use crate::statement::Sql;

/// One message, so one round trip; the SELECT is what fixes the point in time.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
/// A page has no more rows than this, whatever was asked for.
const MAX_ROWS: usize = 32_768;

/// The connections of snapshots.
pub(crate) struct Snapshots {
    dial: Arc<Dial>,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    size: usize,
}

impl Snapshots {
    pub(crate) fn new(dial: Arc<Dial>, size: usize) -> Self {
        Self {
            dial,
            places: Arc::new(Semaphore::new(size)),
            idle: Mutex::new(Vec::new()),
            size,
        }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self) -> Result<Connection, Fault> {
        let idle = self.idle().pop().filter(Connection::is_open);
        let connection = match idle {
            Some(connection) => connection,
            None => self.dial.connect(Sql::OF_SNAPSHOTS).await?,
        };
        connection
            .client
            .batch_execute(BEGIN)
            .await
            .map_err(|error| Fault::read(&error, self.dial.name()))?;
        Ok(connection)
    }

    async fn end(&self, connection: Arc<Connection>) {
        let ended = connection.client.batch_execute("COMMIT").await;
        // A read that still waits for its answer has a share in it; then the connection is closed when it is done.
        if ended.is_ok()
            && let Some(connection) = Arc::into_inner(connection)
        {
            self.idle().push(connection);
        }
    }
}

/// Opens a snapshot.
pub(crate) async fn open(shared: &Arc<Shared>) -> Result<Box<dyn Snapshot>, Error> {
    let until = tokio::time::Instant::now() + shared.config.patience;
    let place = tokio::time::timeout_at(until, shared.snapshots.places.clone().acquire_owned()).await;
    let Ok(Ok(place)) = place else {
        return Err(unavailable(
            shared.name(),
            format!(
                "{} snapshots are open and none was closed in time",
                shared.config.snapshots
            ),
        ));
    };
    let mut failed = 0;
    let connection = loop {
        let fault = match tokio::time::timeout_at(until, shared.snapshots.begin()).await {
            Ok(Ok(connection)) => break connection,
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Lost("no answer came".to_owned()),
        };
        failed += 1;
        let delay = BACKOFF.delay(failed, &*shared.chance);
        if matches!(fault, Fault::Final(_)) || tokio::time::Instant::now() + delay >= until {
            return Err(fault.into_error(shared.name()));
        }
        tokio::time::sleep(delay).await;
    };
    let pin = Arc::new(Pin {
        opened: shared.clock.instant(),
        connection: Mutex::new(Some(Arc::new(connection))),
        dropped: Notify::new(),
    });
    let (of, pinned) = (shared.clone(), pin.clone());
    shared
        .background
        .start("store-snapshot", Policy::Alone, async move {
            watch(&of, &pinned, place).await;
            Ok::<(), Error>(())
        });
    Ok(Box::new(Handle {
        pin,
        clock: shared.clock.clone(),
        name: shared.name().to_owned(),
    }))
}

/// Ends the transaction when the handle is dropped or its time is over.
async fn watch(shared: &Shared, pin: &Pin, place: OwnedSemaphorePermit) {
    tokio::select! {
        () = pin.dropped.notified() => {}
        () = tokio::time::sleep(MAX_SNAPSHOT_AGE) => {}
        () = shared.stop.asked() => {}
    }
    let connection = pin.connection().take();
    if let Some(connection) = connection {
        shared.snapshots.end(connection).await;
    }
    drop(place);
}

struct Pin {
    opened: Instant,
    connection: Mutex<Option<Arc<Connection>>>,
    dropped: Notify,
}

impl Pin {
    fn connection(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Handle {
    pin: Arc<Pin>,
    clock: Arc<dyn Clock>,
    name: String,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.pin.dropped.notify_one();
    }
}

impl Handle {
    fn connection(&self) -> Result<Arc<Connection>, Error> {
        let age = self.clock.instant().saturating_duration_since(self.pin.opened);
        if age > MAX_SNAPSHOT_AGE {
            self.pin.dropped.notify_one();
            return Err(Error::SnapshotExpired);
        }
        self.pin.connection().clone().ok_or(Error::SnapshotExpired)
    }

    fn error(&self, fault: Fault) -> Error {
        match fault {
            Fault::Lost(reason) => unavailable(
                &self.name,
                format!(
                    "a snapshot's connection broke ({reason}): open a new one and go on from the last key"
                ),
            ),
            other => other.into_error(&self.name),
        }
    }
}

#[async_trait]
impl Snapshot for Handle {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let connection = self.connection()?;
        let rows = connection
            .query(Sql::Get, &[&key.as_ref()])
            .await
            .map_err(|fault| self.error(fault))?;
        rows.first().map(|row| entry(key.clone(), row, 0)).transpose()
    }

    async fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error> {
        let connection = self.connection()?;
        if range.is_empty() {
            return Ok(Page::default());
        }
        let (from, to) = bounds(range);
        let sql = match direction {
            Direction::Forward => Sql::Forward,
            Direction::Backward => Sql::Backward,
        };
        let most = limit.clamp(1, MAX_ROWS) as i64;
        let bytes = MAX_PAGE_BYTES as i64;
        let rows = connection
            .query(sql, &[&from, &to, &most, &bytes])
            .await
            .map_err(|fault| self.error(fault))?;
        if limit == 0 {
            return Ok(Page {
                more: !rows.is_empty(),
                ..Page::default()
            });
        }
        let more = rows.last().map_or(Ok(false), |row| column(row, 3))?;
        let entries = rows.iter().map(|row| {
            let key = Key::new(Bytes::copy_from_slice(column(row, 0)?))?;
            entry(key, row, 1)
        });
        Ok(Page {
            entries: entries.collect::<Result<_, Error>>()?,
            more,
        })
    }
}

/// A range as its first key and the first after it. A zero byte makes the next key there can be.
fn bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let next = |key: &Bytes| [key.as_ref(), &[0]].concat();
    let from = match &range.from {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => next(key),
    };
    let to = match &range.to {
        Bound::Unbounded => vec![0xff; MAX_KEY_BYTES + 1],
        Bound::Included(key) => next(key),
        Bound::Excluded(key) => key.to_vec(),
    };
    (from, to)
}

/// An entry from its value and version, which stand at `at` and after.
pub(crate) fn entry(key: Key, row: &Row, at: usize) -> Result<Entry, Error> {
    Ok(Entry {
        key,
        value: Bytes::copy_from_slice(column(row, at)?),
        version: Version::from_u64(back(column(row, at + 1)?)?),
    })
}
