//! Connections that break in the middle of a commit: every outcome is known in the end, and every batch happened at most once.

use std::time::Duration;

use aloft_base::{Chance, SeededChance};
use aloft_store::{Batch, BatchId, Expect, LogId, Outcome, Position, Shard, Store};
use test_postgres::{Cut, Proxy};

use super::*;

const LOG: LogId = LogId(1);

fn batch(id: u128) -> Batch {
    Batch::new(BatchId(id))
        .put(key(&format!("row {id}")), format!("value {id}"))
        .expect(key(&format!("row {id}")), Expect::Absent)
        .append(LOG, Shard(0), "k", id.to_be_bytes().to_vec())
}

/// How often each batch happened.
async fn happened(store: &Postgres, id: u128) -> usize {
    store.catch_up().await;
    let (mut count, mut after) = (0, Position::START);
    loop {
        let records = match store.read_log(LOG, Shard(0), after, 1_000, 1 << 20).await {
            Ok(records) => records,
            // A server that has just come back may be tried again later than this store's patience lasts.
            Err(error) if error.kind() == aloft_base::ErrorKind::Unavailable => continue,
            Err(error) => panic!("{error}"),
        };
        let Some(last) = records.last() else {
            return count;
        };
        after = last.position;
        count += records
            .iter()
            .filter(|record| record.value.as_ref() == id.to_be_bytes())
            .count();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_connection_breaks_is_looked_up_and_happens_once() {
    let proxy = Proxy::start(server().folder()).unwrap();
    let config = Config {
        url: proxy.url(),
        ..config()
    };
    let store = open(&config, &clock()).await;
    assert!(store.commit(batch(1)).await.unwrap().is_committed());
    let marker = |id: u128| format!("value {id}").into_bytes();
    let cuts = [
        Cut::BeforeRequest(marker(2)),
        Cut::AfterRequest(marker(3)),
        Cut::AfterAnswer(marker(4)),
        Cut::Delay(marker(5), Duration::from_millis(50)),
    ];
    for (cut, id) in cuts.into_iter().zip(2..) {
        proxy.cut(cut.clone());
        let outcome = store.commit(batch(id)).await.unwrap();
        assert!(outcome.is_committed(), "{cut:?}: {outcome:?}");
        assert_eq!(happened(&store, id).await, 1, "{cut:?}");
        assert_eq!(
            store.commit(batch(id)).await.unwrap(),
            outcome,
            "the same batch again"
        );
    }
    assert_eq!(proxy.struck(), 4);
    let counters = store.counters();
    assert_eq!(counters.commits.lost.load(Ordering::Relaxed), 3);
    // The second may or may not have been done before its session was ended; the third surely was.
    assert!((1..=2).contains(&counters.commits.recovered.load(Ordering::Relaxed)));
    // A refusal that is lost is decided anew.
    proxy.cut(Cut::AfterAnswer(b"value 1".to_vec()));
    let again = Batch::new(BatchId(99))
        .expect(key("row 1"), Expect::Absent)
        .put(key("row 1"), "value 1");
    assert_eq!(
        store.commit(again).await.unwrap(),
        Outcome::Conflict(key("row 1"))
    );
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_with_connections_cut_at_random_every_batch_happens_once() {
    const WRITERS: u128 = 8;
    const EACH: u128 = 40;
    let proxy = Arc::new(Proxy::start(server().folder()).unwrap());
    let config = Config {
        url: proxy.url(),
        ..config()
    };
    let store = Arc::new(open(&config, &clock()).await);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, proxy) = (store.clone(), proxy.clone());
        writers.spawn(async move {
            let chance = SeededChance::new(writer as u64);
            for n in 0..EACH {
                let id = 1 + writer * EACH + n;
                let marker = format!("value {id}").into_bytes();
                match chance.below(12) {
                    0 => proxy.cut(Cut::BeforeRequest(marker)),
                    1 => proxy.cut(Cut::AfterRequest(marker)),
                    2 => proxy.cut_all(),
                    _ => {}
                }
                assert!(store.commit(batch(id)).await.unwrap().is_committed(), "{id}");
                assert!(
                    store.get(&key(&format!("row {id}"))).await.unwrap().is_some(),
                    "{id}"
                );
            }
        });
    }
    writers.join_all().await;
    store.catch_up().await;
    let (mut seen, mut after) = (Vec::new(), Position::START);
    loop {
        let records = store
            .read_log(LOG, Shard(0), after, 1_000, 1 << 20)
            .await
            .unwrap();
        let Some(last) = records.last() else {
            break;
        };
        after = last.position;
        seen.extend(
            records
                .iter()
                .map(|r| u128::from_be_bytes(r.value.as_ref().try_into().unwrap())),
        );
    }
    seen.sort_unstable();
    assert_eq!(
        seen,
        (1..=WRITERS * EACH).collect::<Vec<_>>(),
        "each once, none missing"
    );
    assert!(proxy.struck() > 20 && store.counters().commits.lost.load(Ordering::Relaxed) > 20);
}

/// A database that stays away: the caller is told in time, the commit goes on, and its batch tells the outcome later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_told_when_the_database_stays_away_and_learns_the_outcome_later() {
    let mut server = Server::start(Durability::Fast).unwrap();
    let proxy = Proxy::start(server.folder()).unwrap();
    let config = Config {
        url: proxy.url(),
        patience: Duration::from_secs(1),
        ..config()
    };
    let store = open(&config, &clock()).await;
    assert!(store.commit(batch(1)).await.unwrap().is_committed());
    // The answer is lost, and with it the server.
    proxy.cut(Cut::AfterAnswer(b"value 2".to_vec()));
    let commit = store.commit(batch(2));
    let (outcome, killed) = tokio::join!(commit, async {
        until(|| proxy.struck() == 1).await;
        server.kill()
    });
    killed.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), aloft_base::ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("tells its outcome"), "{error}");
    let read = store.get(&key("row 1")).await.unwrap_err();
    assert_eq!(read.kind(), aloft_base::ErrorKind::Unavailable, "{read}");
    server.run().unwrap();
    let outcome = loop {
        match store.commit(batch(2)).await {
            Ok(outcome) => break outcome,
            Err(error) => assert_eq!(error.kind(), aloft_base::ErrorKind::Unavailable, "{error}"),
        }
    };
    assert!(outcome.is_committed());
    assert_eq!(happened(&store, 2).await, 1);
    assert!(store.commit(batch(3)).await.unwrap().is_committed());
    store.close().await.unwrap();
}
