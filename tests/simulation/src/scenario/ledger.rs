//! The ledger: each node takes a partition over whenever it likes, and then writes as its owner until it is told that it is not.
//! Meanwhile the other may have taken it over, so that both believe to own it. Every entry is fenced by the epoch that its
//! writer was given, and only the last owner's may get in.

use std::sync::Arc;

use aloft_base::Stop;
use aloft_store::{Batch, BatchId, Epoch, LogId, Outcome, Partition, Position, Shard, Store};
use anyhow::{Context as _, Result};

use crate::history::{Line, Seen};
use crate::node::Parts;

const PARTITION: Partition = Partition(7);
const LOG: LogId = LogId(80_000);

/// Owns and writes until `stop` is asked for, or faults have stopped.
pub(crate) async fn own(parts: Parts, stop: Stop) {
    while !stop.is_asked() && parts.shared.is_troubled() {
        if let Ok(epoch) = parts.store.take_over(PARTITION).await {
            parts.shared.see(parts.clock.world_ms(), Seen::TookOver(epoch.0));
            write(&parts, epoch, &stop).await;
        }
        tokio::time::sleep(parts.shared.millis(3_000)).await;
    }
}

async fn write(parts: &Parts, epoch: Epoch, stop: &Stop) {
    while !stop.is_asked() && parts.shared.is_troubled() {
        let line = Line {
            epoch: epoch.0,
            entry: parts.shared.number(),
        };
        let value = [line.epoch.to_be_bytes(), line.entry.to_be_bytes()].concat();
        let batch = Batch::new(BatchId::draw(&*parts.chance))
            .fence(PARTITION, epoch)
            .append(LOG, Shard(0), "ledger", value);
        parts.shared.see(parts.clock.world_ms(), Seen::Writes(line));
        match parts.store.commit(batch).await {
            Ok(Outcome::Committed(_)) => parts.shared.see(parts.clock.world_ms(), Seen::Wrote(line, true)),
            Ok(_) => return parts.shared.see(parts.clock.world_ms(), Seen::Wrote(line, false)),
            // Nobody knows; the owner goes on, as one does that believes in its lease.
            Err(_) => {}
        }
        tokio::time::sleep(parts.shared.millis(400)).await;
    }
}

/// All lines, in their order.
pub(crate) async fn read(store: &Arc<dyn Store>) -> Result<Vec<Line>> {
    let (mut lines, mut after) = (Vec::new(), Position::START);
    loop {
        let records = store.read_log(LOG, Shard(0), after, 100, 1 << 20).await?;
        let Some(last) = records.last() else {
            return Ok(lines);
        };
        after = last.position;
        for record in &records {
            let halves = record.value.split_at_checked(8);
            let (epoch, entry) = halves.context("a line has two numbers")?;
            lines.push(Line {
                epoch: u64::from_be_bytes(epoch.try_into()?),
                entry: u64::from_be_bytes(entry.try_into()?),
            });
        }
    }
}
