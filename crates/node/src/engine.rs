//! Which engine the state lies in, opened and ended.

use std::sync::Arc;

use aloft_observe::Metrics;
use aloft_store::Store;
use aloft_store_embedded::Embedded;
use aloft_store_postgres::Postgres;

use crate::node::Time;
use crate::{Config, Error};

/// The open store, as what it is.
pub(crate) enum Engine {
    Embedded(Arc<Embedded>),
    Postgres(Arc<Postgres>),
}

impl Engine {
    /// Opens the store that the node was told of.
    pub(crate) async fn open(config: &Config, time: &Time, metrics: &Metrics) -> Result<Self, Error> {
        let Some(url) = &config.store else {
            let defaults = aloft_store_embedded::Config::default();
            let store = Embedded::open(&config.data.join("store"), &defaults, time.clock.clone())?;
            let store = Arc::new(store);
            store.declare(metrics);
            return Ok(Self::Embedded(store));
        };
        let settings = aloft_store_postgres::Config::new(url);
        let store = Postgres::open(settings, time.clock.clone(), time.chance.clone()).await?;
        let store = Arc::new(store);
        store.declare(metrics);
        Ok(Self::Postgres(store))
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Ends the store when nobody uses it any more. The embedded one ends with its last holder; a database's lease is given
    /// back, so that the next start does not wait for it.
    pub(crate) async fn close(&self) {
        if let Self::Postgres(store) = self
            && let Err(error) = store.close().await
        {
            tracing::warn!(%error, "the store did not end cleanly; the next start waits for its lease");
        }
    }
}
