//! One connection: made, set up, its statements prepared once. The client pipelines by itself: whoever sends a statement does
//! not wait for the answers of those sent before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{Policy, Tasks};
use aloft_store::Error;
use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::config::Address;
use crate::fault::Fault;
use crate::statement::Sql;

/// The least version of the server, as `server_version_num` writes it.
const LEAST_SERVER: i32 = 150_000;

/// A parameter of a statement.
pub(crate) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// What happens on connections, counted.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Connections that were made.
    pub connects: AtomicU64,
    /// Connections that broke or could not be made.
    pub failures: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
}

/// Makes connections.
pub(crate) struct Dial {
    pub(crate) address: Address,
    pub(crate) counters: Arc<ConnectionCounters>,
    tasks: Tasks,
}

/// An open connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) session: Session,
    name: String,
    statements: Mutex<HashMap<Sql, Statement>>,
    counters: Arc<ConnectionCounters>,
}

/// What a session of the server is known by, also to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) started: String,
}

impl Dial {
    pub(crate) fn new(address: Address, tasks: Tasks) -> Self {
        Self {
            address,
            counters: Arc::new(ConnectionCounters::default()),
            tasks,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.address.name
    }

    /// Connects, and prepares these statements in one more round trip.
    pub(crate) async fn connect(&self, statements: &[Sql]) -> Result<Connection, Fault> {
        let connected = self.try_connect(statements).await;
        if connected.is_err() {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        connected
    }

    async fn try_connect(&self, statements: &[Sql]) -> Result<Connection, Fault> {
        let fault = |error: tokio_postgres::Error| Fault::read(&error, self.name());
        let (client, driver) = self.address.config.connect(NoTls).await.map_err(fault)?;
        self.tasks.start("store-connection", Policy::Alone, async move {
            // Whoever waits for an answer is told of the failure with it; here it is only worth a line.
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
            Ok::<(), Error>(())
        });
        self.counters.connects.fetch_add(1, Ordering::Relaxed);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection {
            client,
            session: Session {
                pid: 0,
                started: String::new(),
            },
            name: self.name().to_owned(),
            statements: Mutex::new(HashMap::new()),
            counters: self.counters.clone(),
        };
        connection.session = self.set_up(&connection).await?;
        try_join_all(statements.iter().map(|sql| connection.prepare(*sql))).await?;
        Ok(connection)
    }

    /// Refuses servers that are too old, makes sure that a commit is answered only when it is durable, and learns the session's
    /// name.
    async fn set_up(&self, connection: &Connection) -> Result<Session, Fault> {
        let fault = |error: tokio_postgres::Error| Fault::read(&error, self.name());
        let row = connection.client.simple_query(SET_UP).await.map_err(fault)?;
        let mut values = row.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = values.next();
        let text = |column: usize| row.and_then(|row| row.get(column)).unwrap_or_default().to_owned();
        let version: i32 = text(2).parse().unwrap_or(0);
        if version < LEAST_SERVER {
            return Err(Fault::Final(Error::Unsuitable {
                database: self.name().to_owned(),
                reason: format!(
                    "the server is PostgreSQL {}, the oldest supported is {}",
                    text(3),
                    LEAST_SERVER / 10_000
                ),
            }));
        }
        Ok(Session {
            pid: text(0).parse().unwrap_or(0),
            started: text(1),
        })
    }
}

/// One round trip. `remote_apply` is stronger than `on` and stays.
const SET_UP: &str =
    "SELECT pid, backend_start, current_setting('server_version_num'), current_setting('server_version'),
    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
        THEN set_config('synchronous_commit', 'on', false) END
    FROM pg_stat_activity WHERE pid = pg_backend_pid()";

impl Connection {
    /// The prepared form of a statement.
    pub(crate) async fn prepare(&self, sql: Sql) -> Result<Statement, Fault> {
        let known = self
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&sql)
            .cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self
            .client
            .prepare(sql.text())
            .await
            .map_err(|error| Fault::read(&error, &self.name))?;
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sql, statement.clone());
        Ok(statement)
    }

    /// Runs a statement: one round trip once it is prepared.
    pub(crate) async fn query(&self, sql: Sql, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql).await?;
        self.client
            .query(&statement, parameters)
            .await
            .map_err(|error| Fault::read(&error, &self.name))
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A column of an answer; what is not as the statement promises is corrupt.
pub(crate) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, Error> {
    row.try_get(index)
        .map_err(|error| Error::corrupt("an answer of the database", crate::fault::told(&error)))
}

/// The only row of an answer.
pub(crate) fn only(rows: &[Row]) -> Result<&Row, Error> {
    rows.first()
        .ok_or_else(|| Error::corrupt("an answer of the database", "it has no row"))
}
