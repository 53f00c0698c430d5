//! Shared connections. Statements of many callers are pipelined on each, so none waits for a connection to be handed back;
//! that is why no pool of others is used (deadpool, bb8): they lend a connection to one caller at a time.
//!
//! A place is filled when it is first needed, the least loaded first, and filled again after its connection broke.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloft_base::{Backoff, Chance};
use aloft_store::Error;
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::connection::{Connection, Dial, Parameter};
use crate::fault::{Fault, unavailable};
use crate::statement::Sql;

/// How long to wait before trying again what failed for the database's sake.
pub(crate) const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(20),
    ceiling: Duration::from_secs(2),
};

/// Connections for one purpose.
pub(crate) struct Pool {
    dial: Arc<Dial>,
    chance: Arc<dyn Chance>,
    statements: &'static [Sql],
    places: Vec<Place>,
}

#[derive(Default)]
struct Place {
    connection: Mutex<Option<Arc<Connection>>>,
    connecting: tokio::sync::Mutex<Trouble>,
    load: Arc<AtomicUsize>,
}

/// How often in a row a place could not be filled, and when it may be tried again.
#[derive(Default)]
struct Trouble {
    failed: u32,
    next: Option<Instant>,
}

/// A connection while it is being used by one of many.
pub(crate) struct Used {
    connection: Arc<Connection>,
    load: Arc<AtomicUsize>,
}

impl std::ops::Deref for Used {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(
        dial: Arc<Dial>,
        chance: Arc<dyn Chance>,
        size: usize,
        statements: &'static [Sql],
    ) -> Self {
        Self {
            dial,
            chance,
            statements,
            places: (0..size).map(|_| Place::default()).collect(),
        }
    }

    /// The least loaded connection; connects if its place has none.
    pub(crate) async fn take(&self) -> Result<Used, Fault> {
        let least = self
            .places
            .iter()
            .min_by_key(|place| place.load.load(Ordering::Relaxed));
        let Some(place) = least else {
            return Err(Fault::Refused("the pool has no places".to_owned()));
        };
        place.load.fetch_add(1, Ordering::Relaxed);
        let load = LoadGuard(Some(place.load.clone()));
        let connection = match place.open() {
            Some(connection) => connection,
            None => {
                let mut trouble = place.connecting.lock().await;
                match place.open() {
                    Some(connection) => connection,
                    None => self.fill(place, &mut trouble).await?,
                }
            }
        };
        Ok(Used {
            connection,
            load: load.keep(),
        })
    }

    async fn fill(&self, place: &Place, trouble: &mut Trouble) -> Result<Arc<Connection>, Fault> {
        // Those who wait for this place wait for this delay too: a crowd must not storm a server that is coming up. It is a
        // time and not a duration, so that it passes even when each caller's patience is shorter.
        if let Some(next) = trouble.next {
            tokio::time::sleep_until(next).await;
        }
        match self.dial.connect(self.statements).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *trouble = Trouble::default();
                *place.slot() = Some(connection.clone());
                Ok(connection)
            }
            Err(fault) => {
                trouble.failed = trouble.failed.saturating_add(1);
                trouble.next = Some(Instant::now() + BACKOFF.delay(trouble.failed, &*self.chance));
                Err(fault)
            }
        }
    }

    /// Runs a statement that may run twice: after a broken connection on a fresh one, for at most `patience`.
    pub(crate) async fn query(
        &self,
        sql: Sql,
        parameters: &[Parameter<'_>],
        patience: Duration,
    ) -> Result<Vec<Row>, Error> {
        let until = Instant::now() + patience;
        let mut failed = 0;
        loop {
            let fault = match tokio::time::timeout_at(until, self.attempt(sql, parameters)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(Fault::Final(error))) => return Err(error),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Lost("no answer came".to_owned()),
            };
            failed += 1;
            let delay = BACKOFF.delay(failed, &*self.chance);
            if Instant::now() + delay >= until {
                let waited = format!("gave up after {} ms", patience.as_millis());
                return Err(match fault {
                    Fault::Lost(reason) | Fault::Refused(reason) => {
                        unavailable(self.dial.name(), format!("{reason}; {waited}"))
                    }
                    Fault::Final(error) => error,
                });
            }
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(&self, sql: Sql, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Fault> {
        self.take().await?.query(sql, parameters).await
    }
}

impl Place {
    fn open(&self) -> Option<Arc<Connection>> {
        self.slot().clone().filter(|connection| connection.is_open())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the load back when its future is dropped on the way.
struct LoadGuard(Option<Arc<AtomicUsize>>);

impl LoadGuard {
    fn keep(mut self) -> Arc<AtomicUsize> {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        if let Some(load) = &self.0 {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
