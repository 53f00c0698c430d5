//! What all deliveries of a node share.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Backoff, Chance, Clock, Stop};
use aloft_store::layout::{self, Name, Namespace};
use aloft_store::{Batch, BatchId, Store};
use tokio::sync::Mutex;

use crate::{DeadLetters, Error, Space};

/// The shortest wait, so that a due time in this very millisecond makes no busy loop.
pub(crate) const SHORTEST: Duration = Duration::from_millis(5);
/// Between tries of a store that fails.
pub const STORE_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    ceiling: Duration::from_secs(10),
};

/// What every runner and reader stands on.
#[derive(Clone)]
pub struct Ground {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where deliveries lie in it.
    pub space: Space,
    /// Time. tokio's timers do the waiting.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
    /// The suspects of all rules of the node take turns on it, each until it is settled: one that ends the node must not be at
    /// work while another is tried.
    pub suspects: Arc<Mutex<()>>,
}

impl Ground {
    /// That of a namespace.
    pub async fn open(
        store: Arc<dyn Store>,
        namespace: &Namespace,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, Error> {
        let name = Name {
            namespace,
            kind: "dead letters",
            name: "rules",
        };
        let space = layout::ensure(&*store, name, &*chance).await?;
        let space = Space(space.ok_or(Error::Contended("the dead letters' name"))?);
        Ok(Self {
            store,
            space,
            clock,
            chance,
            suspects: Arc::default(),
        })
    }

    /// That of another namespace of the same node.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn of(&self, namespace: &Namespace) -> Result<Self, Error> {
        let (store, clock, chance) = (self.store.clone(), self.clock.clone(), self.chance.clone());
        Ok(Self {
            suspects: self.suspects.clone(),
            ..Self::open(store, namespace, clock, chance).await?
        })
    }

    /// The dead letters.
    pub fn letters(&self) -> DeadLetters {
        DeadLetters::new(
            self.store.clone(),
            self.space,
            self.clock.clone(),
            self.chance.clone(),
        )
    }

    /// An empty batch with a new id.
    pub fn batch(&self) -> Batch {
        Batch::new(BatchId::draw(&*self.chance))
    }

    /// Waits before the next try of a store that failed `failed` times; returns at once when `stop` is asked for.
    pub async fn pause(&self, failed: u32, stop: &Stop) {
        let delay = STORE_BACKOFF.delay(failed, &*self.chance).max(SHORTEST);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.asked() => {}
        }
    }
}
