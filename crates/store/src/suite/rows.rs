//! Rows: expectations, versions, atomicity, fences, and batches that come twice.

use super::{Subject, batch, commit, key, task, value};
use crate::{Epoch, Expect, Lane, LogId, Outcome, Partition, Position, Shard, Version};

/// Only what is as expected is changed, and who expected something else is told which key.
pub async fn expectations_hold_or_conflict(subject: &mut dyn Subject) {
    let store = subject.store();
    let (a, b) = (key("a"), key("b"));
    let first = commit(
        &store,
        batch().expect(a.clone(), Expect::Absent).put(a.clone(), "1"),
    )
    .await;
    assert_eq!(store.get(&a).await.unwrap().unwrap().version, first.version);

    let again = batch()
        .expect(a.clone(), Expect::Absent)
        .put(a.clone(), "2")
        .put(b.clone(), "2");
    assert_eq!(store.commit(again).await.unwrap(), Outcome::Conflict(a.clone()));
    let missing = batch()
        .put(a.clone(), "2")
        .expect(b.clone(), Expect::Version(first.version));
    assert_eq!(store.commit(missing).await.unwrap(), Outcome::Conflict(b.clone()));
    assert_eq!(
        (value(&store, &a).await.unwrap().as_ref(), value(&store, &b).await),
        (&b"1"[..], None)
    );

    let held = batch()
        .expect(a.clone(), Expect::Version(first.version))
        .put(a.clone(), "2");
    let second = commit(&store, held.clone()).await;
    assert!(second.version > first.version);
    let stale = held
        .operations()
        .iter()
        .cloned()
        .fold(batch(), crate::Batch::with);
    assert_eq!(store.commit(stale).await.unwrap(), Outcome::Conflict(a.clone()));

    // A decision may rest on a key that it does not write.
    let reads = batch()
        .expect(a.clone(), Expect::Version(second.version))
        .put(b.clone(), "3");
    commit(&store, reads).await;
    let wrong = batch()
        .expect(a.clone(), Expect::Version(Version::from_u64(u64::MAX)))
        .delete(b.clone());
    assert_eq!(store.commit(wrong).await.unwrap(), Outcome::Conflict(a));
    assert_eq!(value(&store, &b).await.unwrap(), "3");
}

/// A version never comes back, so who read a key before it was deleted and made anew is told of it, also after a restart.
pub async fn versions_grow_across_deletion(subject: &mut dyn Subject) {
    let a = key("a");
    let mut versions = Vec::new();
    for round in 0..3 {
        let store = subject.store();
        for _ in 0..3 {
            versions.push(commit(&store, batch().put(a.clone(), "same")).await.version);
            commit(&store, batch().delete(a.clone())).await;
            assert_eq!(value(&store, &a).await, None);
        }
        drop(store);
        subject.restart(round % 2 == 0).await;
    }
    let store = subject.store();
    let last = commit(&store, batch().put(a.clone(), "same")).await.version;
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    for version in versions {
        assert!(version < last);
        let stale = batch()
            .expect(a.clone(), Expect::Version(version))
            .delete(a.clone());
        assert_eq!(store.commit(stale).await.unwrap(), Outcome::Conflict(a.clone()));
    }
}

/// A key that was deleted and made anew with the same value is another: a decision on the former one conflicts, whether it
/// expects the version or the absence in between.
pub async fn a_key_made_anew_is_not_mistaken(subject: &mut dyn Subject) {
    let store = subject.store();
    let a = key("a");
    let first = commit(&store, batch().put(a.clone(), "same")).await.version;
    commit(&store, batch().delete(a.clone())).await;
    let create = batch().expect(a.clone(), Expect::Absent).put(a.clone(), "same");
    let second = commit(&store, create).await.version;
    assert!(second > first);
    let on_former = batch()
        .expect(a.clone(), Expect::Version(first))
        .put(key("decided"), "on the former");
    assert_eq!(
        store.commit(on_former).await.unwrap(),
        Outcome::Conflict(a.clone())
    );
    let on_absence = batch().expect(a.clone(), Expect::Absent).put(a.clone(), "again");
    assert_eq!(
        store.commit(on_absence).await.unwrap(),
        Outcome::Conflict(a.clone())
    );
    assert_eq!(value(&store, &key("decided")).await, None);
    let on_this = batch()
        .expect(a.clone(), Expect::Version(second))
        .put(key("decided"), "on this");
    commit(&store, on_this).await;
    assert_eq!(value(&store, &key("decided")).await.unwrap(), "on this");
}

/// Rows, records and tasks of one batch are there together or not at all.
pub async fn a_batch_happens_whole_or_not_at_all(subject: &mut dyn Subject) {
    let store = subject.store();
    let (log, lane) = (LogId(1), Lane(1));
    let everything = |expect: Expect| {
        let batch = batch()
            .put(key("x"), "1")
            .put(key("y"), "1")
            .append(log, Shard(0), "x", "r");
        batch
            .enqueue(task(subject, lane, 1))
            .expect(key("guard"), expect)
            .put(key("guard"), "")
    };
    let refused = everything(Expect::Version(Version::from_u64(7)));
    assert_eq!(
        store.commit(refused).await.unwrap(),
        Outcome::Conflict(key("guard"))
    );
    let records = || store.read_log(log, Shard(0), Position::START, 10, 1_000);
    assert_eq!(value(&store, &key("x")).await, None);
    assert_eq!(records().await.unwrap(), []);
    assert_eq!(store.next_due(lane).await.unwrap(), None);

    let done = commit(&store, everything(Expect::Absent)).await;
    subject.catch_up().await;
    assert_eq!(store.get(&key("x")).await.unwrap().unwrap().version, done.version);
    assert_eq!(store.get(&key("y")).await.unwrap().unwrap().version, done.version);
    assert_eq!(records().await.unwrap().len(), 1);
    assert_eq!(
        store
            .receive(lane, 10, std::time::Duration::from_secs(1))
            .await
            .unwrap()
            .len(),
        1
    );
}

/// A batch that is handed over again is answered with its first outcome; one that was refused is decided anew.
pub async fn a_batch_is_remembered_by_its_id(subject: &mut dyn Subject) {
    let store = subject.store();
    let (a, log) = (key("a"), LogId(1));
    let create = batch()
        .expect(a.clone(), Expect::Absent)
        .put(a.clone(), "1")
        .append(log, Shard(0), "a", "1");
    let first = store.commit(create.clone()).await.unwrap();
    assert!(first.is_committed());
    commit(&store, batch().put(a.clone(), "2")).await;
    assert_eq!(store.commit(create).await.unwrap(), first);
    assert_eq!(value(&store, &a).await.unwrap(), "2");
    subject.catch_up().await;
    assert_eq!(
        store
            .read_log(log, Shard(0), Position::START, 10, 1_000)
            .await
            .unwrap()
            .len(),
        1
    );

    let refused = batch().expect(key("b"), Expect::Absent).put(key("b"), "1");
    commit(&store, batch().put(key("b"), "0")).await;
    assert_eq!(
        store.commit(refused.clone()).await.unwrap(),
        Outcome::Conflict(key("b"))
    );
    commit(&store, batch().delete(key("b"))).await;
    assert!(store.commit(refused).await.unwrap().is_committed());
}

/// Whoever lost a partition changes nothing any more, also across restarts.
pub async fn fences_hold(subject: &mut dyn Subject) {
    let store = subject.store();
    let partition = Partition(7);
    let write = |epoch| batch().fence(partition, epoch).put(key("owner"), "here");
    assert_eq!(
        store.commit(write(Epoch(99))).await.unwrap(),
        Outcome::Fenced(partition)
    );
    let first = store.take_over(partition).await.unwrap();
    commit(&store, write(first)).await;
    let second = store.take_over(partition).await.unwrap();
    assert!(second > first);
    assert_eq!(
        store.commit(write(first)).await.unwrap(),
        Outcome::Fenced(partition)
    );
    commit(&store, write(second)).await;
    drop(store);

    subject.restart(false).await;
    let store = subject.store();
    assert_eq!(
        store.commit(write(first)).await.unwrap(),
        Outcome::Fenced(partition)
    );
    commit(&store, write(second)).await;
    assert!(store.take_over(partition).await.unwrap() > second);
    let other = batch().fence(Partition(8), second).put(key("owner"), "there");
    assert_eq!(store.commit(other).await.unwrap(), Outcome::Fenced(Partition(8)));
}
