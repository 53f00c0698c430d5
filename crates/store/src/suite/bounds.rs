//! Bounds: what is too large or makes no sense is refused by a message with the figure, and nothing is changed.

use std::time::Duration;

use bytes::Bytes;

use super::{Subject, batch, commit, key, task, value};
use crate::{
    Batch, Enqueue, Error, Expect, Key, Lane, LogId, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS,
    MAX_VALUE_BYTES, MAX_VISIBLE, Position, Shard, Token,
};

/// At each bound it works, one beyond it is refused.
pub async fn bounds_are_refused_and_nothing_changes(subject: &mut dyn Subject) {
    keys();
    let store = subject.store();
    let (lane, a) = (Lane(1), key("a"));
    let largest = Bytes::from(vec![1; MAX_VALUE_BYTES]);
    let larger = Bytes::from(vec![1; MAX_VALUE_BYTES + 1]);
    let body = |body: &Bytes| Enqueue {
        body: body.clone(),
        ..task(subject, lane, 1)
    };
    let claimed = |time| Enqueue {
        claimed: Some(time),
        ..task(subject, lane, 2)
    };
    let records = |count: usize, len: usize| {
        let value = Bytes::from(vec![2; len]);
        (0..count).fold(batch(), |batch, _| {
            batch.append(LogId(1), Shard(0), "", value.clone())
        })
    };
    let (full, rest) = (MAX_BATCH_BYTES >> 20, MAX_BATCH_BYTES & ((1 << 20) - 1));
    assert_eq!(rest, 0, "the batch's bound is whole mebibytes");
    let token = Token::new(lane, 0, 0);
    let bad: Vec<(Batch, &str)> = vec![
        (
            batch().put(a.clone(), larger.clone()),
            "1114113 bytes, at most 1114112",
        ),
        (
            batch().append(LogId(1), Shard(0), "", larger.clone()),
            "1114113 bytes, at most 1114112",
        ),
        (batch().enqueue(body(&larger)), "1114113 bytes, at most 1114112"),
        (records(full, 1 << 20), "16777224 bytes, at most 16777216"),
        (records(MAX_OPERATIONS, 0), "10001 operations, at most 10000"),
        (
            batch().append(LogId(1), Shard(0), vec![0; MAX_KEY_BYTES + 1], ""),
            "2401 bytes, 1 to 2400",
        ),
        (batch().expect(a.clone(), Expect::Absent), "does not put the key"),
        (
            batch().expect(a.clone(), Expect::Absent).delete(a.clone()),
            "does not put the key",
        ),
        (batch().put(a.clone(), "1").delete(a.clone()), "twice"),
        (batch().put(a.clone(), "1").put(a.clone(), "2"), "twice"),
        (
            batch()
                .put(a.clone(), "1")
                .expect(a.clone(), Expect::Absent)
                .expect(a.clone(), Expect::Absent),
            "twice",
        ),
        (batch().settle(token.clone()).settle(token), "twice"),
        (
            batch().enqueue(claimed(MAX_VISIBLE + Duration::from_secs(1))),
            "at most 43200 s, not 43201 s",
        ),
    ];
    // The witness adds one operation and eight bytes to each.
    for (batch, reason) in bad {
        let refused = store.commit(batch.put(key("witness"), "1")).await;
        let message = refused.expect_err(reason).to_string();
        assert!(message.contains(reason), "{message:?} does not say {reason:?}");
    }
    assert_eq!(value(&store, &key("witness")).await, None);
    assert_eq!(value(&store, &a).await, None);
    assert_eq!(
        store
            .read_log(LogId(1), Shard(0), Position::START, 1, 1)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.next_due(lane).await.unwrap(), None);

    commit(
        &store,
        batch().put(a.clone(), largest.clone()).enqueue(body(&largest)),
    )
    .await;
    assert_eq!(value(&store, &a).await.unwrap(), largest);
    commit(&store, records(full, 1 << 20)).await;
    commit(&store, records(MAX_OPERATIONS, 0)).await;
    let visible = store.receive(lane, 1, MAX_VISIBLE + Duration::from_secs(1)).await;
    assert!(matches!(visible, Err(Error::VisibleTooLong(_))), "{visible:?}");
    assert_eq!(
        store.receive(lane, 1, MAX_VISIBLE).await.unwrap()[0].task.body,
        largest
    );
}

fn keys() {
    assert!(Key::new(vec![0; MAX_KEY_BYTES]).is_ok());
    assert!(Key::new(vec![0]).is_ok());
    for bad in [0, MAX_KEY_BYTES + 1] {
        let message = Key::new(vec![0; bad]).unwrap_err().to_string();
        assert!(message.contains(&format!("{bad} bytes, 1 to 2400")), "{message}");
    }
}
