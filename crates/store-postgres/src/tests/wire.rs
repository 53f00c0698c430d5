//! What goes over the wire: one round trip for each commit and each read, counted by a proxy.

use std::time::Duration;

use aloft_store::{Batch, BatchId, Direction, Expect, KeyRange, Lane, LogId, Position, Shard, Store};
use test_postgres::Proxy;

use super::*;

/// Counts the round trips of what `ask` does, once everything is prepared and nothing else is on its way.
async fn round_trips<T>(proxy: &Proxy, ask: impl Future<Output = T>) -> (T, u64) {
    let before = proxy.round_trips();
    let answer = ask.await;
    (answer, proxy.round_trips() - before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_is_one_round_trip() {
    let proxy = Proxy::start(server().folder()).unwrap();
    // A lease that is not renewed meanwhile, and one connection of each kind.
    let config = Config {
        url: proxy.url(),
        lease: Duration::from_secs(600),
        writers: 1,
        readers: 1,
        snapshots: 1,
        segment_bytes: 64 << 20,
        ..config()
    };
    let store = open(&config, &clock()).await;
    let (key, log, lane) = (super::key("k"), LogId(1), Lane(1));
    let write = |id: u128, n: &str| {
        Batch::new(BatchId(id))
            .put(key.clone(), n.to_owned())
            .put(super::key(n), "v")
            .expect(super::key(n), Expect::Absent)
    };
    let everything = |id: u128, n: &str| {
        let task = super::task(1, lane);
        write(id, n)
            .append(log, Shard(0), "k", n.to_owned())
            .enqueue(task)
    };
    // Everything once, so that connections are made and statements prepared; NOTIFY goes when it likes, so lanes and logs are
    // told before it is counted.
    store
        .commit(everything(1, "warm"))
        .await
        .unwrap()
        .committed()
        .unwrap();
    store.get(&key).await.unwrap();
    store.catch_up().await;
    store
        .read_log(log, Shard(0), Position::START, 10, 1_000)
        .await
        .unwrap();
    store.next_due(lane).await.unwrap();
    store.receive(lane, 1, Duration::from_secs(60)).await.unwrap();
    drop(store.snapshot().await.unwrap());
    until(|| store.counters().snapshots == 0).await;
    quiet(&proxy).await;

    let (outcome, trips) = round_trips(&proxy, store.commit(write(2, "a"))).await;
    assert!(outcome.unwrap().is_committed());
    assert_eq!(trips, 1, "a commit");
    let (outcome, trips) = round_trips(&proxy, store.commit(write(3, "a"))).await;
    assert!(!outcome.unwrap().is_committed());
    assert_eq!(trips, 1, "a refused commit");
    let (entry, trips) = round_trips(&proxy, store.get(&key)).await;
    assert_eq!(
        (entry.unwrap().unwrap().value.as_ref(), trips),
        (&b"a"[..], 1),
        "a get"
    );
    let read = store.read_log(log, Shard(0), Position::START, 10, 1_000);
    let (records, trips) = round_trips(&proxy, read).await;
    assert_eq!((records.unwrap().len(), trips), (1, 1), "a read of a log");
    let (snapshot, trips) = round_trips(&proxy, store.snapshot()).await;
    assert_eq!(trips, 1, "a snapshot");
    let snapshot = snapshot.unwrap();
    let range = KeyRange::prefix(b"");
    let (page, trips) = round_trips(&proxy, snapshot.scan(&range, Direction::Backward, 10)).await;
    assert_eq!((page.unwrap().entries.len(), trips), (3, 1), "a scan");
    let (_, trips) = round_trips(&proxy, snapshot.get(&key)).await;
    assert_eq!(trips, 1, "a get in a snapshot");
    drop(snapshot);
    until(|| store.counters().snapshots == 0).await;

    // A commit with work and records: NOTIFY may follow on its own connection, later and once for many.
    let before = proxy.round_trips();
    for id in 10..30 {
        assert!(
            store
                .commit(everything(id, &id.to_string()))
                .await
                .unwrap()
                .is_committed()
        );
    }
    let trips = proxy.round_trips() - before;
    assert!(trips <= 20 + 20, "20 commits took {trips} round trips");
    quiet(&proxy).await;
    // What is in the window is claimed by memory; the bodies of all are one query.
    let (claims, trips) = round_trips(&proxy, store.receive(lane, 10, Duration::from_secs(60))).await;
    assert_eq!((claims.unwrap().len(), trips), (10, 1), "a receive");
}

/// Waits until nothing went over the wire for a while: longer than NOTIFY waits for more.
async fn quiet(proxy: &Proxy) {
    loop {
        let before = proxy.round_trips();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if proxy.round_trips() == before {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_many_are_pipelined_on_few_connections() {
    let config = Config {
        writers: 2,
        readers: 1,
        ..config()
    };
    let store = Arc::new(open(&config, &clock()).await);
    let mut all = tokio::task::JoinSet::new();
    for n in 0..64u128 {
        let store = store.clone();
        all.spawn(async move {
            let batch = Batch::new(BatchId(n)).put(super::key(&n.to_string()), "v");
            assert!(store.commit(batch).await.unwrap().is_committed());
            assert!(store.get(&super::key(&n.to_string())).await.unwrap().is_some());
        });
    }
    all.join_all().await;
    // Two for commits, one for reads, one for upkeep, one for wakes.
    let open = store.counters().connections.open.load(Ordering::Relaxed);
    assert!(open <= 5, "{open} connections");
    assert_eq!(store.counters().commits.commits.load(Ordering::Relaxed), 64);
}
