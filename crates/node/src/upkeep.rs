//! What a node does beside requests: it removes what deleted tables left behind. Change logs are trimmed by the rules, who
//! know what they still need.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_api::Readiness;
use aloft_base::{Chance, Clock, Policy, Tasks};
use aloft_store::{Store, layout};

/// Between two looks; deleting a table frees its space this much later.
const EVERY: Duration = Duration::from_secs(600);
/// Rows of one step, and the pause after it, so that upkeep never competes with requests.
const STEP_ROWS: usize = 1_000;
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

/// Starts the upkeep of a store.
pub(crate) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, chance: Arc<dyn Chance>, tasks: &Tasks) {
    let stop = tasks.stop().clone();
    tasks.start("reclaim what was deleted", Policy::Alone, async move {
        let mut pause = PAUSE;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.asked() => return Ok::<(), Infallible>(()),
            }
            pause = match layout::reclaim(&*store, STEP_ROWS, clock.now(), &*chance).await {
                Ok(step) if step.more => PAUSE,
                Ok(_) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "what was deleted cannot be reclaimed; trying again in {} s", EVERY.as_secs());
                    EVERY
                }
            };
        }
    });
}
