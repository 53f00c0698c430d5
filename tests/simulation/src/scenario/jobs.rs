//! Jobs: clients enqueue tasks, workers on all nodes claim them, take their time, sometimes longer than the claim holds, and settle
//! each in the batch that notes it as done. A token is honoured once, so each job is noted once.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, Stop};
use aloft_store::{
    Batch, BatchId, Claim, Enqueue, Error, Expect, Key, Lane, Lease, LogId, Outcome, Position, Shard, Store,
    TaskId,
};
use anyhow::{Context as _, Result};

use crate::history::{Seen, Told};
use crate::node::Parts;

const LANE: Lane = Lane(70_000);
const LOG: LogId = LogId(70_001);
/// How long a claim holds.
const CLAIMED: Duration = Duration::from_secs(10);
/// The poll behind the wakes.
const POLL: Duration = Duration::from_secs(30);

/// Enqueues a job, due now or soon. Its row says that it is known, so that a request that comes twice makes one job.
pub(crate) async fn enqueue(parts: &Parts, job: u64) -> Result<Told, Error> {
    let delay = parts.shared.millis(3_000);
    let task = Enqueue {
        id: TaskId(job.into()),
        lane: LANE,
        due: parts.clock.now() + delay,
        attempts: 0,
        body: job.to_be_bytes().to_vec().into(),
        claimed: None,
    };
    let row = Key::new(format!("job/{job}"))?;
    let batch = Batch::new(BatchId::draw(&*parts.chance))
        .expect(row.clone(), Expect::Absent)
        .put(row, "known")
        .enqueue(task);
    match parts.store.commit(batch).await? {
        Outcome::Committed(_) | Outcome::Conflict(_) => Ok(Told::Enqueued),
        refused => Ok(Told::Unknown(format!("{refused:?}"))),
    }
}

/// Works until `stop` is asked for.
pub(crate) async fn work(parts: Parts, stop: Stop) {
    let mut waiter = parts.store.wake().lane(LANE);
    while !stop.is_asked() {
        let wait = match round(&parts).await {
            Ok(wait) => wait,
            Err(_) => parts.shared.millis(500),
        };
        tokio::select! {
            () = stop.asked() => {}
            () = waiter.wait() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Does what is due; answers how long to wait for more.
async fn round(parts: &Parts) -> Result<Duration, Error> {
    loop {
        let claims = parts.store.receive(LANE, 4, CLAIMED).await?;
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            work_on(parts, claim).await?;
        }
    }
    let next = parts.store.next_due(LANE).await?;
    let wait = next.map_or(POLL, |at| at.since(parts.clock.now()));
    Ok(wait.clamp(Duration::from_millis(50), POLL))
}

async fn work_on(parts: &Parts, claim: Claim) -> Result<(), Error> {
    let is_long = parts.shared.is_troubled() && parts.shared.chance.below(8) == 0;
    tokio::time::sleep(parts.shared.millis(if is_long { 15_000 } else { 200 })).await;
    match parts.shared.chance.below(10) {
        0 => {
            // Given back undone: somebody does it again.
            let _: Lease = parts.store.release(claim.token).await?;
            return Ok(());
        }
        1 if parts.store.extend(&claim.token, CLAIMED).await? == Lease::Lost => return Ok(()),
        _ => {}
    }
    let batch = Batch::new(BatchId::draw(&*parts.chance))
        .settle(claim.token)
        .append(LOG, Shard(0), "jobs", claim.task.body.clone());
    for _ in 0..3 {
        // After an answer that was lost the same batch is handed over again, as its id allows.
        match parts.store.commit(batch.clone()).await {
            Ok(Outcome::Committed(_)) => {
                let job = number(&claim.task.body);
                parts.shared.see(parts.clock.world_ms(), Seen::Finished(job));
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(_) => tokio::time::sleep(parts.shared.millis(300)).await,
        }
    }
    Ok(())
}

/// All jobs that are noted as done.
pub(crate) async fn done(store: &Arc<dyn Store>) -> Result<Vec<u64>> {
    let (mut jobs, mut after) = (Vec::new(), Position::START);
    loop {
        let records = store.read_log(LOG, Shard(0), after, 100, 1 << 20).await?;
        let Some(last) = records.last() else {
            return Ok(jobs);
        };
        after = last.position;
        for record in &records {
            let bytes: [u8; 8] = record.value.as_ref().try_into().context("a job is a number")?;
            jobs.push(u64::from_be_bytes(bytes));
        }
    }
}

fn number(body: &[u8]) -> u64 {
    body.try_into().map_or(u64::MAX, u64::from_be_bytes)
}
