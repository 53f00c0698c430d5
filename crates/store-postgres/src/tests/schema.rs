//! The schema: made once by many, refused when it is of another level, moved to another cluster.

use aloft_store::{Batch, BatchId, Error, LogId, Position, Shard, Store};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_a_new_database_at_once_make_it_once() {
    let config = config();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let config = config.clone();
        all.spawn(async move { Postgres::open(config, clock(), Arc::new(SystemChance)).await });
    }
    let opened = all.join_all().await;
    let refused = opened.iter().filter_map(|opened| opened.as_ref().err());
    assert!(
        refused.clone().all(|error| matches!(error, Error::Owned { .. })),
        "{:?}",
        refused.collect::<Vec<_>>()
    );
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_level_is_refused_and_nothing_is_changed() {
    let config = config();
    open(&config, &clock()).await.close().await.unwrap();
    let foreign = foreign().await;
    let change = format!(
        "UPDATE {}.facts SET value = 77 WHERE name = 'level'",
        config.schema
    );
    foreign.batch_execute(&change).await.unwrap();
    let refused = Postgres::open(config.clone(), clock(), Arc::new(SystemChance)).await;
    let message = refused.err().expect("the level is another").to_string();
    assert!(
        message.contains("level 77") && message.contains(&config.schema),
        "{message}"
    );
    let epoch = format!("SELECT epoch FROM {}.owner", config.schema);
    assert_eq!(foreign.query_one(&epoch, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_rights_is_told_what_is_missing() {
    let config = config();
    let foreign = foreign().await;
    foreign
        .batch_execute(&format!("CREATE ROLE role_{} LOGIN", config.schema))
        .await
        .unwrap();
    let user = Config {
        url: server()
            .url()
            .replace("postgres@", &format!("role_{}@", config.schema)),
        ..config.clone()
    };
    let refused = Postgres::open(user.clone(), clock(), Arc::new(SystemChance)).await;
    let message = refused.err().expect("it may not make a schema").to_string();
    assert!(
        message.contains("permission denied") && message.contains("right to create"),
        "{message}"
    );
    // With the right to create, and nothing else, everything works.
    foreign
        .batch_execute(&format!(
            "GRANT CREATE ON DATABASE postgres TO role_{}",
            config.schema
        ))
        .await
        .unwrap();
    let store = open(&user, &clock()).await;
    let batch = Batch::new(BatchId(1))
        .put(key("k"), "v")
        .append(LogId(1), Shard(0), "", "r");
    assert!(store.commit(batch).await.unwrap().is_committed());
    store.close().await.unwrap();
}

/// A dump that is restored elsewhere brings versions and positions that the other cluster's ids are below: they go on above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_from_another_cluster_goes_on_above_what_it_brought() {
    let config = config();
    let store = open(&config, &clock()).await;
    let batch = |id: u128| {
        Batch::new(BatchId(id))
            .put(key("k"), "v")
            .append(LogId(1), Shard(0), "", id.to_string())
    };
    let before = store.commit(batch(1)).await.unwrap().committed().unwrap();
    store.close().await.unwrap();
    // As it would look there: of another cluster, with ids from far ahead.
    let far = 1u64 << 40;
    foreign()
        .await
        .batch_execute(&format!(
            "SET search_path = {}; UPDATE lease SET cluster = 1, seen = seen + {far};
             UPDATE rows SET version = version + {far}; UPDATE journal SET xid = xid + {far}",
            config.schema
        ))
        .await
        .unwrap();
    let store = open(&config, &clock()).await;
    let after = store.commit(batch(2)).await.unwrap().committed().unwrap();
    assert!(after.version.to_u64() > before.version.to_u64() + far);
    store.catch_up().await;
    let records = store
        .read_log(LogId(1), Shard(0), Position::START, 10, 1_000)
        .await
        .unwrap();
    let values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
    assert_eq!(values, ["1", "2"]);
    // And stays so.
    store.close().await.unwrap();
    let store = open(&config, &clock()).await;
    let last = store.commit(batch(3)).await.unwrap().committed().unwrap();
    assert!(last.version > after.version);
}

/// A batch with more keys than locks passes alone, and is in order with those that lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_batches_and_small_ones_exclude_each_other() {
    let config = config();
    let store = Arc::new(open(&config, &clock()).await);
    let mut all = tokio::task::JoinSet::new();
    for writer in 0..6u128 {
        let store = store.clone();
        all.spawn(async move {
            for n in 0..10u128 {
                loop {
                    let entry = store.get(&key("count")).await.unwrap();
                    let count: u64 = entry.as_ref().map_or(0, |entry| {
                        std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
                    });
                    let id = BatchId(SystemChance.next_u128());
                    let mut batch = Batch::new(id)
                        .expect(key("count"), aloft_store::Expect::of(entry.as_ref()))
                        .put(key("count"), (count + 1).to_string());
                    if writer % 2 == 0 {
                        for other in 0..100 {
                            batch = batch.put(key(&format!("{writer}/{n}/{other}")), "");
                        }
                    }
                    if store.commit(batch).await.unwrap().is_committed() {
                        break;
                    }
                }
            }
        });
    }
    all.join_all().await;
    assert_eq!(store.get(&key("count")).await.unwrap().unwrap().value, "60");
}
