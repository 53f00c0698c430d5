//! What of each account runs in the background: its rules and its asynchronous calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aloft_api::Account;
use aloft_base::{ErrorKind, Region, Stop, Tenant};
use aloft_call::Invoke;
use aloft_deferred::{Deferred, Queues};
use aloft_delivery::Ground;
use aloft_rule::{Rules, TableLogs};
use aloft_store::layout::Namespace;
use aloft_table::Tables;
use async_trait::async_trait;
use futures_util::future::join_all;

/// How long a queue of asynchronous calls that stops waits for what is in flight.
const QUEUES_DRAIN: Duration = Duration::from_secs(5);

/// What all accounts share.
pub(crate) struct Parts {
    /// Of the account that a node has by itself.
    pub(crate) ground: Ground,
    pub(crate) region: Region,
    pub(crate) invoke: Arc<dyn Invoke>,
    pub(crate) tables: Tables,
    /// The time between attempts of an asynchronous call.
    pub(crate) spacing: Duration,
    pub(crate) metrics: aloft_rule::Metrics,
    pub(crate) stop: Stop,
}

/// The accounts that were asked for since the node started.
pub(crate) struct Accounts {
    parts: Parts,
    open: Mutex<BTreeMap<Tenant, Account>>,
    /// Held by whoever opens one: there must not be two of any.
    opening: tokio::sync::Mutex<()>,
}

impl Accounts {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// One of them.
    pub(crate) async fn account(&self, tenant: &Tenant) -> Result<Account, aloft_delivery::Error> {
        if let Some(account) = self.open().get(tenant) {
            return Ok(account.clone());
        }
        let _opening = self.opening.lock().await;
        if let Some(account) = self.open().get(tenant) {
            return Ok(account.clone());
        }
        let parts = &self.parts;
        let namespace = Namespace::new(tenant, &parts.region);
        let ground = parts.ground.of(&namespace).await?;
        let deferred = aloft_deferred::Parts {
            ground: ground.clone(),
            namespace: namespace.clone(),
            invoke: parts.invoke.clone(),
            spacing: parts.spacing,
            drain: QUEUES_DRAIN,
            metrics: parts.metrics.deliveries(),
        };
        let rules = aloft_rule::Parts {
            ground,
            namespace: namespace.clone(),
            invoke: parts.invoke.clone(),
            logs: Arc::new(TableLogs {
                tables: parts.tables.clone(),
                namespace: namespace.clone(),
            }),
            metrics: parts.metrics.clone(),
            config: aloft_rule::Config::default(),
        };
        let account = Account {
            namespace,
            rules: Rules::open(rules, parts.stop.child()),
            deferred: Deferred::new(deferred, parts.stop.child()),
        };
        self.open().insert(tenant.clone(), account.clone());
        Ok(account)
    }

    /// Lets what is in flight of all of them come to its end, for so long.
    pub(crate) async fn drain(&self, bound: Duration) {
        let accounts: Vec<Account> = self.open().values().cloned().collect();
        let drained = accounts.iter().map(|account| async move {
            tokio::join!(account.rules.drain(bound), account.deferred.drain(bound));
        });
        join_all(drained).await;
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Tenant, Account>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl aloft_api::Accounts for Accounts {
    async fn of(&self, tenant: &Tenant) -> Result<Account, (ErrorKind, String)> {
        let account = self.account(tenant).await;
        account.map_err(|error| (error.kind(), error.to_string()))
    }
}

#[async_trait]
impl Queues for Accounts {
    async fn of(&self, tenant: &Tenant) -> Result<Deferred, aloft_deferred::Error> {
        Ok(self.account(tenant).await?.deferred)
    }
}
