//! Groups of several: in the suite they form by chance, here on purpose. And grounds that fail.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aloft_base::{ErrorKind, ManualClock, Timestamp};
use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{Answer, Engine, Ground, Request, TRIM_STEP, View, Write, form};
use crate::memory::Map;
use crate::work::FLOOR_EVERY;
use crate::{
    Batch, BatchId, Direction, Enqueue, Epoch, Error, Expect, Key, Lane, LogId, Outcome, Partition, Position,
    Shard, TaskId, Token, Version,
};

const LANE: Lane = Lane(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A map whose writes can be made to fail.
#[derive(Default)]
struct Faulty {
    map: Map,
    fails: AtomicBool,
}

impl Ground for Faulty {
    type View = <Map as Ground>::View;

    fn view(&self) -> Self::View {
        self.map.view()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.map.get(key)
    }

    fn apply(&self, writes: Vec<Write>) -> Result<(), Error> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Io {
                what: "cannot write".to_owned(),
                reason: "the disk is full".to_owned(),
            });
        }
        self.map.apply(writes)
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

fn engine() -> Engine<Faulty> {
    Engine::open(Faulty::default(), clock(), "test").unwrap()
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes().to_vec()).unwrap()
}

fn group(engine: &Engine<Faulty>, batches: Vec<Batch>) -> Vec<Outcome> {
    let answers = engine.group(batches.into_iter().map(Request::Commit).collect());
    answers
        .into_iter()
        .map(|answer| answer.unwrap().outcome().unwrap())
        .collect()
}

fn kinds(outcomes: &[Outcome]) -> Vec<&'static str> {
    let kind = |outcome: &Outcome| match outcome {
        Outcome::Committed(_) => "committed",
        Outcome::Conflict(_) => "conflict",
        Outcome::Fenced(_) => "fenced",
        Outcome::Lost(_) => "lost",
    };
    outcomes.iter().map(kind).collect()
}

fn batch(id: u128) -> Batch {
    Batch::new(BatchId(id))
}

fn enqueue(number: u128) -> Enqueue {
    Enqueue {
        id: TaskId(number),
        lane: LANE,
        due: Timestamp::from_millis(0),
        attempts: 0,
        body: Bytes::new(),
        claimed: None,
    }
}

/// Two trims of one shard that are decided in one group: the later, shorter one does not bring back what the first removed.
#[test]
fn a_trim_never_moves_the_mark_back() {
    let engine = engine();
    let (log, shard) = (LogId(5), Shard(0));
    for n in 1..=3 {
        let batch = batch(n).append(log, shard, "k", n.to_string());
        group(&engine, vec![batch]);
    }
    let records = engine.read_log(log, shard, Position::START, 10, 1 << 20).unwrap();
    let trims = [&records[1], &records[0]].map(|to| Request::Trim(log, shard, to.position));
    engine.group(trims.into()).into_iter().for_each(|done| {
        done.unwrap();
    });
    let left = engine.read_log(log, shard, Position::START, 10, 1 << 20).unwrap();
    assert_eq!(left, records[2..]);
    let behind = engine.read_log(log, shard, records[0].position, 10, 1 << 20);
    assert!(matches!(behind, Err(Error::Trimmed { through, .. }) if through == records[1].position));
}

#[test]
fn a_trim_takes_a_step_of_the_oldest_and_says_whether_there_are_more() {
    let engine = engine();
    let (log, shard) = (LogId(5), Shard(0));
    let trim = || {
        let answers = engine.group(vec![Request::Trim(log, shard, Position::END)]);
        answers.into_iter().next().unwrap().unwrap().more().unwrap()
    };
    let append = |id, count: usize| {
        let batch = (0..count).fold(batch(id), |batch, _| batch.append(log, shard, "k", "v"));
        group(&engine, vec![batch]);
    };
    append(1, TRIM_STEP);
    append(2, 1);
    assert!(trim());
    let left = engine.read_log(log, shard, Position::START, 10, 1 << 20).unwrap();
    assert_eq!(left.len(), 1);
    assert!(!trim());
    append(3, TRIM_STEP);
    assert!(!trim(), "a whole step, and nothing behind it");
    let left = engine.read_log(log, shard, Position::START, 10, 1 << 20).unwrap();
    assert_eq!(left, []);
}

#[test]
fn a_group_that_changes_nothing_writes_nothing() {
    let engine = engine();
    group(&engine, vec![batch(1).put(key("a"), "1")]);
    let applies = || engine.counters().applies.load(Ordering::Relaxed);
    let before = applies();
    let refused = batch(2).expect(key("a"), Expect::Absent).put(key("a"), "2");
    let again = batch(1).put(key("a"), "1");
    let outcomes = group(&engine, vec![refused, again]);
    assert_eq!(kinds(&outcomes), ["conflict", "committed"]);
    engine.group(vec![Request::Trim(LogId(5), Shard(0), Position::END)]);
    assert_eq!(applies(), before);
}

/// A start reads a lane from there on, past whatever was finished before.
#[test]
fn the_ground_knows_where_a_lane_s_first_unsettled_task_may_lie() {
    let engine = engine();
    let floor = || engine.fact(&form::floor_key(LANE)).unwrap();
    let due = |number, due| Enqueue {
        due: Timestamp::from_millis(due),
        ..enqueue(number)
    };
    let count = u128::from(FLOOR_EVERY);
    let all = (1..=count).fold(batch(1), |batch, n| batch.enqueue(due(n, 1_000)));
    group(&engine, vec![all]);
    let mut claims = Vec::new();
    while claims.len() < FLOOR_EVERY as usize {
        claims.extend(engine.receive(LANE, 100, MINUTE).unwrap());
    }
    assert_eq!(floor(), []);
    for (claim, n) in claims.iter().zip(2..) {
        group(&engine, vec![batch(n).settle(claim.token.clone())]);
    }
    // What a group settles is counted once it is durable: the next group of the lane writes the floor, here of its own task.
    group(&engine, vec![batch(2_000).enqueue(due(2_000, 2_000))]);
    assert_eq!(floor().first(), Some(&2_000));
    group(&engine, vec![batch(2_001).enqueue(due(2_001, 7))]);
    assert_eq!(
        floor().first(),
        Some(&7),
        "what comes below it lowers it in the same commit"
    );
}

#[test]
fn in_a_group_each_batch_sees_the_former_ones() {
    let engine = engine();
    let a = key("a");
    let create = |id| {
        batch(id)
            .expect(a.clone(), Expect::Absent)
            .put(a.clone(), id.to_string())
    };
    let outcomes = group(
        &engine,
        vec![
            create(1),
            create(2),
            batch(3).delete(a.clone()),
            create(4),
            create(5),
            create(1),
        ],
    );
    assert_eq!(
        kinds(&outcomes),
        [
            "committed",
            "conflict",
            "committed",
            "committed",
            "conflict",
            "committed"
        ]
    );
    assert_eq!(
        outcomes[5], outcomes[0],
        "the same batch again has the same outcome"
    );
    assert_eq!(engine.row(&a).unwrap().unwrap().value, "4");
    let version = |n: usize| outcomes[n].clone().committed().unwrap().version;
    assert!(version(0) < version(2) && version(2) < version(3));
    assert_eq!(engine.row(&a).unwrap().unwrap().version, version(3));
    assert_eq!(
        engine.counters().applies.load(Ordering::Relaxed),
        1,
        "a group is one write"
    );

    let change = |id, version| {
        batch(id)
            .expect(a.clone(), Expect::Version(version))
            .put(a.clone(), id.to_string())
    };
    let next = Version::from_u64(version(3).to_u64() + 1);
    let outcomes = group(
        &engine,
        vec![change(6, version(3)), change(7, version(3)), change(8, next)],
    );
    assert_eq!(kinds(&outcomes), ["committed", "conflict", "committed"]);
}

#[test]
fn in_a_group_a_token_is_good_once() {
    let engine = engine();
    group(
        &engine,
        vec![batch(1).enqueue(enqueue(1)), batch(2).enqueue(enqueue(2))],
    );
    let claims = engine.receive(LANE, 2, MINUTE).unwrap();
    let settle = |id, n: usize| batch(id).settle(claims[n].token.clone());
    let refused = settle(5, 1).expect(key("x"), Expect::Version(Version::from_u64(9)));
    let outcomes = group(&engine, vec![settle(3, 0), settle(4, 0), refused, settle(6, 1)]);
    assert_eq!(kinds(&outcomes), ["committed", "lost", "conflict", "committed"]);
    assert_eq!(engine.next_due(LANE).unwrap(), None);
}

#[test]
fn a_group_mixes_takeovers_trims_and_batches() {
    let engine = engine();
    let (log, shard, partition) = (LogId(1), Shard(0), Partition(3));
    let append = |id| batch(id).append(log, shard, "k", id.to_string());
    group(&engine, vec![append(1), append(2)]);
    let answers = engine.group(vec![
        Request::Commit(append(3)),
        Request::Trim(log, shard, Position::END),
        Request::TakeOver(partition),
        Request::Commit(batch(4).fence(partition, Epoch(0)).put(key("a"), "0")),
        Request::Commit(batch(5).fence(partition, Epoch(1)).put(key("a"), "1")),
    ]);
    assert!(matches!(answers[1], Ok(Answer::Trimmed { more: false })));
    assert!(matches!(answers[2], Ok(Answer::Epoch(Epoch(1)))));
    assert!(matches!(answers[3], Ok(Answer::Outcome(Outcome::Fenced(_)))));
    assert!(matches!(answers[4], Ok(Answer::Outcome(Outcome::Committed(_)))));
    let left = engine.read_log(log, shard, Position::START, 9, 99).unwrap();
    assert_eq!(
        left.iter().map(|r| r.value.as_ref()).collect::<Vec<_>>(),
        [b"3"],
        "a trim leaves what comes with it"
    );
}

#[test]
fn after_a_failed_write_nothing_is_accepted_and_nothing_is_shown() {
    let engine = engine();
    group(&engine, vec![batch(1).put(key("a"), "1").enqueue(enqueue(1))]);
    let claim = engine.receive(LANE, 1, MINUTE).unwrap().remove(0);
    engine.ground().fails.store(true, Ordering::Relaxed);
    let doomed = vec![
        Request::Commit(
            batch(2)
                .put(key("a"), "2")
                .enqueue(enqueue(2))
                .settle(claim.token.clone()),
        ),
        Request::Commit(batch(3).expect(key("a"), Expect::Absent).put(key("a"), "3")),
    ];
    for answer in engine.group(doomed) {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    engine.ground().fails.store(false, Ordering::Relaxed);
    let broken = engine.broken().now_or_never();
    assert!(matches!(broken, Some(Error::Poisoned(_))), "{broken:?}");
    let later = engine.group(vec![Request::Commit(batch(4).put(key("b"), "4"))]);
    assert!(matches!(later[0], Err(Error::Poisoned(_))), "{later:?}");
    assert!(
        matches!(engine.close(), Err(Error::Poisoned(_))),
        "it does not end as if all were well"
    );
    assert_eq!(engine.row(&key("a")).unwrap().unwrap().value, "1");
    assert_eq!(engine.receive(LANE, 9, MINUTE).unwrap(), []);

    let reopened = Engine::open(engine.ground().map.clone(), clock(), "test").unwrap();
    assert_eq!(reopened.row(&key("a")).unwrap().unwrap().value, "1");
    let claims = reopened.receive(LANE, 9, MINUTE).unwrap();
    assert_eq!(
        claims
            .iter()
            .map(|c| (c.task.id, c.task.attempts))
            .collect::<Vec<_>>(),
        [(TaskId(1), 1)]
    );
}

#[test]
fn a_store_of_another_level_is_refused() {
    let map = Map::default();
    map.apply(vec![Write::Put(
        Bytes::from_static(form::LEVEL),
        form::numbers(&[99]),
    )])
    .unwrap();
    match Engine::open(map, clock(), "/data").map(drop) {
        Err(error @ Error::Level { found: 99, .. }) => {
            assert!(error.to_string().contains("/data"), "{error}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_wrong_in_the_ground_is_an_error_with_its_key() {
    let engine = engine();
    group(
        &engine,
        vec![batch(1).append(LogId(1), Shard(0), "", "r").enqueue(enqueue(1))],
    );
    let view = engine.ground().view();
    let mut keys = vec![form::row_key(b"bad")];
    let all = (Bound::Included(&[2u8][..]), Bound::Excluded(&[4u8][..]));
    view.scan(all.0, all.1, Direction::Forward, &mut |key, _| {
        keys.push(key);
        Ok(true)
    })
    .unwrap();
    assert_eq!(keys.len(), 3);
    let rubbish = keys
        .into_iter()
        .map(|key| Write::Put(key, Bytes::from_static(b"\x01\xff")));
    engine.ground().apply(rubbish.collect()).unwrap();
    let wrong = |error: Error| {
        assert!(
            matches!(error, Error::Corrupt { .. }) && error.kind() == ErrorKind::Internal,
            "{error}"
        )
    };
    wrong(engine.row(&key("bad")).unwrap_err());
    wrong(
        engine
            .read_log(LogId(1), Shard(0), Position::START, 1, 1)
            .unwrap_err(),
    );
    wrong(engine.receive(LANE, 1, MINUTE).unwrap_err());
    let unread = engine.group(vec![Request::Commit(
        batch(2).expect(key("bad"), Expect::Absent).put(key("bad"), ""),
    )]);
    assert!(matches!(unread[0], Err(Error::Corrupt { .. })));
    group(&engine, vec![batch(3).put(key("good"), "still works")]);
}

#[test]
fn a_forgotten_snapshot_is_let_go() {
    let clock = clock();
    let engine = Engine::open(Map::default(), clock.clone(), "test").unwrap();
    let forgotten = engine.snapshot();
    assert_eq!(engine.ground().views(), 1);
    clock.advance(2 * MINUTE);
    let answers = engine.group(vec![Request::Commit(batch(1).put(key("a"), "1"))]);
    assert!(answers[0].is_ok());
    assert_eq!(engine.ground().views(), 0);
    drop(forgotten);
}

#[test]
fn tokens_of_elsewhere_are_lost() {
    let engine = engine();
    group(&engine, vec![batch(1).enqueue(enqueue(1))]);
    let token = engine.receive(LANE, 1, MINUTE).unwrap().remove(0).token;
    let (owner, serial) = token.parts();
    for forged in [
        Token::new(Lane(2), owner, serial),
        Token::new(LANE, owner + 1, serial),
        Token::new(LANE, owner, serial + 1),
    ] {
        assert_eq!(kinds(&group(&engine, vec![batch(9).settle(forged)])), ["lost"]);
    }
    assert_eq!(
        kinds(&group(&engine, vec![batch(9).settle(token)])),
        ["committed"]
    );
}
