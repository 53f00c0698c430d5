//! The journal's ring: it turns, carries what lives, is emptied by truncation, and waits for whoever holds a lock on it.

use std::time::Duration;

use aloft_base::Clock;
use aloft_store::{Batch, BatchId, Enqueue, Lane, LogId, Position, Shard, Store};

use super::*;

/// Commits records of another log until the ring has turned so often.
async fn turn(store: &Postgres, turns: u64) {
    let (until, mut id) = (
        store.counters().turns + turns,
        1_000 + u128::from(store.counters().turns) * 1_000_000,
    );
    while store.counters().turns < until {
        id += 1;
        let filler = Batch::new(BatchId(id)).append(LogId(99), Shard(0), "", vec![0; 20_000]);
        let position = store.commit(filler).await.unwrap().committed().unwrap().position;
        store.catch_up().await;
        store.trim_log(LogId(99), Shard(0), position).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lives_is_carried_and_what_is_done_is_dropped() {
    let (config, clock) = (config(), clock());
    let store = open(&config, &clock).await;
    let (log, lane) = (LogId(1), Lane(1));
    let later = clock.now() + Duration::from_secs(3_600);
    let enqueue = |n: u64, due| Enqueue { due, ..task(n, lane) };
    let mut batch = Batch::new(BatchId(1));
    for n in 0..20u64 {
        batch = batch
            .append(log, Shard(0), "k", n.to_string())
            .enqueue(enqueue(n, clock.now()))
            .enqueue(enqueue(100 + n, later));
    }
    assert!(store.commit(batch).await.unwrap().is_committed());
    store.catch_up().await;
    let read = || store.read_log(log, Shard(0), Position::START, 100, 1 << 20);
    let before = read().await.unwrap();
    store.trim_log(log, Shard(0), before[4].position).await.unwrap();
    let claims = store.receive(lane, 10, Duration::from_secs(600)).await.unwrap();
    let settle = claims
        .into_iter()
        .fold(Batch::new(BatchId(2)), |batch, claim| batch.settle(claim.token));
    assert!(store.commit(settle).await.unwrap().is_committed());
    turn(&store, 10).await;
    let counters = store.counters();
    assert!(
        counters.carried >= 3 * 45,
        "15 records and 30 tasks went around: {counters:?}"
    );
    assert_eq!(read().await.unwrap(), before[5..], "records keep their positions");
    // Half is in the owner's memory; a new owner reads it all from the journal.
    store.close().await.unwrap();
    let store = open(&config, &clock).await;
    clock.advance(Duration::from_secs(3_600));
    let mut seen = Vec::new();
    loop {
        let claims = store.receive(lane, 7, Duration::from_secs(600)).await.unwrap();
        if claims.is_empty() {
            break;
        }
        seen.extend(
            claims
                .iter()
                .map(|claim| (claim.task.id.0, claim.task.body.clone())),
        );
    }
    let expected: Vec<_> = (10..20)
        .chain(100..120)
        .map(|n: u64| (u128::from(n), n.to_string().into()))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(
        store
            .read_log(log, Shard(0), Position::START, 100, 1 << 20)
            .await
            .unwrap(),
        before[5..]
    );
    // Four segments of a quarter megabyte, whatever went through.
    let size: i64 = foreign()
        .await
        .query_one(
            &format!(
                "SELECT sum(pg_total_relation_size(('{}.journal_' || n)::regclass))::bigint FROM generate_series(0, 3) n",
                config.schema
            ),
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!(size < 6 * (256 << 10), "{size} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_lock_keeps_the_ring_from_turning_and_nothing_fails() {
    let config = config();
    let store = open(&config, &clock()).await;
    let foreign = foreign().await;
    foreign
        .batch_execute(&format!(
            "BEGIN; LOCK TABLE {}.journal IN ACCESS SHARE MODE",
            config.schema
        ))
        .await
        .unwrap();
    let mut id = 0u128;
    while store.counters().blocked < 1 {
        id += 1;
        let filler = Batch::new(BatchId(id)).append(LogId(1), Shard(0), "", vec![0; 20_000]);
        assert!(store.commit(filler).await.unwrap().is_committed());
    }
    let turns = store.counters().turns;
    for _ in 0..30 {
        id += 1;
        let filler = Batch::new(BatchId(id)).append(LogId(1), Shard(0), "", vec![0; 20_000]);
        assert!(store.commit(filler).await.unwrap().is_committed());
    }
    assert_eq!(store.counters().turns, turns, "the next segment is not empty");
    foreign.batch_execute("COMMIT").await.unwrap();
    turn(&store, 2).await;
    store.catch_up().await;
    let (mut count, mut after) = (0, Position::START);
    loop {
        let records = store
            .read_log(LogId(1), Shard(0), after, 1_000, 1 << 20)
            .await
            .unwrap();
        let Some(last) = records.last() else {
            break;
        };
        after = last.position;
        count += records.len() as u128;
    }
    assert_eq!(count, id);
}
