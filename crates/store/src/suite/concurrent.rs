//! Many at once: nothing is lost, skipped or decided on what was no longer so.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Subject, batch, key};
use crate::{Expect, Lane, LogId, Outcome, Position, Shard, Store};

const PATIENCE: Duration = Duration::from_secs(60);

async fn number(store: &Arc<dyn Store>, name: &str) -> (i64, Expect) {
    let entry = store.get(&key(name)).await.unwrap();
    let number = entry.as_ref().map_or(0, |entry| {
        std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
    });
    (number, Expect::of(entry.as_ref()))
}

/// Of many that create one key at once, one does; the others see it, also those decided in the same group.
pub async fn many_batches_on_one_key_see_each_other(subject: &mut dyn Subject) {
    let store = subject.store();
    for round in 0..10 {
        let name = key(&format!("once{round}"));
        let mut all = JoinSet::new();
        for n in 0..16 {
            let (store, name) = (store.clone(), name.clone());
            let create = batch()
                .expect(name.clone(), Expect::Absent)
                .put(name, n.to_string());
            all.spawn(async move { (n, store.commit(create).await.unwrap()) });
        }
        let outcomes = all.join_all().await;
        let winners: Vec<i32> = outcomes
            .iter()
            .filter(|(_, o)| o.is_committed())
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(winners.len(), 1);
        assert!(
            outcomes
                .iter()
                .all(|(_, o)| o.is_committed() || *o == Outcome::Conflict(name.clone()))
        );
        assert_eq!(
            store.get(&name).await.unwrap().unwrap().value,
            winners[0].to_string()
        );
    }
}

/// No update is lost, and two decisions that rest on each other's keys never both happen (no write skew).
pub async fn concurrent_decisions_are_serializable(subject: &mut dyn Subject) {
    const WORKERS: i64 = 6;
    const ROUNDS: i64 = 20;
    let store = subject.store();
    let mut all = JoinSet::new();
    for worker in 0..WORKERS {
        let store = store.clone();
        all.spawn(async move {
            for _ in 0..ROUNDS {
                increment(&store).await;
                leave_and_return(&store, worker % 2 == 0).await;
            }
        });
    }
    timeout(PATIENCE, all.join_all()).await.expect("decisions go on");
    assert_eq!(number(&store, "count").await.0, WORKERS * ROUNDS);
    assert_eq!(number(&store, "bad").await.0, 0);
}

/// Two keys of which at most one may exist, while both come and go: a decision on the other's absence marks it, so that two
/// such decisions never both happen (write skew with absence among the keys).
pub async fn absence_is_decided_on_like_presence(subject: &mut dyn Subject) {
    const WORKERS: usize = 6;
    const ROUNDS: usize = 25;
    let store = subject.store();
    let mut all = JoinSet::new();
    for worker in 0..WORKERS {
        let store = store.clone();
        all.spawn(async move {
            let mut taken = 0;
            for _ in 0..ROUNDS {
                taken += usize::from(take_seat(&store, worker).await);
            }
            taken
        });
    }
    let taken = timeout(PATIENCE, all.join_all()).await.expect("decisions go on");
    assert!(taken.iter().sum::<usize>() > 0, "somebody sat");
}

/// Sits on the left or right chair if the other is absent, looks that nobody sits on the other, and leaves. A free chair is no
/// row at all: who counts on it puts it in the same batch and takes it away in the next.
async fn take_seat(store: &Arc<dyn Store>, worker: usize) -> bool {
    let (mine, other) = if worker.is_multiple_of(2) {
        ("left", "right")
    } else {
        ("right", "left")
    };
    let sit = batch()
        .expect(key(mine), Expect::Absent)
        .put(key(mine), worker.to_string())
        .expect(key(other), Expect::Absent)
        .put(key(other), "kept free");
    let Some(sat) = store.commit(sit).await.unwrap().committed() else {
        return false;
    };
    let snapshot = store.snapshot().await.unwrap();
    for (name, value) in [(mine, worker.to_string()), (other, "kept free".to_owned())] {
        let entry = snapshot
            .get(&key(name))
            .await
            .unwrap()
            .expect("nobody else removes it");
        assert_eq!(
            (entry.value, entry.version),
            (value.into(), sat.version),
            "{name}"
        );
    }
    let leave = batch()
        .expect(key(mine), Expect::Version(sat.version))
        .delete(key(mine))
        .expect(key(other), Expect::Version(sat.version))
        .delete(key(other));
    assert!(
        store.commit(leave).await.unwrap().is_committed(),
        "nobody else sat there"
    );
    true
}

async fn increment(store: &Arc<dyn Store>) {
    loop {
        let (count, expect) = number(store, "count").await;
        let add = batch()
            .expect(key("count"), expect)
            .put(key("count"), (count + 1).to_string());
        if store.commit(add).await.unwrap().is_committed() {
            return;
        }
    }
}

/// Two doctors, one of whom must be on call: each leaves only if the other is there. Numbers count leavings: odd is away.
async fn leave_and_return(store: &Arc<dyn Store>, first: bool) {
    let (mine, other) = if first { ("ada", "bob") } else { ("bob", "ada") };
    let ((me, my_expect), (you, your_expect)) = (number(store, mine).await, number(store, other).await);
    if me % 2 == 0 && you % 2 == 1 {
        return;
    }
    let leave = batch()
        .expect(key(mine), my_expect)
        .put(key(mine), (me + 1).to_string());
    let leave = match your_expect {
        Expect::Absent => leave.expect(key(other), Expect::Absent).put(key(other), "0"),
        version => leave.expect(key(other), version),
    };
    if !store.commit(leave).await.unwrap().is_committed() {
        return;
    }
    let snapshot = store.snapshot().await.unwrap();
    let mut away = 0;
    for name in [mine, other] {
        let entry = snapshot.get(&key(name)).await.unwrap().unwrap();
        away += std::str::from_utf8(&entry.value).unwrap().parse::<i64>().unwrap() % 2;
    }
    assert!(away < 2, "both are away");
}

/// A reader that follows a log while many append to it sees every record once, each writer's in order.
pub async fn a_log_is_read_without_gaps_under_concurrent_commits(subject: &mut dyn Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let (store, log) = (subject.store(), LogId(1));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..EACH {
                let append = batch().append(log, Shard(0), writer.to_string(), n.to_string());
                assert!(store.commit(append).await.unwrap().is_committed());
            }
        });
    }
    let follow = async {
        let (mut next, mut after, mut waiter) = ([0; WRITERS], Position::START, store.wake().log(log));
        while next.iter().sum::<usize>() < WRITERS * EACH {
            let records = store.read_log(log, Shard(0), after, 7, 1_000).await.unwrap();
            if records.is_empty() {
                waiter.wait().await;
            }
            for record in records {
                let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<usize>().unwrap();
                let (writer, n) = (number(&record.key), number(&record.value));
                assert_eq!(n, next[writer], "writer {writer}");
                next[writer] += 1;
                after = record.position;
            }
        }
    };
    timeout(PATIENCE, follow).await.expect("all records come");
    writers.join_all().await;
}

/// Two that hand a task back and forth, each asleep until woken, never sleep through it.
pub async fn a_wake_is_never_lost(subject: &mut dyn Subject) {
    const TURNS: u64 = 100;
    let store = subject.store();
    let first = super::task(subject, Lane(0), 0);
    let mut players = JoinSet::new();
    for player in 0..2u64 {
        let (store, template) = (store.clone(), first.clone());
        players.spawn(async move {
            let mut waiter = store.wake().lane(Lane(player));
            for turn in (player..TURNS).step_by(2) {
                let claim = loop {
                    let claims = store
                        .receive(Lane(player), 1, Duration::from_secs(60))
                        .await
                        .unwrap();
                    match claims.into_iter().next() {
                        Some(claim) => break claim,
                        None => waiter.wait().await,
                    }
                };
                assert_eq!(claim.task.body, turn.to_string());
                let pass = crate::Enqueue {
                    lane: Lane(1 - player),
                    body: (turn + 1).to_string().into(),
                    ..template.clone()
                };
                assert!(
                    store
                        .commit(batch().settle(claim.token).enqueue(pass))
                        .await
                        .unwrap()
                        .is_committed()
                );
            }
        });
    }
    assert!(store.commit(batch().enqueue(first)).await.unwrap().is_committed());
    timeout(PATIENCE, players.join_all())
        .await
        .expect("nobody sleeps through a wake");
}
