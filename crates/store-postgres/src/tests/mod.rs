//! The PostgreSQL engine passes the contract's suite, and what only it can be asked. One server serves all tests of this
//! program; each has a schema of its own.

mod function;
mod lost;
mod order;
mod owners;
mod ring;
mod schema;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aloft_base::{Chance as _, ManualClock, Policy, Stop, SystemChance, Tasks, Timestamp};
use aloft_store::suite::Subject;
use aloft_store::{Enqueue, Key, Lane, Store, TaskId};
use async_trait::async_trait;
use test_postgres::{Durability, Server};

use crate::{Config, Postgres};

/// The server, which ends with this process.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(Durability::Fast).unwrap())
}

/// Settings for a schema that no other test has.
fn config() -> Config {
    static SCHEMAS: AtomicU64 = AtomicU64::new(0);
    Config {
        schema: format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed)),
        lease: Duration::from_millis(300),
        // Small, so that the ring turns while the suite runs.
        segment_bytes: 256 << 10,
        ..Config::new(server().url())
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

async fn open(config: &Config, clock: &Arc<ManualClock>) -> Postgres {
    Postgres::open(config.clone(), clock.clone(), Arc::new(SystemChance))
        .await
        .unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes().to_vec()).unwrap()
}

/// A task due at the clock's beginning, with its number as its body.
fn task(number: u64, lane: Lane) -> Enqueue {
    Enqueue {
        id: TaskId(number.into()),
        lane,
        due: Timestamp::from_millis(1_800_000_000_000),
        attempts: 0,
        body: number.to_string().into(),
        claimed: None,
    }
}

/// Waits for a condition.
async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect("the condition comes true");
}

fn server_config() -> tokio_postgres::Config {
    server().url().parse().unwrap()
}

/// A session that is not ours.
async fn foreign() -> tokio_postgres::Client {
    let (client, connection) = server_config().connect(tokio_postgres::NoTls).await.unwrap();
    Tasks::new(Stop::new()).start("foreign", Policy::Alone, async move {
        connection.await.map_err(|error| error.to_string())
    });
    client
}

struct InDatabase {
    clock: Arc<ManualClock>,
    config: Config,
    store: Option<Arc<Postgres>>,
}

impl InDatabase {
    async fn new() -> Self {
        let (clock, config) = (clock(), config());
        let store = Some(Arc::new(open(&config, &clock).await));
        Self { clock, config, store }
    }
}

#[async_trait]
impl Subject for InDatabase {
    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    async fn catch_up(&self) {
        self.store.as_ref().unwrap().catch_up().await;
    }

    async fn restart(&mut self, clean: bool) {
        let store = Arc::into_inner(self.store.take().unwrap()).expect("nobody else holds the store");
        if clean {
            store.close().await.unwrap();
        } else {
            store.abandon();
        }
        self.store = Some(Arc::new(open(&self.config, &self.clock).await));
    }

    async fn take_over(&mut self) -> Option<Arc<dyn Store>> {
        let former = self.store.take().unwrap();
        former.pause();
        self.store = Some(Arc::new(open(&self.config, &self.clock).await));
        Some(former)
    }
}

mod suite {
    use super::*;

    aloft_store::suite!(InDatabase::new().await);
}
