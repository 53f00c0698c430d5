//! Work: due times, tokens, lapses, retries, restarts.

use std::time::Duration;

use aloft_base::Clock;

use super::{Subject, batch, commit, key, task};
use crate::{Claim, Enqueue, Error, Lane, Lease, MAX_CLAIMS, Outcome, TaskId};

const LANE: Lane = Lane(3);
const SECOND: Duration = Duration::from_secs(1);

async fn receive(subject: &dyn Subject, max: usize) -> Vec<Claim> {
    subject.store().receive(LANE, max, 10 * SECOND).await.unwrap()
}

fn ids(claims: &[Claim]) -> Vec<u128> {
    claims.iter().map(|claim| claim.task.id.0).collect()
}

/// Tasks come when they are due, the longest due first, each to one receiver, and the store says when to look again.
pub async fn tasks_come_when_due(subject: &mut dyn Subject) {
    let (store, now) = (subject.store(), subject.clock().now());
    let at = |number, due| Enqueue {
        due,
        ..task(subject, LANE, number)
    };
    assert_eq!(store.next_due(LANE).await.unwrap(), None);
    commit(
        &store,
        batch()
            .enqueue(at(1, now + 5 * SECOND))
            .enqueue(at(2, now))
            .enqueue(at(3, now)),
    )
    .await;
    commit(
        &store,
        batch()
            .enqueue(at(4, now - SECOND))
            .enqueue(at(5, now + 2 * SECOND)),
    )
    .await;
    let first = receive(subject, 2).await;
    assert_eq!(ids(&first), [4, 2]);
    assert_eq!(store.receive(Lane(4), 10, SECOND).await.unwrap(), []);
    assert_eq!(ids(&receive(subject, 10).await), [3]);
    assert_eq!(receive(subject, 10).await, []);
    assert_eq!(store.next_due(LANE).await.unwrap(), Some(now + 2 * SECOND));
    subject.clock().advance(2 * SECOND);
    assert_eq!(ids(&receive(subject, 10).await), [5]);
    assert_eq!(store.next_due(LANE).await.unwrap(), Some(now + 5 * SECOND));
    subject.clock().advance(3 * SECOND);
    let last = receive(subject, 10).await;
    assert_eq!(ids(&last), [1]);
    assert_eq!(
        (last[0].task.lane, last[0].task.due, last[0].task.attempts),
        (LANE, now + 5 * SECOND, 0)
    );
    assert_eq!(last[0].task.body, "1");
    let next = store.next_due(LANE).await.unwrap().expect("claims lapse");
    assert!(next >= now + 10 * SECOND && next <= now + 11 * SECOND, "{next}");
}

/// A token settles its task once, with whatever else is in the batch; after that, and after a release, it is lost.
pub async fn tokens_are_good_once(subject: &mut dyn Subject) {
    let store = subject.store();
    for number in 1..=3 {
        commit(&store, batch().enqueue(task(subject, LANE, number))).await;
    }
    let claims = receive(subject, 3).await;
    let [one, two, three] = [0, 1, 2].map(|n: usize| claims[n].token.clone());

    commit(&store, batch().settle(one.clone()).put(key("done"), "1")).await;
    let again = batch().settle(one.clone()).put(key("done"), "2");
    assert_eq!(store.commit(again).await.unwrap(), Outcome::Lost(one.clone()));
    let mixed = batch().settle(two.clone()).settle(one.clone());
    assert_eq!(store.commit(mixed).await.unwrap(), Outcome::Lost(one.clone()));
    assert_eq!(store.get(&key("done")).await.unwrap().unwrap().value, "1");
    assert_eq!(store.extend(&one, SECOND).await.unwrap(), Lease::Lost);
    assert_eq!(store.release(one).await.unwrap(), Lease::Lost);

    assert_eq!(store.release(two.clone()).await.unwrap(), Lease::Held);
    assert_eq!(store.release(two.clone()).await.unwrap(), Lease::Lost);
    assert_eq!(
        store.commit(batch().settle(two.clone())).await.unwrap(),
        Outcome::Lost(two)
    );
    let back = receive(subject, 3).await;
    assert_eq!(
        (ids(&back), back[0].task.attempts),
        (vec![2], 0),
        "a release is no attempt"
    );

    let copied = crate::Token::from_bytes(&three.to_bytes()).unwrap();
    commit(&store, batch().settle(copied)).await;
    commit(&store, batch().settle(back[0].token.clone())).await;
    subject.clock().advance(100 * SECOND);
    assert_eq!(receive(subject, 3).await, []);
    assert_eq!(store.next_due(LANE).await.unwrap(), None);
}

/// A claim that is not extended lapses: its token is lost, the task is due again and counts an attempt more.
pub async fn a_claim_lapses_and_counts(subject: &mut dyn Subject) {
    let store = subject.store();
    commit(&store, batch().enqueue(task(subject, LANE, 1))).await;
    let first = receive(subject, 1).await.remove(0);
    subject.clock().advance(9 * SECOND);
    assert_eq!(
        store.extend(&first.token, 10 * SECOND).await.unwrap(),
        Lease::Held
    );
    subject.clock().advance(9 * SECOND);
    assert_eq!(receive(subject, 1).await, []);
    subject.clock().advance(SECOND);
    let second = receive(subject, 1).await.remove(0);
    assert_eq!((second.task.id, second.task.attempts), (TaskId(1), 1));
    assert_eq!(store.extend(&first.token, SECOND).await.unwrap(), Lease::Lost);
    let late = batch().settle(first.token.clone()).put(key("late"), "");
    assert_eq!(store.commit(late).await.unwrap(), Outcome::Lost(first.token));
    assert_eq!(store.get(&key("late")).await.unwrap(), None);

    // Lapsed is lost, also while nobody else has taken the task.
    subject.clock().advance(10 * SECOND);
    let lapsed = batch().settle(second.token.clone());
    assert_eq!(store.commit(lapsed).await.unwrap(), Outcome::Lost(second.token));
    let third = receive(subject, 1).await.remove(0);
    assert_eq!(third.task.attempts, 2);
    commit(&store, batch().settle(third.token)).await;
}

/// A retry is one batch; a task may be enqueued as claimed, and its token is good at once.
pub async fn a_retry_is_one_commit(subject: &mut dyn Subject) {
    let store = subject.store();
    let claimed = Enqueue {
        claimed: Some(10 * SECOND),
        ..task(subject, LANE, 1)
    };
    let accepted = commit(&store, batch().enqueue(task(subject, LANE, 9)).enqueue(claimed)).await;
    let [token] = accepted.tokens.as_slice() else {
        panic!("one task is claimed: {accepted:?}");
    };
    assert_eq!(
        ids(&receive(subject, 10).await),
        [9],
        "a claimed task goes to nobody else"
    );
    let retry = Enqueue {
        due: subject.clock().now() + 4 * SECOND,
        attempts: 1,
        ..task(subject, LANE, 1)
    };
    commit(&store, batch().settle(token.clone()).enqueue(retry)).await;
    assert_eq!(receive(subject, 10).await, []);
    subject.clock().advance(4 * SECOND);
    let again = receive(subject, 10).await;
    assert_eq!((ids(&again), again[0].task.attempts), (vec![1], 1));
}

/// Tokens end with the owner's life. An unclean restart charges what was due by then, a clean one charges nothing.
pub async fn restarts_lose_tokens_and_count(subject: &mut dyn Subject) {
    let later = |subject: &dyn Subject, number| Enqueue {
        due: subject.clock().now() + 60 * SECOND,
        ..task(subject, LANE, number)
    };
    let enqueue = batch()
        .enqueue(task(subject, LANE, 1))
        .enqueue(task(subject, LANE, 2))
        .enqueue(later(subject, 3));
    commit(&subject.store(), enqueue).await;
    let held = receive(subject, 1).await.remove(0);
    subject.restart(true).await;
    let store = subject.store();
    assert_eq!(store.extend(&held.token, SECOND).await.unwrap(), Lease::Lost);
    assert_eq!(
        store.commit(batch().settle(held.token.clone())).await.unwrap(),
        Outcome::Lost(held.token)
    );
    let claims = receive(subject, 10).await;
    assert_eq!(
        claims
            .iter()
            .map(|c| (c.task.id.0, c.task.attempts))
            .collect::<Vec<_>>(),
        [(1, 0), (2, 0)]
    );
    drop(store);

    subject.restart(false).await;
    // Enqueued after the restart with a time before it: it was not there to be charged.
    let past = Enqueue {
        due: subject.clock().now() - SECOND,
        ..task(subject, LANE, 4)
    };
    commit(&subject.store(), batch().enqueue(past)).await;
    subject.restart(true).await;
    subject.clock().advance(60 * SECOND);
    let claims = receive(subject, 10).await;
    let seen: Vec<_> = claims.iter().map(|c| (c.task.id.0, c.task.attempts)).collect();
    assert_eq!(seen, [(4, 0), (1, 1), (2, 1), (3, 0)]);
    for claim in claims {
        commit(&subject.store(), batch().settle(claim.token)).await;
    }
    subject.restart(false).await;
    subject.clock().advance(60 * SECOND);
    assert_eq!(receive(subject, 10).await, []);
}

/// More tasks than a window holds are given in order, each once, also when some are added before those already read.
pub async fn a_lane_of_many_tasks_is_emptied_in_order(subject: &mut dyn Subject) {
    const MANY: u64 = 5_000;
    let now = subject.clock().now();
    let at = |number: u64, due| Enqueue {
        due,
        ..task(subject, LANE, number)
    };
    let store = subject.store();
    // The lane is looked at while it is empty, so that its owner holds all of it and must let go of what is too much.
    assert_eq!(store.next_due(LANE).await.unwrap(), None);
    for chunk in 0..5 {
        let numbers = chunk * MANY / 5..(chunk + 1) * MANY / 5;
        let due = |number| now - Duration::from_millis(MANY - number);
        let enqueue = numbers.fold(batch(), |batch, number| batch.enqueue(at(number, due(number))));
        commit(&store, enqueue).await;
    }
    let mut seen = Vec::new();
    let mut early = 0;
    while seen.len() < MANY as usize + early {
        let claims = receive(subject, 300).await;
        assert!(!claims.is_empty(), "{} of {MANY} came", seen.len());
        seen.extend(ids(&claims));
        let settle = claims
            .into_iter()
            .fold(batch(), |batch, claim| batch.settle(claim.token));
        if seen.len() % 900 == 0 {
            early += 1;
            let settle = settle.enqueue(at(MANY + early as u64, now - 100 * SECOND));
            commit(&store, settle).await;
            let first = receive(subject, 1).await;
            assert_eq!(
                ids(&first),
                [u128::from(MANY) + early as u128],
                "what is longest due comes first"
            );
            seen.extend(ids(&first));
            commit(&store, batch().settle(first[0].token.clone())).await;
        } else {
            commit(&store, settle).await;
        }
    }
    assert_eq!(receive(subject, 1).await, []);
    let ordered: Vec<u128> = seen.iter().copied().filter(|id| *id < MANY.into()).collect();
    assert_eq!(ordered, (0..u128::from(MANY)).collect::<Vec<_>>());
    // One that lies before all that was settled is found again after a restart, and nothing else is.
    commit(&store, batch().enqueue(at(2 * MANY, now - 200 * SECOND))).await;
    drop(store);
    subject.restart(false).await;
    let left = receive(subject, 10).await;
    assert_eq!(ids(&left), [2 * u128::from(MANY)]);
    commit(&subject.store(), batch().settle(left[0].token.clone())).await;
    assert_eq!(subject.store().next_due(LANE).await.unwrap(), None);
}

/// There may be many lanes; what is remembered of the idle ones is bounded, and none loses a task by being forgotten.
pub async fn many_lanes_lose_nothing(subject: &mut dyn Subject) {
    const LANES: u64 = 6_000;
    let store = subject.store();
    let due = subject.clock().now();
    for round in 0..2u64 {
        for chunk in 0..LANES / 1_000 {
            let claimed = |lane| Enqueue {
                due: due - round as u32 * SECOND,
                claimed: Some(SECOND),
                ..task(subject, Lane(lane), lane)
            };
            let lanes = chunk * 1_000..(chunk + 1) * 1_000;
            let tokens = commit(
                &store,
                lanes.fold(batch(), |batch, lane| batch.enqueue(claimed(lane))),
            )
            .await
            .tokens;
            commit(
                &store,
                tokens
                    .into_iter()
                    .fold(batch(), |batch, token| batch.settle(token)),
            )
            .await;
        }
    }
    for lane in (0..LANES).step_by(500) {
        assert_eq!(store.receive(Lane(lane), 1, SECOND).await.unwrap(), []);
        let early = Enqueue {
            due: due - 9 * SECOND,
            ..task(subject, Lane(lane), lane + LANES)
        };
        commit(&store, batch().enqueue(early)).await;
    }
    drop(store);
    subject.restart(true).await;
    for lane in 0..LANES {
        let claims = subject.store().receive(Lane(lane), 9, SECOND).await.unwrap();
        let expected: &[u128] = if lane % 500 == 0 {
            &[u128::from(lane + LANES)]
        } else {
            &[]
        };
        assert_eq!(ids(&claims), expected, "lane {lane}");
    }
}

/// So many tasks may be claimed and no more: an enqueuer that wants a claim is told, a receiver waits for room.
pub async fn claims_have_a_bound(subject: &mut dyn Subject) {
    let store = subject.store();
    let claimed = |number| Enqueue {
        claimed: Some(10 * SECOND),
        ..task(subject, LANE, number)
    };
    let mut tokens = Vec::new();
    while tokens.len() < MAX_CLAIMS {
        let count = (MAX_CLAIMS - tokens.len()).min(crate::MAX_OPERATIONS) as u64;
        let enqueue = (0..count).fold(batch(), |batch, number| batch.enqueue(claimed(number)));
        tokens.extend(commit(&store, enqueue).await.tokens);
    }
    let more = batch().enqueue(claimed(1)).put(key("more"), "");
    let refused = store.commit(more.clone()).await;
    assert!(
        matches!(refused, Err(Error::TooManyClaims(MAX_CLAIMS))),
        "{refused:?}"
    );
    assert_eq!(store.get(&key("more")).await.unwrap(), None);
    commit(&store, batch().enqueue(task(subject, Lane(9), 7))).await;
    assert_eq!(store.receive(Lane(9), 5, SECOND).await.unwrap(), []);
    commit(&store, batch().settle(tokens.remove(0))).await;
    assert_eq!(store.receive(Lane(9), 5, SECOND).await.unwrap().len(), 1);
    assert!(store.commit(more.clone()).await.is_err());
    // Lapsed claims count on until they are settled, because how often they lapsed is remembered.
    subject.clock().advance(10 * SECOND);
    let again = receive(subject, 5).await;
    assert_eq!(
        again.iter().map(|claim| claim.task.attempts).collect::<Vec<_>>(),
        [1; 5]
    );
    let refused = store.commit(more.clone()).await;
    assert!(
        matches!(refused, Err(Error::TooManyClaims(MAX_CLAIMS))),
        "{refused:?}"
    );
    commit(&store, batch().settle(again[0].token.clone())).await;
    commit(&store, more).await;
}
