//! Retries and dead letters end to end, over the memory engine, with a scripted target and tokio's paused time: a test
//! waits for conditions, and time passes only while everything waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aloft_base::{Clock, SeededChance, Stop, Timestamp, TokioClock};
use aloft_call::Event;
use aloft_store::layout::Id;
use aloft_store::{Lane, Lease, Memory, Outcome, Store};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::*;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const RULE: RuleId = RuleId(Id::from_u64(2_000));
const SPACE: Space = Space(Id::from_u64(2_001));
const HOUR: Duration = Duration::from_secs(3_600);

/// What the target is told to do with an event's next attempts; then it takes the event.
#[derive(Clone)]
enum Step {
    Fail(Effect),
    Hang,
}

/// One attempt: the event's id, the attempt's number, and when.
type Seen = (String, u32, Timestamp);

struct Script {
    clock: Arc<dyn Clock>,
    steps: Mutex<HashMap<String, VecDeque<Step>>>,
    seen: watch::Sender<Vec<Seen>>,
}

#[async_trait]
impl Target for Script {
    async fn deliver(&self, event: &Event, attempt: u32) -> Result<(), Failure> {
        let id = event.event.id().to_owned();
        self.seen
            .send_modify(|seen| seen.push((id.clone(), attempt, self.clock.now())));
        let step = self
            .steps
            .lock()
            .unwrap()
            .get_mut(&id)
            .and_then(VecDeque::pop_front);
        match step {
            None => Ok(()),
            Some(Step::Fail(effect)) => Err(Failure::new(effect, "raised", format!("no {id}"))),
            Some(Step::Hang) => std::future::pending().await,
        }
    }
}

struct AsEvent;

impl Unpack for AsEvent {
    fn unpack(&self, parcel: &Parcel) -> Result<Event, Failure> {
        let event = aloft_event::Event::new(&parcel.event, "/tables/orders", "aloft.table.insert").map_err(
            |error| Failure::new(Effect::Final(Reason::Unreadable), "unreadable", error.to_string()),
        )?;
        Ok(Event { event, change: None })
    }
}

struct Kit {
    store: Arc<Memory>,
    ground: Ground,
    script: Arc<Script>,
    metrics: RuleMetrics,
    policy: Policy,
}

impl Kit {
    fn new(retries: u32) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(START));
        let store = Arc::new(Memory::new(clock.clone()));
        let chance = Arc::new(SeededChance::new(9));
        let ground = Ground {
            store: store.clone(),
            space: SPACE,
            clock: clock.clone(),
            chance,
            suspects: Arc::default(),
        };
        let script = Arc::new(Script {
            clock,
            steps: Mutex::default(),
            seen: watch::Sender::default(),
        });
        let metrics = Metrics::register(&aloft_observe::Metrics::new()).of("receipt");
        Self {
            store,
            ground,
            script,
            metrics,
            policy: Policy::new(retries, HOUR),
        }
    }

    fn script(&self, event: &str, steps: impl IntoIterator<Item = Step>) {
        self.script
            .steps
            .lock()
            .unwrap()
            .insert(event.to_owned(), steps.into_iter().collect());
    }

    async fn park(&self, parcels: &[(&str, &str)]) -> Vec<Parcel> {
        let due = self.ground.clock.now();
        let parked: Vec<Parked> = parcels
            .iter()
            .map(|(event, key)| Parked {
                parcel: Parcel::new(
                    *event,
                    KeyHash::of(key.as_bytes()),
                    due,
                    Bytes::from_static(b"body"),
                ),
                due,
            })
            .collect();
        let snapshot = self.store.snapshot().await.unwrap();
        let batch = self.ground.batch();
        let (batch, overflow) = Backlogs::new(RULE)
            .park(batch, &*snapshot, &parked, &*self.ground.chance)
            .await
            .unwrap();
        assert!(self.store.commit(batch).await.unwrap().is_committed());
        overflow
    }

    fn runner(&self, has_target: bool) -> Runner {
        let destination = || Destination {
            policy: self.policy,
            unpack: Arc::new(AsEvent),
            target: self.script.clone(),
        };
        let route = Route {
            rule: RULE,
            name: "receipt".into(),
            to: has_target.then(|| Arc::new(destination()) as Arc<dyn Deliver>),
        };
        Runner::new(
            self.ground.clone(),
            route,
            8,
            Duration::from_secs(2),
            self.metrics.clone(),
        )
    }

    /// Runs the runner until the condition holds, then stops it.
    async fn run_until(&self, mut is_met: impl AsyncFnMut(&Self) -> bool) {
        let stop = Stop::new();
        let until = async {
            while !is_met(self).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stop.ask();
        };
        let bounded = tokio::time::timeout(3 * HOUR, async {
            tokio::join!(self.runner(true).run(stop.clone()), until)
        });
        bounded.await.expect("the condition was never met");
    }

    async fn run_until_empty(&self) {
        self.run_until(async |kit| kit.store.next_due(RULE.lane()).await.unwrap().is_none())
            .await;
        let snapshot = self.store.snapshot().await.unwrap();
        assert!(
            !Backlogs::new(RULE).any(&*snapshot).await.unwrap(),
            "an empty lane, but a backlog"
        );
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.seen.borrow().clone()
    }

    fn order(&self) -> Vec<String> {
        self.seen().into_iter().map(|(event, ..)| event).collect()
    }

    async fn letters(&self) -> Vec<Listed> {
        self.ground.letters().list(None, 100).await.unwrap().0
    }
}

fn fail(times: usize) -> Vec<Step> {
    vec![Step::Fail(Effect::Counts); times]
}

#[tokio::test(start_paused = true)]
async fn a_failed_delivery_is_made_again_until_it_succeeds() {
    let kit = Kit::new(5);
    kit.script("e1", fail(2));
    kit.park(&[("e1", "a")]).await;
    kit.run_until_empty().await;
    let seen = kit.seen();
    assert_eq!(
        seen.iter()
            .map(|(id, attempt, _)| (id.as_str(), *attempt))
            .collect::<Vec<_>>(),
        [("e1", 1), ("e1", 2), ("e1", 3)]
    );
    assert!(seen[1].2.since(seen[0].2) <= Duration::from_millis(1_010));
    assert_eq!(
        (
            kit.metrics.delivered.get(),
            kit.metrics.failed.get(),
            kit.metrics.retries.get()
        ),
        (1, 2, 2)
    );
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_order_past_failures_and_other_keys_go_on() {
    let kit = Kit::new(5);
    kit.script("a1", fail(3));
    kit.script("a2", fail(1));
    kit.park(&[("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")])
        .await;
    kit.run_until_empty().await;
    let of = |key: char| {
        kit.order()
            .into_iter()
            .filter(|event| event.starts_with(key))
            .collect::<Vec<_>>()
    };
    assert_eq!(of('a'), ["a1", "a1", "a1", "a1", "a2", "a2", "a3"]);
    assert_eq!(of('b'), ["b1", "b2"]);
    let at = |event: &str| kit.order().iter().rposition(|seen| seen == event).unwrap();
    assert!(at("b2") < at("a1"), "b waited for a");
}

#[tokio::test(start_paused = true)]
async fn what_joins_a_backlog_at_work_is_delivered_after_it() {
    let kit = Kit::new(50);
    kit.script("a1", fail(9));
    kit.park(&[("a1", "a")]).await;
    let mut joined = 1;
    kit.run_until(async |kit| {
        if joined < 20 {
            joined += 1;
            kit.park(&[(&format!("a{joined}"), "a")]).await;
        }
        joined == 20 && kit.store.next_due(RULE.lane()).await.unwrap().is_none()
    })
    .await;
    let mut order = kit.order();
    order.dedup();
    assert_eq!(order, (1..=20).map(|n| format!("a{n}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_delivery_is_a_dead_letter_and_the_next_goes_on() {
    let kit = Kit::new(2);
    kit.script("a1", fail(9));
    kit.park(&[("a1", "a"), ("a2", "a")]).await;
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a1", "a1", "a1", "a2"]);
    let letters = kit.letters().await;
    let [Listed { id, letter }] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(
        (letter.rule, letter.name.as_str(), letter.reason),
        (RULE, "receipt", Reason::Exhausted)
    );
    let Content::One(parcel) = &letter.content else {
        panic!("{letter:?}")
    };
    assert_eq!(
        (parcel.event.as_str(), parcel.body.as_ref()),
        ("a1", &b"body"[..])
    );
    assert_eq!(
        parcel.attempts,
        Attempts {
            failed: 3,
            tried: 3,
            crashed: 0
        }
    );
    let (failures, seen) = (letter.failures().unwrap(), kit.seen());
    assert_eq!(
        (failures.word.as_str(), failures.message.as_str()),
        ("raised", "no a1")
    );
    assert_eq!((failures.first, failures.last), (seen[0].2, seen[2].2));
    assert_eq!(kit.ground.letters().show(*id).await.unwrap(), *letter);
    assert_eq!(
        (
            kit.metrics.dead(Reason::Exhausted),
            kit.metrics.failed.get(),
            kit.metrics.retries.get()
        ),
        (1, 3, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttled_delivery_uses_up_no_retry_but_ends_with_its_age() {
    let mut kit = Kit::new(0);
    kit.policy.maximum_age = Duration::from_secs(600);
    let busy = Step::Fail(Effect::Ages {
        retry_after: Duration::from_secs(5),
    });
    kit.script("a1", vec![busy.clone(); 10]);
    kit.script("b1", vec![busy; 10_000]);
    kit.park(&[("a1", "a"), ("b1", "b")]).await;
    kit.run_until_empty().await;
    assert_eq!(kit.metrics.delivered.get(), 1);
    assert_eq!(kit.metrics.dead(Reason::Expired), 1);
    for pair in kit
        .seen()
        .iter()
        .filter(|seen| seen.0 == "a1")
        .collect::<Vec<_>>()
        .windows(2)
    {
        assert!(pair[1].2.since(pair[0].2) >= Duration::from_secs(5));
    }
    let last = kit.seen().iter().rfind(|seen| seen.0 == "b1").unwrap().2;
    assert!(
        last <= START + Duration::from_secs(600),
        "an attempt after the maximum age: {last}"
    );
    assert!(last >= START + Duration::from_secs(590), "given up early: {last}");
}

#[tokio::test(start_paused = true)]
async fn what_no_attempt_can_mend_is_dead_at_once() {
    let kit = Kit::new(5);
    kit.script("a1", [Step::Fail(Effect::Final(Reason::Loop))]);
    kit.park(&[("a1", "a"), ("bad\nid", "a"), ("a3", "a")]).await;
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a1", "a3"]);
    // Both died in one millisecond, so that either may be listed first.
    let mut reasons: Vec<_> = kit
        .letters()
        .await
        .iter()
        .map(|listed| listed.letter.reason.word())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["loop", "unreadable"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_removed_rule_ends_in_the_dead_letter() {
    let kit = Kit::new(5);
    kit.park(&[("a1", "a"), ("a2", "a"), ("b1", "b")]).await;
    let ended = tokio::time::timeout(HOUR, kit.runner(false).run(Stop::new()))
        .await
        .unwrap();
    assert!(ended, "the lane was not empty");
    assert!(kit.order().is_empty());
    assert_eq!(kit.metrics.dead(Reason::RuleRemoved), 3);
    let id = kit.letters().await[0].id;
    let refused = kit.ground.letters().retry(id, |_| None).await.unwrap_err();
    assert!(
        matches!(&refused, Error::NoRule { rule, .. } if rule == "receipt"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_retried_once_or_dropped() {
    let kit = Kit::new(0);
    kit.script("a1", fail(1));
    kit.script("b1", fail(1));
    kit.park(&[("a1", "a"), ("b1", "b")]).await;
    kit.run_until_empty().await;
    let letters = kit.ground.letters();
    let listed = kit.letters().await;
    assert_eq!(listed.len(), 2);
    tokio::time::sleep(2 * HOUR).await;
    letters
        .retry(listed[0].id, |letter| Some(letter.rule))
        .await
        .unwrap();
    assert!(
        matches!(
            letters.retry(listed[0].id, |_| Some(RULE)).await,
            Err(Error::NoLetter(_))
        ),
        "retried twice"
    );
    letters.drop(listed[1].id).await.unwrap();
    assert!(matches!(
        letters.drop(listed[1].id).await,
        Err(Error::NoLetter(_))
    ));
    kit.run_until_empty().await;
    assert_eq!(kit.order().len(), 3, "the age of a retried letter counts anew");
    assert_eq!((kit.metrics.delivered.get(), kit.letters().await.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn letters_are_listed_in_pages_and_a_range_is_counted_not_retried() {
    let kit = Kit::new(0);
    let letters = kit.ground.letters();
    for n in 0..5u64 {
        let range = Range {
            log: aloft_store::LogId(7),
            shard: aloft_store::Shard(0),
            from: aloft_store::Position::new(n, 0),
            to: aloft_store::Position::new(n, 9),
            events: (n > 0).then_some(n),
        };
        let at = START + Duration::from_secs(n);
        let letter = Letter::range(RULE, "receipt", Reason::Expired, at, range);
        let batch = letters.put(kit.ground.batch(), &letter).unwrap();
        assert!(kit.store.commit(batch).await.unwrap().is_committed());
    }
    let (first, more) = letters.list(None, 3).await.unwrap();
    assert!(more);
    let (rest, more) = letters.list(Some(first[2].id), 3).await.unwrap();
    assert!(!more);
    let events: Vec<u64> = first
        .iter()
        .chain(&rest)
        .map(|listed| listed.letter.events())
        .collect();
    assert_eq!(events, [4, 3, 2, 1, 0]);
    assert!(matches!(
        letters.retry(first[0].id, |_| Some(RULE)).await,
        Err(Error::NothingToRetry(_))
    ));
    assert_eq!(first[0].id.to_string().parse::<LetterId>().unwrap(), first[0].id);
    for bad in ["", "x", "+0000000000000000000000000000001", &"0".repeat(33)] {
        assert!(
            matches!(bad.parse::<LetterId>(), Err(Error::NoLetter(_))),
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_s_backlog_has_a_bound() {
    let kit = Kit::new(0);
    let names: Vec<String> = (0..Backlogs::LENGTH + 2).map(|n| format!("a{n}")).collect();
    let mut parcels: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "a")).collect();
    parcels.push(("b0", "b"));
    let overflow = kit.park(&parcels).await;
    assert_eq!(
        overflow
            .iter()
            .map(|parcel| parcel.event.as_str())
            .collect::<Vec<_>>(),
        ["a1000", "a1001"]
    );
    assert_eq!(kit.park(&[("a1002", "a")]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_one_commit() {
    let kit = Kit::new(5);
    kit.script("e1", fail(2));
    kit.park(&[("e1", "a"), ("e2", "a")]).await;
    let before = kit
        .store
        .counters()
        .commits
        .load(std::sync::atomic::Ordering::SeqCst);
    kit.run_until_empty().await;
    assert_eq!(kit.seen().len(), 4);
    assert_eq!(
        kit.store
            .counters()
            .commits
            .load(std::sync::atomic::Ordering::SeqCst)
            - before,
        4
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_unfinished_attempts_back() {
    let kit = Kit::new(0);
    kit.script("a1", [Step::Hang]);
    kit.park(&[("a1", "a")]).await;
    let before = tokio::time::Instant::now();
    kit.run_until(async |kit| !kit.seen().is_empty()).await;
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "the drain is not bounded"
    );
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a1", "a1"]);
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "the claim was not released"
    );
    assert!(kit.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_answers_counts_as_a_failure() {
    let kit = Kit::new(1);
    kit.script("a1", [Step::Hang, Step::Hang]);
    kit.park(&[("a1", "a")]).await;
    kit.run_until_empty().await;
    assert_eq!(kit.metrics.dead(Reason::Exhausted), 1);
    assert_eq!(
        kit.letters().await[0].letter.failures().unwrap().word,
        "timed_out"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_kills_the_platform_ends_in_the_dead_letter() {
    let mut kit = Kit::new(100);
    let deadly = 2 * Policy::CRASHES as usize;
    kit.script("a1", vec![Step::Hang; deadly]);
    kit.park(&[("a1", "a")]).await;
    let mut crashes = 0;
    while kit.letters().await.is_empty() {
        let seen = kit.seen().len();
        let runner = kit.runner(true);
        let stop = Stop::new();
        let died = async {
            while kit.seen().len() == seen && kit.letters().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // The process dies in the middle of the attempt: the runner is dropped where it stands.
        tokio::select! {
            _ = runner.run(stop.clone()) => panic!("it ended by itself"),
            () = died => {}
        }
        kit.store = Arc::new(kit.store.crash().unwrap());
        kit.ground.store = kit.store.clone();
        crashes += 1;
        assert!(crashes <= deadly, "it was never given up");
    }
    assert_eq!(kit.letters().await[0].letter.reason, Reason::Crashed);
    let alone = Policy::CRASHES + 1;
    assert_eq!(kit.seen().len() as u32, Policy::SUSPECT + 1 + alone);
}

/// What was only there when another event killed the platform, again and again, is delivered.
#[tokio::test(start_paused = true)]
async fn who_stands_beside_an_event_that_kills_the_platform_is_not_given_up() {
    let mut kit = Kit::new(100);
    kit.script("a1", vec![Step::Hang; 100]);
    let names: Vec<String> = (0..40).map(|n| format!("b{n}")).collect();
    let others: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    kit.park(&[("a1", "a")]).await;
    kit.park(&others).await;
    for crashes in 0.. {
        assert!(crashes < 200, "{:?}", kit.letters().await);
        let runner = kit.runner(true);
        let stop = Stop::new();
        let waits = async {
            let snapshot = kit.store.snapshot().await.unwrap();
            Backlogs::new(RULE).any(&*snapshot).await.unwrap()
        };
        if !waits.await {
            break;
        }
        let (before, deaths) = (kit.seen().len(), kit.letters().await.len());
        let died = async {
            // It dies when the deadly event is being tried, or soon after somebody was delivered.
            while kit.seen().len() == before && kit.letters().await.len() == deaths {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        tokio::select! {
            _ = runner.run(stop.clone()) => panic!("it ended by itself"),
            () = died => {}
        }
        kit.store = Arc::new(kit.store.crash().unwrap());
        kit.ground.store = kit.store.clone();
    }
    let letters = kit.letters().await;
    let given_up: Vec<&str> = letters
        .iter()
        .map(|listed| match &listed.letter.content {
            Content::One(parcel) => parcel.event.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(given_up, ["a1"]);
}

#[tokio::test(start_paused = true)]
async fn a_parcel_that_cannot_be_read_is_kept_as_it_is_and_the_next_goes_on() {
    let kit = Kit::new(5);
    kit.park(&[("a1", "a"), ("a2", "a")]).await;
    let row = RULE.row(KeyHash::of(b"a"), 0).unwrap();
    let spoilt = kit.ground.batch().put(row, "spoilt");
    assert!(kit.store.commit(spoilt).await.unwrap().is_committed());
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a2"]);
    let letters = kit.letters().await;
    assert_eq!(letters[0].letter.reason, Reason::Unreadable);
    assert_eq!(letters[0].letter.content, Content::Raw("spoilt".into()));
    assert_eq!(RULE.lane(), Lane(2_000));
}

#[tokio::test(start_paused = true)]
async fn a_parcel_that_is_missing_is_told_of_and_the_next_goes_on() {
    let kit = Kit::new(5);
    kit.park(&[("a1", "a"), ("a2", "a")]).await;
    let lost = kit.ground.batch().delete(RULE.row(KeyHash::of(b"a"), 0).unwrap());
    assert!(kit.store.commit(lost).await.unwrap().is_committed());
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a2"]);
    let letters = kit.letters().await;
    assert_eq!(letters[0].letter.reason, Reason::Unreadable);
    assert_eq!(letters[0].letter.content, Content::Raw(Bytes::new()));
    kit.park(&[("a3", "a")]).await;
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a2", "a3"]);
}

/// With parcels behind it, and with none.
#[tokio::test(start_paused = true)]
async fn the_head_of_a_backlog_that_is_damaged_is_made_anew() {
    let kit = Kit::new(5);
    let head = RULE.head(KeyHash::of(b"a")).unwrap();
    let damage = || kit.ground.batch().put(head.clone(), Bytes::from_static(&[0xff]));
    kit.script("a1", fail(1));
    kit.park(&[("a1", "a"), ("a2", "a")]).await;
    assert!(kit.store.commit(damage()).await.unwrap().is_committed());
    kit.park(&[("a3", "a")]).await;
    assert!(kit.store.commit(damage()).await.unwrap().is_committed());
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a1", "a1", "a2", "a3"]);
    assert!(kit.letters().await.is_empty());

    kit.park(&[("a4", "a")]).await;
    let nothing_left = damage().delete(RULE.row(KeyHash::of(b"a"), 0).unwrap());
    assert!(kit.store.commit(nothing_left).await.unwrap().is_committed());
    kit.run_until_empty().await;
    assert_eq!(kit.letters().await[0].letter.reason, Reason::Unreadable);

    // Whoever joins before that was seen does not get a second task for the key.
    kit.park(&[("a5", "a")]).await;
    let nothing_left = damage().delete(RULE.row(KeyHash::of(b"a"), 0).unwrap());
    assert!(kit.store.commit(nothing_left).await.unwrap().is_committed());
    kit.park(&[("a6", "a")]).await;
    let claims = kit.store.receive(RULE.lane(), 10, Duration::from_secs(1)).await;
    let [claim] = &claims.unwrap()[..] else {
        panic!("one task stands for the key");
    };
    let released = kit.store.release(claim.token.clone()).await.unwrap();
    assert_eq!(released, Lease::Held);
    kit.run_until_empty().await;
    assert_eq!(kit.order().last().unwrap(), "a6");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_counted_and_so_is_the_age_of_the_oldest() {
    let kit = Kit::new(1_000);
    kit.script("a1", fail(1_000));
    kit.script("b1", fail(1_000));
    kit.park(&[("a1", "a"), ("a2", "a"), ("b1", "b")]).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let shown = |kit: &Kit| (kit.metrics.waiting.get(), kit.metrics.oldest.get());
    kit.run_until(async |kit| shown(kit) == (3, 100)).await;
    kit.script("a1", []);
    kit.script("b1", []);
    kit.run_until_empty().await;
    kit.run_until(async |kit| shown(kit) == (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_backlog_that_ended_meanwhile_is_told_so() {
    let kit = Kit::new(5);
    kit.park(&[("a1", "a")]).await;
    let parcel = Parcel::new("a2", KeyHash::of(b"a"), START, Bytes::new());
    let parked = [Parked { parcel, due: START }];
    let join = async || {
        let snapshot = kit.store.snapshot().await.unwrap();
        let (batch, chance) = (kit.ground.batch(), &*kit.ground.chance);
        Backlogs::new(RULE)
            .park(batch, &*snapshot, &parked, chance)
            .await
            .unwrap()
            .0
    };
    let (late, twice) = (join().await, join().await);
    kit.run_until_empty().await;
    let head = RULE.head(KeyHash::of(b"a")).unwrap();
    assert_eq!(
        kit.store.commit(late).await.unwrap(),
        Outcome::Conflict(head.clone())
    );
    assert!(kit.store.commit(join().await).await.unwrap().is_committed());
    assert_eq!(kit.store.commit(twice).await.unwrap(), Outcome::Conflict(head));
    kit.run_until_empty().await;
    assert_eq!(kit.order(), ["a1", "a2"]);
}

/// A store's clock that is behind the node's, and counts how often it is read.
struct Behind {
    clock: Arc<dyn Clock>,
    by: Duration,
    reads: std::sync::atomic::AtomicU64,
}

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        self.reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.clock.now() - self.by
    }

    fn instant(&self) -> Instant {
        self.clock.instant()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_goes_before_the_stores_waits_without_asking_all_the_time() {
    let mut kit = Kit::new(5);
    let clock = Arc::new(Behind {
        clock: kit.ground.clock.clone(),
        by: Duration::from_secs(60),
        reads: Default::default(),
    });
    kit.store = Arc::new(Memory::new(clock.clone()));
    kit.ground.store = kit.store.clone();
    kit.park(&[("e1", "a")]).await;
    kit.run_until(async |kit| !kit.seen().is_empty()).await;
    assert!(kit.seen()[0].2 >= START + Duration::from_secs(60));
    let reads = clock.reads.load(std::sync::atomic::Ordering::SeqCst);
    assert!(
        reads < 400,
        "{reads} times: two looks a second are meant, each reads the clock a few times"
    );
}

/// The suspects of a node take turns whatever their rules: one that is tried while another ends the node would be charged for it.
#[tokio::test(start_paused = true)]
async fn a_suspect_waits_for_the_suspects_of_other_rules_and_holds_up_nobody_else() {
    let kit = Kit::new(5);
    let now = kit.ground.clock.now();
    let suspect = Parcel {
        is_alone: true,
        ..Parcel::new("s1", KeyHash::of(b"s"), now, Bytes::from_static(b"body"))
    };
    let parked = Parked {
        parcel: suspect,
        due: now,
    };
    let snapshot = kit.store.snapshot().await.unwrap();
    let (batch, _) = Backlogs::new(RULE)
        .park(kit.ground.batch(), &*snapshot, &[parked], &*kit.ground.chance)
        .await
        .unwrap();
    assert!(kit.store.commit(batch).await.unwrap().is_committed());
    kit.park(&[("e1", "a"), ("e2", "b")]).await;
    let others = kit.ground.suspects.clone();
    let turn = others.lock().await;
    kit.run_until(async |kit| kit.seen().len() == 2).await;
    assert!(!kit.order().contains(&"s1".to_owned()));
    drop(turn);
    kit.run_until_empty().await;
    assert_eq!(kit.order().last().map(String::as_str), Some("s1"));
}
