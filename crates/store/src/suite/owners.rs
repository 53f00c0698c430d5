//! Two owners of one store: one that was taken for dead and goes on, and the one that came after it.

use std::time::Duration;

use super::{Subject, batch, commit, key, task, value};
use crate::{Error, Expect, Lane, Lease, LogId, Outcome, Partition, Position, Shard};

const LANE: Lane = Lane(3);
const SECOND: Duration = Duration::from_secs(1);

/// Whoever is taken over while it was away changes nothing any more, and its tokens are lost to the new owner too.
pub async fn a_paused_owner_changes_nothing_after_a_takeover(subject: &mut dyn Subject) {
    let partition = Partition(5);
    let store = subject.store();
    let epoch = store.take_over(partition).await.unwrap();
    let enqueue = batch()
        .enqueue(task(subject, LANE, 1))
        .enqueue(task(subject, LANE, 2));
    commit(&store, enqueue.fence(partition, epoch)).await;
    let held = store.receive(LANE, 1, 60 * SECOND).await.unwrap().remove(0);
    let seen = commit(&store, batch().put(key("seen"), "1")).await;
    drop(store);

    let Some(former) = subject.take_over().await else {
        // One process alone can hold such a store: a former owner cannot be.
        return;
    };
    let store = subject.store();
    let again = store.take_over(partition).await.unwrap();
    assert!(again > epoch);
    // The former owner wakes and goes on as if nothing had been.
    let late = [
        batch().put(key("late"), "1"),
        batch().fence(partition, epoch).put(key("late"), "2"),
        batch().settle(held.token.clone()).put(key("late"), "3"),
        batch().append(LogId(1), Shard(0), "late", "4"),
        batch().enqueue(task(subject, LANE, 9)),
        batch()
            .expect(key("seen"), Expect::Version(seen.version))
            .put(key("seen"), "late"),
    ];
    for batch in late {
        let refused = former.commit(batch.clone()).await;
        assert!(
            matches!(
                refused,
                Err(Error::Superseded { .. } | Error::Closed | Error::Poisoned(_))
            ),
            "{batch:?}: {refused:?}"
        );
    }
    assert!(former.take_over(partition).await.is_err());
    // What its memory still gives it can be settled by nobody but the new owner.
    if let Ok(claims) = former.receive(LANE, 10, SECOND).await {
        for claim in claims {
            assert!(former.commit(batch().settle(claim.token)).await.is_err());
        }
    }
    drop(former);

    assert_eq!(value(&store, &key("late")).await, None);
    assert_eq!(value(&store, &key("seen")).await.unwrap(), "1");
    subject.catch_up().await;
    let records = store
        .read_log(LogId(1), Shard(0), Position::START, 10, 1_000)
        .await;
    assert_eq!(records.unwrap(), []);
    // A token of a past epoch is lost, and a fence of one holds nothing.
    assert_eq!(store.extend(&held.token, SECOND).await.unwrap(), Lease::Lost);
    assert_eq!(store.release(held.token.clone()).await.unwrap(), Lease::Lost);
    let settle = batch().settle(held.token.clone());
    assert_eq!(store.commit(settle).await.unwrap(), Outcome::Lost(held.token));
    let fenced = batch().fence(partition, epoch).put(key("fenced"), "");
    assert_eq!(store.commit(fenced).await.unwrap(), Outcome::Fenced(partition));
    let claims = store.receive(LANE, 10, SECOND).await.unwrap();
    let seen: Vec<_> = claims.iter().map(|c| (c.task.id.0, c.task.attempts)).collect();
    assert_eq!(
        seen,
        [(1, 1), (2, 1)],
        "a takeover counts as an attempt of all that was due"
    );
}
