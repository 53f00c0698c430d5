//! The store: opened, asked, closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_base::{Chance, Clock, Policy, Stop, Tasks, Timestamp};
use aloft_store::work::Work;
use aloft_store::{
    Batch, Claim, Entry, Epoch, Error, Key, Lane, Lease, LogId, Outcome, Partition, Position, Record, Shard,
    Snapshot, Store, Token, Wake,
};
use async_trait::async_trait;
use tokio::time::Instant;

use crate::config::{Address, Config};
use crate::connection::{Connection, ConnectionCounters, Dial};
use crate::fault::Fault;
use crate::lock::Class;
use crate::pool::BACKOFF;
use crate::shared::{Beginning, CommitCounters, Shared};
use crate::{commit, courier, horizon, keeper, notify, owner, read, schema, snapshot, tasks};

/// How long the end waits for background work.
const END: Duration = Duration::from_secs(5);

/// A store in a PostgreSQL database. Dropping it without [`close`](Self::close) is like a crash: its lease runs out by itself.
pub struct Postgres {
    pub(crate) shared: Arc<Shared>,
}

/// What is counted, since the store was opened.
#[derive(Debug, Clone, Copy)]
pub struct Counters<'a> {
    /// Commits.
    pub commits: &'a CommitCounters,
    /// Connections.
    pub connections: &'a ConnectionCounters,
    /// Commits under way.
    pub running: usize,
    /// Open snapshots.
    pub snapshots: usize,
    /// How long, in ms, the oldest record that readers cannot see yet has waited for older transactions to end.
    pub horizon_ms: u64,
    /// How often a warning named who keeps readers behind.
    pub horizon_warnings: u64,
    /// How often the journal's ring turned.
    pub turns: u64,
    /// Rows of the journal that lived longer than their segment.
    pub carried: u64,
    /// How often somebody else's lock kept a segment from being truncated.
    pub blocked: u64,
}

impl Postgres {
    /// Connects, makes the schema if there is none, and takes the store; waits for a lease of another that nobody renews, at
    /// most its own time. [`Store::broken`] tells when another process has taken the store over.
    pub async fn open(config: Config, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Result<Self, Error> {
        let address = Address::read(&config)?;
        let background = Tasks::new(Stop::new());
        // Apart from the rest: a connection's task ends when its last user lets go of it.
        let dial = Arc::new(Dial::new(address, Tasks::new(Stop::new())));
        let class = Class::of(&config.schema);
        let until = Instant::now() + config.patience;
        let mut failed = 0;
        let taken = loop {
            let fault = match begin(&dial, &config, class, clock.now()).await {
                Ok(taken) => break taken,
                Err(fault) => fault,
            };
            failed += 1;
            let delay = BACKOFF.delay(failed, &*chance);
            if matches!(fault, Fault::Final(_)) || Instant::now() + delay >= until {
                background.stop().ask();
                return Err(fault.into_error(dial.name()));
            }
            tokio::time::sleep(delay).await;
        };
        let shared = Arc::new(Shared::new(Beginning {
            config,
            dial,
            clock,
            chance,
            background,
            class,
            epoch: taken.epoch,
            shift: taken.shift,
            segment: taken.segment,
            work: Work::new(taken.epoch, taken.restarts),
        }));
        start(&shared);
        Ok(Self { shared })
    }

    /// Takes no more requests, finishes those under way, and gives the lease back, so that the next opening waits for nothing
    /// and charges no task.
    pub async fn close(&self) -> Result<(), Error> {
        let reason = self.shared.end(Error::Closed);
        let finished = self.shared.commits.drain(self.shared.config.patience).await;
        let released = match reason {
            Error::Closed if finished => owner::release(&self.shared).await,
            Error::Closed => Err(Error::Unavailable {
                what: format!("{} was left without a clean end", self.shared.name()),
                reason: "the outcome of a commit is not known yet".to_owned(),
            }),
            superseded => Err(superseded),
        };
        self.shared.background.drain(END).await;
        released
    }

    /// Ends without giving the lease back, as a crash would. For tests.
    pub fn abandon(self) {
        self.shared.end(Error::Closed);
    }

    /// Renews the lease no more, as a process that is stopped, but goes on serving, as one that wakes again and does not know.
    /// For tests.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::Relaxed);
    }

    /// Waits until readers of logs see everything that was committed: until no older transaction is open on the server.
    pub async fn catch_up(&self) {
        self.shared.horizon.is_clear().await;
    }

    /// What was counted.
    pub fn counters(&self) -> Counters<'_> {
        let shared = &self.shared;
        Counters {
            commits: &shared.counters,
            connections: &shared.dial.counters,
            running: shared.flights.running(),
            snapshots: shared.snapshots.open(),
            horizon_ms: shared.horizon.age_ms.load(Ordering::Relaxed),
            horizon_warnings: shared.horizon.warnings.load(Ordering::Relaxed),
            turns: shared.keeper.turns.load(Ordering::Relaxed),
            carried: shared.keeper.carried.load(Ordering::Relaxed),
            blocked: shared.keeper.blocked.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.shared.end(Error::Closed);
        self.shared.stop.ask();
    }
}

/// One try to open: a connection of its own, which is closed afterwards.
async fn begin(dial: &Dial, config: &Config, class: Class, now: Timestamp) -> Result<owner::Taken, Fault> {
    let mut connection: Connection = dial.connect(&[]).await?;
    schema::warn_of_weak_settings(&connection, dial.name()).await?;
    schema::prepare(&mut connection, &config.schema, class, dial.name()).await?;
    owner::take(&connection, config, class, now, dial.name()).await
}

/// Starts what runs beside the requests.
fn start(shared: &Arc<Shared>) {
    let background = &shared.background;
    let of = shared.clone();
    background.start(
        "store-lease",
        Policy::Alone,
        async move { owner::keep(&of).await },
    );
    let of = shared.clone();
    background.start("store-horizon", Policy::Alone, async move {
        horizon::watch(&of).await
    });
    let of = shared.clone();
    background.start(
        "store-journal",
        Policy::Alone,
        async move { keeper::keep(&of).await },
    );
    let of = shared.clone();
    background.start(
        "store-wakes",
        Policy::Alone,
        async move { notify::run(&of).await },
    );
    for _ in 0..shared.config.writers {
        let of = shared.clone();
        background.start(
            "store-courier",
            Policy::Alone,
            async move { courier::run(&of).await },
        );
    }
}

#[async_trait]
impl Store for Postgres {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        self.shared.check()?;
        snapshot::open(&self.shared).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error> {
        read::get(&self.shared, key).await
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome, Error> {
        commit::commit(&self.shared, batch).await
    }

    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error> {
        read::read_log(&self.shared, log, shard, after, max_records, max_bytes).await
    }

    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error> {
        read::trim_log(&self.shared, log, shard, through).await
    }

    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error> {
        tasks::receive(&self.shared, lane, max, visible_for).await
    }

    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error> {
        tasks::next_due(&self.shared, lane).await
    }

    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
        tasks::extend(&self.shared, token, visible_for)
    }

    async fn release(&self, token: Token) -> Result<Lease, Error> {
        tasks::release(&self.shared, &token)
    }

    async fn take_over(&self, partition: Partition) -> Result<Epoch, Error> {
        read::take_over(&self.shared, partition).await
    }

    fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    async fn broken(&self) -> Error {
        match self.shared.ended().await {
            superseded @ Error::Superseded { .. } => superseded,
            // It was closed: that is no failure.
            _ => std::future::pending().await,
        }
    }
}
