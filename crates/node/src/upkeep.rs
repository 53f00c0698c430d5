//! What a node does beside requests: it removes what deleted tables and log groups left behind, blobs that nothing names any more,
//! what logs keep no more, and secrets whose time has come. Change logs are trimmed by the rules, who know what they still need.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_api::Readiness;
use aloft_base::{Chance, Clock, Policy, Tasks};
use aloft_log::Retention;
use aloft_secret::Secrets;
use aloft_store::blobs::Collector;
use aloft_store::{Error, Store, layout};
use async_trait::async_trait;

/// Between two looks; deleting a table frees its space this much later.
const EVERY: Duration = Duration::from_secs(600);
/// Rows or blobs of one step, and the pause after it, so that upkeep never competes with requests.
const STEP: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(50);

/// Ends the node when the store accepts nothing more: only a new start knows what is on the disk, and a node that goes on
/// without it can do nothing but fail. Whoever keeps it running (systemd, Kubernetes, a person) starts it again.
pub(crate) fn watch(store: Arc<dyn Store>, readiness: Arc<Readiness>, tasks: &Tasks) {
    let stop = tasks.stop().clone();
    tasks.start("the store", Policy::Vital, async move {
        tokio::select! {
            error = store.broken() => {
                readiness.hinder("store", error.to_string());
                Err(error)
            }
            () = stop.asked() => Ok(()),
        }
    });
}

/// Work that is done in steps.
#[async_trait]
pub(crate) trait Step: Send + 'static {
    /// Takes a step; answers whether there is more to do now.
    async fn step(&mut self) -> Result<bool, Error>;
}

/// Removes what deleted tables left behind.
pub(crate) struct Reclaimer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
}

#[async_trait]
impl Step for Reclaimer {
    async fn step(&mut self) -> Result<bool, Error> {
        let step = layout::reclaim(&*self.store, STEP, self.clock.now(), &*self.chance).await?;
        Ok(step.more)
    }
}

#[async_trait]
impl Step for Collector {
    async fn step(&mut self) -> Result<bool, Error> {
        // The collector's own.
        Ok(Collector::step(self, STEP).await?.more)
    }
}

#[async_trait]
impl Step for Retention {
    async fn step(&mut self) -> Result<bool, Error> {
        // The retention's own.
        Retention::step(self).await.map_err(|error| match error {
            aloft_log::Error::Store(error) => error,
            other => Error::corrupt("the log", other),
        })
    }
}

#[async_trait]
impl Step for Secrets {
    async fn step(&mut self) -> Result<bool, Error> {
        self.sweep().await.map_err(|error| match error {
            aloft_secret::Error::Store(error) => error,
            other => Error::corrupt("a deleted secret", other),
        })
    }
}

/// Does the work `name`: step by step as long as there is more, and again some time later.
pub(crate) fn start(name: &'static str, mut work: impl Step, tasks: &Tasks) {
    let stop = tasks.stop().clone();
    tasks.start(name, Policy::Alone, async move {
        let mut pause = PAUSE;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.asked() => return Ok::<(), Infallible>(()),
            }
            pause = match work.step().await {
                Ok(true) => PAUSE,
                Ok(false) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "cannot {name}; trying again in {} s", EVERY.as_secs());
                    EVERY
                }
            };
        }
    });
}
