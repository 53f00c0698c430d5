//! What a node does beside requests: it removes what deleted tables left behind, and tells the rules which logs there are.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, Policy, TableName, Tasks};
use aloft_rule::Logs;
use aloft_store::layout::{self, Namespace};
use aloft_store::{LogId, Store};
use aloft_table::{LOG_SHARDS, Tables};
use async_trait::async_trait;

/// Between two looks; deleting a table frees its space this much later.
const EVERY: Duration = Duration::from_secs(600);
/// Rows of one step, and the pause after it, so that upkeep never competes with requests.
const STEP_ROWS: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(50);
/// Tables that are listed at once.
const PAGE: usize = 100;

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

/// The change logs of a namespace's tables.
pub(crate) struct TableLogs {
    pub(crate) tables: Tables,
    pub(crate) namespace: Namespace,
}

#[async_trait]
impl Logs for TableLogs {
    async fn logs(&self) -> Result<Vec<(LogId, u16)>, String> {
        let mut logs = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let listed = self.tables.list(&self.namespace, after.as_deref(), PAGE).await;
            let (names, more) = listed.map_err(|error| error.to_string())?;
            for name in &names {
                let name: TableName = name.parse().map_err(|error| format!("{error}"))?;
                match self.tables.log_of(&self.namespace, &name).await {
                    Ok(log) => logs.push((log, LOG_SHARDS)),
                    // It was deleted a moment ago.
                    Err(aloft_table::Error::Missing(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
            after = names.into_iter().next_back();
            if !more || after.is_none() {
                return Ok(logs);
            }
        }
    }
}
