//! Forgets what no rule needs any more. A record stays until every cursor into its log is past it and it is older than the
//! retention; a log without any rule keeps nothing beyond the retention. A cursor that does not move pins its log only as long as the
//! rule's maximum age, because its reader passes over what became older.
//!
//! It works beside the rules, every 30 s with their poll, in steps of at most 1,000 records or 1 MiB. It reads what it forgets: a
//! log has no other way to tell how old its records are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, ErrorKind, Stop};
use aloft_store::layout::Namespace;
use aloft_store::{LogId, Position, Shard, Store};
use aloft_table::{LOG_SHARDS, Tables};
use async_trait::async_trait;

use crate::Error;
use crate::metrics::Metrics;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(30);
const STEP_RECORDS: usize = 1_000;
const STEP_BYTES: usize = 1 << 20;

/// Tells which logs there are.
#[async_trait]
pub trait Logs: Send + Sync + 'static {
    /// All logs whose records only rules read, with their numbers of shards.
    async fn logs(&self) -> Result<Vec<(LogId, u16)>, String>;
}

/// The logs of a namespace's tables.
pub struct TableLogs {
    /// The tables.
    pub tables: Tables,
    /// Whose.
    pub namespace: Namespace,
}

/// How many names are listed at a time.
const PAGE: usize = 1_000;

#[async_trait]
impl Logs for TableLogs {
    async fn logs(&self) -> Result<Vec<(LogId, u16)>, String> {
        let (mut logs, mut after) = (Vec::new(), None::<String>);
        loop {
            let listed = self.tables.list(&self.namespace, after.as_deref(), PAGE).await;
            let (names, more) = listed.map_err(|error| error.to_string())?;
            for name in &names {
                let name = name
                    .parse()
                    .map_err(|error: aloft_base::InvalidName| error.to_string())?;
                match self.tables.log_of(&self.namespace, &name).await {
                    Ok(log) => logs.push((log, LOG_SHARDS)),
                    // It was deleted meanwhile.
                    Err(error) if error.kind() == ErrorKind::Missing => {}
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

/// Tells how far the cursors into a shard are.
#[async_trait]
pub(crate) trait Cursors: Send + Sync + 'static {
    /// The position of the last cursor; `Position::END` when there is none.
    async fn last(&self, log: LogId, shard: Shard) -> Result<Position, Error>;
}

/// Trims logs.
pub(crate) struct Trimmer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) cursors: Arc<dyn Cursors>,
    pub(crate) retention: Duration,
    pub(crate) metrics: Metrics,
}

impl Trimmer {
    /// Runs until `stop` is asked for.
    pub(crate) async fn run(self, stop: Stop) {
        let mut trimmed = HashMap::new();
        loop {
            tokio::select! {
                () = stop.asked() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.round(&mut trimmed, &stop).await {
                tracing::warn!(%error, "the logs could not be trimmed; trying again in {} s", EVERY.as_secs());
            }
        }
    }

    async fn round(&self, trimmed: &mut HashMap<(LogId, Shard), Position>, stop: &Stop) -> Result<(), Error> {
        let logs = match self.logs.logs().await {
            Ok(logs) => logs,
            Err(error) => {
                tracing::warn!(
                    error,
                    "the logs could not be listed; trying again in {} s",
                    EVERY.as_secs()
                );
                return Ok(());
            }
        };
        let shards = || {
            logs.iter()
                .flat_map(|(log, shards)| (0..*shards).map(|shard| (*log, Shard(shard))))
        };
        trimmed.retain(|place, _| shards().any(|other| other == *place));
        for (log, shard) in shards() {
            let from = trimmed.entry((log, shard)).or_insert(Position::START);
            while !stop.is_asked() && self.step(log, shard, from).await? {}
        }
        Ok(())
    }

    /// One step; answers whether another may find more.
    async fn step(&self, log: LogId, shard: Shard, from: &mut Position) -> Result<bool, Error> {
        let records = match self
            .store
            .read_log(log, shard, *from, STEP_RECORDS, STEP_BYTES)
            .await
        {
            Ok(records) => records,
            // Somebody else trimmed further.
            Err(aloft_store::Error::Trimmed { through, .. }) => {
                *from = through;
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        if records.is_empty() {
            return Ok(false);
        }
        let (last, now) = (self.cursors.last(log, shard).await?, self.clock.now());
        let is_over =
            |record: &&aloft_store::Record| record.position <= last && now.since(record.at) > self.retention;
        let over: Vec<Position> = records
            .iter()
            .take_while(is_over)
            .map(|record| record.position)
            .collect();
        let Some(through) = over.last() else {
            return Ok(false);
        };
        self.store.trim_log(log, shard, *through).await?;
        *from = *through;
        self.metrics.trimmed(over.len() as u64);
        Ok(over.len() == records.len())
    }
}
