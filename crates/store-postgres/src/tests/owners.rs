//! One owner: who is refused, who waits, what a former one may do.

use std::time::Duration;

use aloft_base::Clock;
use aloft_store::{Batch, BatchId, Error, Store};
use futures_util::FutureExt as _;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_owner_is_refused_with_the_first_ones_name() {
    let config = config();
    let first = open(&config, &clock()).await;
    let second = Postgres::open(config.clone(), clock(), Arc::new(SystemChance)).await;
    let refused = second.err().expect("the first is alive");
    assert!(matches!(refused, Error::Owned { .. }), "{refused}");
    let message = refused.to_string();
    for part in [
        &format!("process {} on host", std::process::id()),
        &config.schema,
        "lease",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(
        first
            .commit(Batch::new(BatchId(1)).put(key("k"), "v"))
            .await
            .unwrap()
            .is_committed()
    );
    // A clean end lets the next one in at once, though the lease would have lasted.
    let config = Config {
        lease: Duration::from_secs(600),
        ..config
    };
    first.close().await.unwrap();
    let second = open(&config, &clock()).await;
    second.close().await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(60), open(&config, &clock())).await;
    third
        .expect("a clean end is not waited for")
        .close()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_unclean_end_the_next_start_waits_for_the_lease_and_no_longer() {
    let config = Config {
        lease: Duration::from_secs(2),
        ..config()
    };
    open(&config, &clock()).await.abandon();
    let clock = aloft_base::SystemClock;
    let started = clock.instant();
    let second = open(&config, &super::clock()).await;
    let waited = clock.instant().saturating_duration_since(started);
    // That it waited at all is the point; the bound above is the lease and room for a slow machine.
    assert!(
        waited > Duration::from_secs(1) && waited < Duration::from_secs(12),
        "{waited:?}"
    );
    second.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_the_store_is_told_to_whom_and_its_node_ends() {
    let config = config();
    let first = Postgres::open(config.clone(), clock(), Arc::new(SystemChance))
        .await
        .unwrap();
    first.pause();
    let second = open(&config, &clock()).await;
    assert!(first.broken().now_or_never().is_none());
    let late = first.commit(Batch::new(BatchId(1)).put(key("k"), "late")).await;
    let message = late.unwrap_err().to_string();
    assert!(
        message.contains(&format!("taken over by process {}", std::process::id())),
        "{message}"
    );
    let broken = tokio::time::timeout(Duration::from_secs(20), first.broken()).await;
    assert!(
        matches!(broken, Ok(Error::Superseded { .. })),
        "its node is told to end: {broken:?}"
    );
    assert!(matches!(
        first.get(&key("k")).await,
        Err(Error::Superseded { .. })
    ));
    assert!(
        matches!(first.close().await, Err(Error::Superseded { .. })),
        "no clean end"
    );
    assert_eq!(second.get(&key("k")).await.unwrap(), None);
    // What the former one's end did not take away.
    assert!(
        second
            .commit(Batch::new(BatchId(2)).put(key("k"), "v"))
            .await
            .unwrap()
            .is_committed()
    );
}

/// The renewal alone notices it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_owner_notices_that_it_lost_the_store() {
    let config = config();
    let first = Postgres::open(config.clone(), clock(), Arc::new(SystemChance))
        .await
        .unwrap();
    first.pause();
    let _second = open(&config, &clock()).await;
    first.shared.paused.store(false, Ordering::Relaxed);
    let broken = tokio::time::timeout(Duration::from_secs(20), first.broken()).await;
    assert!(
        matches!(broken, Ok(Error::Superseded { .. })),
        "its node is told to end: {broken:?}"
    );
}
