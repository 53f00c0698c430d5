//! One owner at a time, as the engine on a database has it: a node takes the store under a lease that the database's clock judges and
//! an epoch that each takeover raises, and each of its commits is fenced by that epoch. A node that was paused for too long comes
//! back believing to own what another has taken over meanwhile; nothing of it gets in, and it ends once it is told.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock as _, Stop, Timestamp};
use aloft_store::{Epoch, Error, Memory, Partition, Store as _};

use crate::clock::WorldClock;
use crate::shared::Shared;
use crate::store::{Act, NodeStore};

/// What every commit of an owner is fenced by.
pub(crate) const ALL: Partition = Partition(255);
/// How long a lease runs that nobody renews: the default of the engine on PostgreSQL.
const RUNS: Duration = Duration::from_secs(10);
/// How often a start looks at another's lease.
const LOOK: Duration = Duration::from_millis(500);

/// What errors name.
const DATABASE: &str = "the simulation's";
const OTHER: &str = "another node";

/// Who owns the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    epoch: Epoch,
    until: Timestamp,
}

/// What a look at another's lease showed.
enum Look {
    Taken(Epoch),
    Held(Timestamp),
}

impl NodeStore {
    /// Takes the store, waiting for a lease that nobody renews.
    ///
    /// # Errors
    /// When its owner is alive, or the store fails.
    pub(crate) async fn own(&self) -> Result<(), Error> {
        let mut first = None;
        loop {
            match self.look().await? {
                Look::Taken(epoch) => {
                    self.owns(epoch);
                    return Ok(());
                }
                Look::Held(until) if *first.get_or_insert(until) != until => {
                    return Err(Error::Owned {
                        database: DATABASE.to_owned(),
                        holder: OTHER.to_owned(),
                        left: RUNS,
                    });
                }
                Look::Held(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// One statement on a database: takes the lease if it is free, else tells until when it runs.
    async fn look(&self) -> Result<Look, Error> {
        let shared = self.wire.shared.clone();
        let act = move |memory: Arc<Memory>| -> Act<_> {
            Box::pin(async move {
                let held = shared.state().lease;
                if let Some(held) = held.filter(|held| held.until > shared.clock.now()) {
                    return Ok(Look::Held(held.until));
                }
                let epoch = memory.take_over(ALL).await?;
                let until = ends(&shared.clock);
                shared.state().lease = Some(Held { epoch, until });
                Ok(Look::Taken(epoch))
            })
        };
        let tell = |look: &Look| match look {
            Look::Taken(epoch) => format!("taken under {epoch:?}"),
            Look::Held(until) => format!("held until {until}"),
        };
        self.wire.effect(("own", true), act, tell).await
    }

    /// Renews the lease until another has taken over, or `stop` is asked for.
    pub(crate) async fn keep(&self, stop: &Stop) {
        loop {
            // Both are safe to cancel.
            tokio::select! {
                () = tokio::time::sleep(RUNS / 3) => {}
                () = stop.asked() => return,
            }
            // While the database does not answer it goes on trying.
            if let Ok(false) = self.change(|clock| Some(ends(clock))).await {
                return self.superseded();
            }
        }
    }

    /// Gives the lease back.
    pub(crate) async fn give_back(&self) {
        // If it fails the lease runs out.
        let _ = self.change(|_| None).await;
    }

    /// Changes until when the lease runs, to an end or at once; answers whether it is still this node's.
    async fn change(&self, until: fn(&WorldClock) -> Option<Timestamp>) -> Result<bool, Error> {
        let (shared, own) = (self.wire.shared.clone(), self.epoch());
        let act = move |_| -> Act<_> { Box::pin(async move { Ok(renew(&shared, own, until)) }) };
        let tell = |is_ours: &bool| format!("ours: {is_ours}");
        self.wire.effect(("lease", false), act, tell).await
    }
}

fn renew(shared: &Shared, own: Option<Epoch>, until: fn(&WorldClock) -> Option<Timestamp>) -> bool {
    let mut state = shared.state();
    let Some(held) = state.lease.filter(|held| Some(held.epoch) == own) else {
        return false;
    };
    state.lease = until(&shared.clock).map(|until| Held { until, ..held });
    true
}

fn ends(clock: &WorldClock) -> Timestamp {
    clock.now() + RUNS
}

/// What a node is told that is not the owner any more.
pub(crate) fn superseded() -> Error {
    Error::Superseded {
        database: DATABASE.to_owned(),
        holder: OTHER.to_owned(),
    }
}
