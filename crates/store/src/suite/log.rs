//! Logs: order, limits, trimming.

use super::{Subject, batch, commit};
use crate::{Error, LogId, Position, Record, Shard};

const LOG: LogId = LogId(5);

fn values(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| String::from_utf8(record.value.to_vec()).unwrap())
        .collect()
}

/// Records come in the order of commits and within a batch in its order; shards and logs are apart; any cursor reads on.
pub async fn a_log_keeps_the_order_of_commits(subject: &mut dyn Subject) {
    let store = subject.store();
    let mut committed = Vec::new();
    for n in 0..5 {
        let both =
            batch()
                .append(LOG, Shard(0), "k", format!("{n}a"))
                .append(LOG, Shard(0), "k", format!("{n}b"));
        let elsewhere =
            both.append(LOG, Shard(1), "k", format!("other{n}"))
                .append(LogId(6), Shard(0), "k", "another");
        committed.push(commit(&store, elsewhere).await.position);
    }
    drop(store);
    subject.restart(false).await;
    subject.catch_up().await;
    let store = subject.store();
    let all = store
        .read_log(LOG, Shard(0), Position::START, 100, 1_000)
        .await
        .unwrap();
    assert_eq!(
        values(&all),
        ["0a", "0b", "1a", "1b", "2a", "2b", "3a", "3b", "4a", "4b"]
    );
    assert!(all.is_sorted_by(|one, next| one.position < next.position));
    for (at, record) in all.iter().enumerate() {
        let rest = store
            .read_log(LOG, Shard(0), record.position, 3, 1_000)
            .await
            .unwrap();
        assert_eq!(rest, all[at + 1..(at + 4).min(all.len())]);
        let stored = Position::from_bytes(&record.position.to_bytes()).unwrap();
        assert_eq!(stored, record.position);
    }
    for (n, position) in committed.into_iter().enumerate() {
        let later = store.read_log(LOG, Shard(0), position, 100, 1_000).await.unwrap();
        assert_eq!(
            later,
            all[2 * (n + 1)..],
            "a commit's position lies after its own records"
        );
    }
    let few = store
        .read_log(LOG, Shard(0), Position::START, 100, 7)
        .await
        .unwrap();
    assert_eq!(
        values(&few),
        ["0a", "0b"],
        "two records of three bytes each fit in seven"
    );
    let one = store
        .read_log(LOG, Shard(0), Position::START, 100, 1)
        .await
        .unwrap();
    assert_eq!(values(&one), ["0a"], "one is given however large");
    assert_eq!(
        store
            .read_log(LOG, Shard(2), Position::START, 9, 9)
            .await
            .unwrap(),
        []
    );
}

/// What was trimmed is gone, and a reader that stood before it is told up to where.
pub async fn a_trimmed_log_says_so(subject: &mut dyn Subject) {
    let store = subject.store();
    for n in 0..10 {
        commit(&store, batch().append(LOG, Shard(0), "k", n.to_string())).await;
    }
    subject.catch_up().await;
    let read = |after| store.read_log(LOG, Shard(0), after, 100, 1_000);
    let all = read(Position::START).await.unwrap();
    store.trim_log(LOG, Shard(0), all[4].position).await.unwrap();
    store.trim_log(LOG, Shard(0), all[2].position).await.unwrap();
    assert_eq!(
        values(&read(Position::START).await.unwrap()),
        ["5", "6", "7", "8", "9"]
    );
    assert_eq!(read(all[4].position).await.unwrap(), all[5..]);
    match read(all[3].position).await {
        Err(Error::Trimmed { through, .. }) => assert_eq!(through, all[4].position),
        other => panic!("{other:?}"),
    }
    store.trim_log(LOG, Shard(0), Position::END).await.unwrap();
    assert_eq!(read(Position::START).await.unwrap(), []);
    assert_eq!(read(all[9].position).await.unwrap(), []);
    let next = commit(&store, batch().append(LOG, Shard(0), "k", "10")).await;
    subject.catch_up().await;
    assert_eq!(
        values(&read(all[9].position).await.unwrap()),
        ["10"],
        "a log that was emptied goes on"
    );
    drop(store);

    subject.restart(true).await;
    let store = subject.store();
    let records = store
        .read_log(LOG, Shard(0), Position::START, 100, 1_000)
        .await
        .unwrap();
    assert_eq!(values(&records), ["10"]);
    assert!(records[0].position <= next.position);
}
