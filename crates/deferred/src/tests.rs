//! Calls that are made later, over the engine in memory, with a function that the test plays and tokio's paused time: time passes only
//! while everything waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aloft_base::{
    Clock, FunctionId, FunctionName, InvocationId, Region, SeededChance, Stop, Tenant, Timestamp, TokioClock,
};
use aloft_call::{
    Answer, Call, Fault, FunctionError, Invoke, Lineage, Outcome, Payload, Qualifier, Trace, Usage,
};
use aloft_delivery::{Ground, Metrics, Reason};
use aloft_store::Memory;
use aloft_store::layout::Namespace;
use async_trait::async_trait;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use super::*;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

/// One call: the function, the request, with what, how deep, and when.
type Made = (String, InvocationId, Json, u8, Timestamp);

/// Functions that do what they are told, and then succeed.
struct Stage {
    clock: Arc<dyn Clock>,
    next: Mutex<VecDeque<Fault>>,
    /// The function that does not come to an end, if there is one.
    hangs: Mutex<Option<FunctionName>>,
    made: watch::Sender<Vec<Made>>,
    /// What callers said of themselves.
    contexts: Mutex<BTreeMap<InvocationId, String>>,
}

#[async_trait]
impl Invoke for Stage {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        let Payload::Direct(direct) = &call.payload else {
            panic!("{call:?}")
        };
        let body: Json = serde_json::from_slice(&direct.body).unwrap();
        if let Some(context) = &direct.context {
            self.contexts.lock().unwrap().insert(call.id, context.clone());
        }
        let made = (
            format!("{}:{}", function.name, call.qualifier),
            call.id,
            body.clone(),
            call.lineage.depth,
            self.clock.now(),
        );
        self.made.send_modify(|all| all.push(made));
        let is_endless = self.hangs.lock().unwrap().as_ref() == Some(&function.name);
        if is_endless {
            std::future::pending::<()>().await;
        }
        let fault = self.next.lock().unwrap().pop_front();
        Outcome {
            id: call.id,
            result: match fault {
                Some(fault) => Err(fault),
                None => Ok(Answer::Bytes(json!({ "got": body }).to_string().into())),
            },
            usage: Usage::default(),
            tail: None,
        }
    }
}

struct Kit {
    stage: Arc<Stage>,
    store: Arc<Memory>,
    ground: Ground,
    deferred: Deferred,
    ids: u128,
}

fn namespace() -> Namespace {
    Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    }
}

fn raised() -> Fault {
    Fault::Raised(FunctionError {
        kind: "ValueError".into(),
        message: "no".into(),
        ..FunctionError::default()
    })
}

fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

impl Kit {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(START));
        let store = Arc::new(Memory::new(clock.clone()));
        let chance = Arc::new(SeededChance::new(3));
        let ground = Ground::open(store.clone(), &namespace(), clock.clone(), chance)
            .await
            .unwrap();
        let stage = Arc::new(Stage {
            clock: clock.clone(),
            next: Mutex::default(),
            hangs: Mutex::default(),
            made: watch::Sender::default(),
            contexts: Mutex::default(),
        });
        let deferred = Self::open(&ground, &stage);
        Self {
            stage,
            store,
            ground,
            deferred,
            ids: 0,
        }
    }

    fn open(ground: &Ground, stage: &Arc<Stage>) -> Deferred {
        let parts = Parts {
            ground: ground.clone(),
            namespace: namespace(),
            invoke: stage.clone(),
            spacing: 60 * SECOND,
            drain: SECOND,
            metrics: Metrics::register(&aloft_observe::Metrics::new()),
        };
        Deferred::new(parts, Stop::new())
    }

    /// The node dies, with whatever it is at work on, and is started anew after a while.
    async fn dies(&mut self, away: Duration) {
        self.store = Arc::new(self.store.crash().unwrap());
        // What is left of it finds a store that accepts nothing, and is cut off.
        self.deferred.drain(Duration::ZERO).await;
        tokio::time::sleep(away).await;
        let (clock, chance) = (self.stage.clock.clone(), Arc::new(SeededChance::new(4)));
        let owner = namespace();
        let ground = Ground::open(self.store.clone(), &owner, clock, chance);
        self.ground = ground.await.unwrap();
        self.deferred = Self::open(&self.ground, &self.stage);
        self.deferred.resume().await.unwrap();
    }

    fn hangs(&self, function: Option<FunctionName>) {
        *self.stage.hangs.lock().unwrap() = function;
    }

    fn fails(&self, faults: impl IntoIterator<Item = Fault>) {
        self.stage.next.lock().unwrap().extend(faults);
    }

    async fn accept(&mut self, bounds: Bounds, lineage: Lineage) -> Result<InvocationId, Error> {
        self.ids += 1;
        let id = InvocationId::from_u128(self.ids);
        let item = Item {
            function: function("worker"),
            qualifier: Qualifier::Latest,
            arn: "arn:aws:lambda:us-east-1:000000000000:function:worker".into(),
            payload: json!({ "n": self.ids as u64 }).to_string().into(),
            context: None,
            trace: Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap(),
            bounds,
        };
        self.deferred.accept(&item, id, lineage).await.map(|()| id)
    }

    /// Waits until so many calls were made.
    async fn made(&self, count: usize) -> Vec<Made> {
        let mut made = self.stage.made.subscribe();
        let waited = tokio::time::timeout(86_400 * SECOND, made.wait_for(|made| made.len() >= count));
        let all = waited
            .await
            .expect("in a day the calls are made")
            .unwrap()
            .clone();
        assert_eq!(all.len(), count, "{all:?}");
        all
    }

    async fn letters(&self) -> Vec<(Reason, String)> {
        let (letters, _) = self.ground.letters().list(None, 100).await.unwrap();
        let letters = letters.into_iter().map(|listed| listed.letter);
        letters.map(|letter| (letter.reason, letter.name)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_made_again_after_one_minute_and_after_two() {
    let mut kit = Kit::new().await;
    kit.fails([raised(), raised()]);
    let id = kit.accept(Bounds::default(), Lineage::default()).await.unwrap();
    let made = kit.made(3).await;
    assert!(made.iter().all(|(name, other, body, ..)| {
        name == "worker:$LATEST" && *other == id && *body == json!({ "n": 1 })
    }));
    let after = |index: usize| made[index].4.since(START);
    assert!(after(0) < SECOND, "{made:?}");
    assert!(
        (60 * SECOND..61 * SECOND).contains(&(after(1) - after(0))),
        "{made:?}"
    );
    assert!(
        (120 * SECOND..121 * SECOND).contains(&(after(2) - after(1))),
        "{made:?}"
    );
    tokio::time::sleep(600 * SECOND).await;
    kit.made(3).await;
    assert_eq!(kit.letters().await, []);
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_on_failing_is_a_dead_letter_and_can_be_made_anew() {
    let mut kit = Kit::new().await;
    kit.fails([raised(), raised(), raised()]);
    let id = kit.accept(Bounds::default(), Lineage::default()).await.unwrap();
    kit.made(3).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        kit.letters().await,
        [(Reason::Exhausted, "async/worker".to_owned())]
    );
    let (letters, _) = kit.ground.letters().list(None, 1).await.unwrap();
    let listed = &letters[0];
    assert!(kit.deferred.owns(&listed.letter));
    assert_eq!(kit.deferred.payload(&listed.letter).unwrap(), r#"{"n":1}"#);
    kit.deferred.retry(listed.id).await.unwrap();
    let made = kit.made(4).await;
    assert_eq!(made[3].1, id);
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_uses_up_no_retry_and_ends_by_its_age() {
    let mut kit = Kit::new().await;
    let busy = || Fault::Busy {
        bound: aloft_call::Bound::Function,
        why: "full".into(),
        retry_after: SECOND,
    };
    kit.fails((0..10_000).map(|_| busy()));
    let bounds = Bounds {
        retries: 0,
        maximum_age: 3_600 * SECOND,
        ..Bounds::default()
    };
    kit.accept(bounds, Lineage::default()).await.unwrap();
    tokio::time::sleep(4_000 * SECOND).await;
    let made = kit.stage.made.borrow().len();
    assert!(
        (12..100).contains(&made),
        "about every five minutes at the end: {made}"
    );
    assert_eq!(
        kit.letters().await,
        [(Reason::Expired, "async/worker".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn destinations_are_told_what_became_of_it() {
    let mut kit = Kit::new().await;
    let told = |name: &str| Some((function(name), "live".parse().unwrap()));
    let bounds = Bounds {
        retries: 1,
        on_success: told("glad"),
        on_failure: told("sorry"),
        ..Bounds::default()
    };
    let good = kit.accept(bounds.clone(), Lineage::default()).await.unwrap();
    let made = kit.made(2).await;
    let (name, _, record, depth, _) = &made[1];
    assert_eq!((name.as_str(), *depth), ("glad:live", 1));
    assert_eq!(
        *record,
        json!({
            "version": "1.0", "timestamp": record["timestamp"],
            "requestContext": {
                "requestId": good.to_string(),
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:worker",
                "condition": "Success", "approximateInvokeCount": 1,
            },
            "requestPayload": { "n": 1 },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST" },
            "responsePayload": { "got": { "n": 1 } },
        })
    );
    kit.fails([raised(), raised()]);
    kit.accept(bounds, Lineage::default()).await.unwrap();
    let made = kit.made(5).await;
    let (name, _, record, ..) = &made[4];
    assert_eq!(name, "sorry:live");
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(record["responseContext"]["functionError"], "Unhandled");
    assert_eq!(
        record["responsePayload"],
        json!({ "errorType": "ValueError", "errorMessage": "no" })
    );
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await, [], "who is told needs no dead letter");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_gets_the_event_itself_beside_what_the_destination_is_told() {
    let mut kit = Kit::new().await;
    let bounds = Bounds {
        retries: 1,
        on_failure: Some((function("sorry"), Qualifier::Latest)),
        dead_letter: Some((function("keeper"), Qualifier::Version(3))),
        ..Bounds::default()
    };
    kit.accept(bounds.clone(), Lineage::default()).await.unwrap();
    kit.made(1).await;
    tokio::time::sleep(SECOND).await;
    kit.made(1).await;
    kit.fails([raised(), raised()]);
    let id = kit.accept(bounds.clone(), Lineage::default()).await.unwrap();
    let mut told = kit.made(5).await.split_off(3);
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let (name, own, event, depth, _) = &told[0];
    assert_eq!(
        (name.as_str(), event, *depth),
        ("keeper:3", &json!({ "n": 2 }), 1)
    );
    assert_ne!(*own, id);
    assert_eq!(told[1].0, "sorry:$LATEST");
    assert_eq!(told[1].2["requestPayload"], *event);
    let contexts = kit.stage.contexts.lock().unwrap().clone();
    let said: Json = serde_json::from_str(&contexts[own]).unwrap();
    let custom = json!({ "RequestID": id.to_string(), "ErrorCode": "200", "ErrorMessage": said["custom"]["ErrorMessage"] });
    assert_eq!(said, json!({ "custom": custom }));
    let message = custom["ErrorMessage"].as_str().unwrap();
    assert!(message.contains("ValueError"), "{message}");
    assert_eq!(contexts.len(), 1, "a record says all in its payload");
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await, [], "who is told needs no dead letter");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_grows_too_old_or_too_deep() {
    let mut kit = Kit::new().await;
    let bounds = Bounds {
        retries: 0,
        maximum_age: 60 * SECOND,
        dead_letter: Some((function("keeper"), Qualifier::Latest)),
        ..Bounds::default()
    };
    // Nobody is there to make it before it is too old.
    kit.deferred.drain(SECOND).await;
    kit.accept(bounds.clone(), Lineage::default()).await.unwrap();
    kit.dies(61 * SECOND).await;
    let made = kit.made(1).await;
    assert_eq!(
        (made[0].0.as_str(), &made[0].2),
        ("keeper:$LATEST", &json!({ "n": 1 }))
    );
    let said = kit.stage.contexts.lock().unwrap()[&made[0].1].clone();
    let said: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(
        said["custom"].get("ErrorCode"),
        None,
        "it was never tried: {said}"
    );
    assert_eq!(said["custom"]["ErrorMessage"], "expired");
    // One that would lie too deep in its chain is kept here.
    kit.fails([raised()]);
    let lineage = Lineage {
        root: Some(InvocationId::from_u128(99)),
        depth: Lineage::DEEPEST,
    };
    kit.accept(bounds, lineage).await.unwrap();
    kit.made(2).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        kit.letters().await,
        [(Reason::Exhausted, "async/worker".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_calls_has_an_end() {
    let mut kit = Kit::new().await;
    let root = Some(InvocationId::from_u128(99));
    let deepest = |depth| Lineage { root, depth };
    let refused = kit.accept(Bounds::default(), deepest(17)).await;
    assert!(matches!(refused, Err(Error::Loop(17))), "{refused:?}");
    let bounds = Bounds {
        on_success: Some((function("glad"), Qualifier::Latest)),
        ..Bounds::default()
    };
    kit.accept(bounds.clone(), deepest(16)).await.unwrap();
    let made = kit.made(1).await;
    assert_eq!(made[0].3, 16);
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await, [(Reason::Loop, "async/worker".to_owned())]);
    // One whose failure cannot be told either is a dead letter all the same.
    kit.fails([raised()]);
    let bounds = Bounds {
        retries: 0,
        on_failure: Some((function("sorry"), Qualifier::Latest)),
        on_success: None,
        ..bounds
    };
    kit.accept(bounds, deepest(16)).await.unwrap();
    kit.made(2).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_made_after_a_restart() {
    let mut kit = Kit::new().await;
    kit.deferred.drain(SECOND).await;
    // Nobody is there to make them: accepting is all that happens.
    for _ in 0..3 {
        kit.accept(Bounds::default(), Lineage::default()).await.unwrap();
    }
    assert!(kit.stage.made.borrow().is_empty());
    let again = Kit::open(&kit.ground, &kit.stage);
    again.resume().await.unwrap();
    kit.made(3).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(kit.letters().await, []);
}

/// Lambda's condition of its own: there is no answer to tell of.
#[tokio::test(start_paused = true)]
async fn a_call_of_what_is_not_to_run_is_given_up_at_once_and_told() {
    let mut kit = Kit::new().await;
    kit.fails([Fault::Busy {
        bound: aloft_call::Bound::Nothing,
        why: "nothing of it is to run".into(),
        retry_after: SECOND,
    }]);
    let bounds = Bounds {
        retries: 2,
        ..told_of_failure()
    };
    kit.accept(bounds, Lineage::default()).await.unwrap();
    let made = kit.made(2).await;
    assert_eq!(made[1].0, "sorry:$LATEST");
    let context = &made[1].2["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("ZeroReservedConcurrency"), &json!(0))
    );
    assert_eq!(made[1].2.get("responseContext"), None);
    assert_eq!(made[1].2.get("responsePayload"), None);
    assert_eq!(kit.letters().await, []);
}

/// Bounds without retries, of a call whose failure is told.
fn told_of_failure() -> Bounds {
    Bounds {
        retries: 0,
        on_failure: Some((function("sorry"), Qualifier::Latest)),
        ..Bounds::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_ends_with_the_node_is_made_again_at_once_and_uses_up_no_retry() {
    let mut kit = Kit::new().await;
    kit.hangs(Some(function("worker")));
    let id = kit.accept(told_of_failure(), Lineage::default()).await.unwrap();
    kit.made(1).await;
    kit.hangs(None);
    kit.fails([raised()]);
    kit.dies(SECOND).await;
    let made = kit.made(3).await;
    assert_eq!((made[1].0.as_str(), made[1].1), ("worker:$LATEST", id));
    let waited = made[1].4.since(made[0].4);
    assert!(
        waited < 2 * SECOND,
        "no claim of the dead node is waited for: {waited:?}"
    );
    // It ran and failed once, as far as anybody knows.
    let (name, _, record, ..) = &made[2];
    let context = &record["requestContext"];
    assert_eq!(name, "sorry:$LATEST");
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("RetriesExhausted"), &json!(1))
    );
    // A restart repeats nothing that has come to its end.
    kit.dies(SECOND).await;
    tokio::time::sleep(7 * 3_600 * SECOND).await;
    kit.made(3).await;
    assert_eq!(kit.letters().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_grows_too_old_while_no_node_is_there_is_told_and_not_made() {
    let mut kit = Kit::new().await;
    kit.hangs(Some(function("worker")));
    let bounds = Bounds {
        maximum_age: 60 * SECOND,
        ..told_of_failure()
    };
    kit.accept(bounds.clone(), Lineage::default()).await.unwrap();
    let nobody = Bounds {
        on_failure: None,
        ..bounds
    };
    kit.accept(nobody, Lineage::default()).await.unwrap();
    kit.made(2).await;
    kit.dies(61 * SECOND).await;
    let made = kit.made(3).await;
    let (name, _, record, ..) = &made[2];
    assert_eq!(name, "sorry:$LATEST");
    assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    tokio::time::sleep(SECOND).await;
    kit.made(3).await;
    assert_eq!(
        kit.letters().await,
        [(Reason::Expired, "async/worker".to_owned())],
        "the one that nobody is told of"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_with_which_the_node_always_ends_is_given_up_and_told() {
    let mut kit = Kit::new().await;
    kit.hangs(Some(function("worker")));
    kit.accept(told_of_failure(), Lineage::default()).await.unwrap();
    kit.made(1).await;
    let mut restarts = 0;
    loop {
        kit.dies(SECOND).await;
        restarts += 1;
        tokio::time::sleep(SECOND).await;
        let made = kit.stage.made.borrow().clone();
        if made.last().is_some_and(|(name, ..)| name == "sorry:$LATEST") {
            assert_eq!(made.len(), restarts + 1, "one attempt a start, and who is told");
            break;
        }
        assert!(restarts < 30, "{made:?}");
    }
    kit.dies(SECOND).await;
    tokio::time::sleep(SECOND).await;
    kit.made(restarts + 1).await;
    assert_eq!(kit.letters().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_at_work_only_while_something_waits_in_it() {
    let mut kit = Kit::new().await;
    for round in 1..=3 {
        kit.accept(Bounds::default(), Lineage::default()).await.unwrap();
        kit.made(round).await;
        assert_eq!(kit.deferred.working(), ["worker"]);
        tokio::time::sleep(200 * SECOND).await;
        assert!(kit.deferred.working().is_empty(), "it ended when nothing came");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let kit = Kit::new().await;
    let item = Item {
        function: function("worker"),
        qualifier: Qualifier::Latest,
        arn: String::new(),
        payload: vec![b'1'; MAX_PAYLOAD + 1].into(),
        context: None,
        trace: Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap(),
        bounds: Bounds::default(),
    };
    let id = InvocationId::from_u128(1);
    let refused = kit.deferred.accept(&item, id, Lineage::default()).await;
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    let largest = Item {
        payload: vec![b'1'; MAX_PAYLOAD].into(),
        ..item
    };
    kit.deferred
        .accept(&largest, id, Lineage::default())
        .await
        .unwrap();
}

#[test]
fn an_item_reads_back() {
    let item = Item {
        function: function("worker"),
        qualifier: "live".parse().unwrap(),
        arn: "arn".into(),
        payload: "{}".into(),
        context: Some("{\"custom\":{}}".into()),
        trace: Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap(),
        bounds: Bounds {
            retries: 1,
            maximum_age: 90 * SECOND,
            on_success: Some((function("a"), Qualifier::Version(3))),
            on_failure: None,
            dead_letter: Some((function("b"), Qualifier::Latest)),
        },
    };
    assert_eq!(Item::decode(&item.encode()).unwrap(), Some(item));
}
