//! Snapshots: one point, thirty seconds, pages both ways.

use std::time::Duration;

use super::{Subject, batch, commit, key};
use crate::{Batch, Direction, Error, KeyRange, MAX_PAGE_BYTES, MAX_SNAPSHOT_AGE, Page};

/// What is committed later is not in a snapshot, in whole or in part.
pub async fn a_snapshot_stays_as_it_is(subject: &mut dyn Subject) {
    let store = subject.store();
    commit(
        &store,
        batch().put(key("a"), "1").put(key("b"), "1").put(key("c"), "1"),
    )
    .await;
    let snapshot = store.snapshot().await.unwrap();
    commit(
        &store,
        batch().put(key("a"), "2").delete(key("b")).put(key("d"), "2"),
    )
    .await;
    let later = store.snapshot().await.unwrap();
    commit(&store, batch().delete(key("a")).delete(key("c")).delete(key("d"))).await;

    let seen = |page: Page| -> Vec<String> {
        let show = |e: crate::Entry| format!("{}{}", e.key.as_ref().escape_ascii(), e.value.escape_ascii());
        page.entries.into_iter().map(show).collect()
    };
    let all = KeyRange::prefix(b"");
    let (forward, many) = (Direction::Forward, 100);
    assert_eq!(
        seen(snapshot.scan(&all, forward, many).await.unwrap()),
        ["a1", "b1", "c1"]
    );
    assert_eq!(
        seen(later.scan(&all, forward, many).await.unwrap()),
        ["a2", "c1", "d2"]
    );
    let now = store.snapshot().await.unwrap();
    assert_eq!(now.scan(&all, forward, many).await.unwrap(), Page::default());
    assert_eq!(snapshot.get(&key("b")).await.unwrap().unwrap().value, "1");
    assert_eq!(later.get(&key("b")).await.unwrap(), None);
    assert_eq!(later.get(&key("a")).await.unwrap().unwrap().value, "2");

    // What only the older one needed may go; what the later one needs stays.
    drop(snapshot);
    commit(&store, batch().put(key("a"), "3").put(key("c"), "3")).await;
    commit(&store, batch().delete(key("a"))).await;
    let page = later.scan(&all, forward, many).await.unwrap();
    assert_eq!(seen(page), ["a2", "c1", "d2"]);
}

/// A snapshot that is too old fails clearly; a new one reads on.
pub async fn a_snapshot_ends_after_thirty_seconds(subject: &mut dyn Subject) {
    let store = subject.store();
    commit(&store, batch().put(key("a"), "1")).await;
    let snapshot = store.snapshot().await.unwrap();
    subject.clock().advance(MAX_SNAPSHOT_AGE);
    assert!(snapshot.get(&key("a")).await.unwrap().is_some());
    subject.clock().advance(Duration::from_millis(1));
    let read = snapshot.get(&key("a")).await;
    assert!(matches!(read, Err(Error::SnapshotExpired)), "{read:?}");
    let scanned = snapshot.scan(&KeyRange::prefix(b""), Direction::Forward, 1).await;
    assert!(matches!(scanned, Err(Error::SnapshotExpired)), "{scanned:?}");
    assert!(
        store
            .snapshot()
            .await
            .unwrap()
            .get(&key("a"))
            .await
            .unwrap()
            .is_some()
    );
}

/// Pages join to the whole range, in both directions, and end at four mebibytes.
pub async fn scans_go_both_ways_and_in_pages(subject: &mut dyn Subject) {
    let store = subject.store();
    let names: Vec<String> = (0..25).map(|n| format!("k{n:02}")).collect();
    let outside = batch().put(key("j"), "").put(key("l"), "");
    commit(
        &store,
        names
            .iter()
            .fold(outside, |batch, name| batch.put(key(name), name.clone())),
    )
    .await;
    let snapshot = store.snapshot().await.unwrap();
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in [1, 7, 25, 26] {
            let (mut range, mut found) = (KeyRange::prefix(b"k"), Vec::new());
            loop {
                let page = snapshot.scan(&range, direction, limit).await.unwrap();
                assert!(page.entries.len() == limit || !page.more);
                let last = page.entries.last().map(|entry| entry.key.clone());
                found.extend(
                    page.entries
                        .into_iter()
                        .map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()),
                );
                range = match (page.more, direction) {
                    (false, _) => break,
                    (true, Direction::Forward) => range.after(&last.unwrap()),
                    (true, Direction::Backward) => range.before(&last.unwrap()),
                };
            }
            if direction == Direction::Backward {
                found.reverse();
            }
            assert_eq!(found, names, "{direction:?}, {limit} at a time");
        }
    }
    let nothing = snapshot
        .scan(&KeyRange::prefix(b"k").after(&key("z")), Direction::Forward, 5)
        .await
        .unwrap();
    assert_eq!(nothing, Page::default());

    let large = vec![7u8; 1 << 20];
    let put = |batch: Batch, n: u8| batch.put(key(&format!("large{n}")), large.clone());
    commit(&store, (0..6).fold(batch(), put)).await;
    let page = store
        .snapshot()
        .await
        .unwrap()
        .scan(&KeyRange::prefix(b"large"), Direction::Forward, 100)
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.more), (MAX_PAGE_BYTES >> 20, true));
}
