//! Answers piece by piece: what a caller gets, what holds up the function, and what does not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use aloft_base::{InvocationId, Region, SeededChance, Stop, Tenant};
use aloft_http::collect;
use async_trait::async_trait;
use futures_util::poll;

use super::*;
use crate::{Answer, Caller, Fault, Lineage, Payload, Principal, Qualifier, Trace, Usage};

/// A function that says these pieces, or answers as a whole without any, and ends so.
struct Toy {
    pieces: Vec<Bytes>,
    result: Mutex<Option<Result<Answer, Fault>>>,
    has_ended: AtomicBool,
    /// Of its call's time.
    left: Duration,
}

fn toy(pieces: &[&'static str], result: Result<Answer, Fault>) -> Arc<Toy> {
    Arc::new(Toy {
        pieces: pieces
            .iter()
            .map(|piece| Bytes::from_static(piece.as_bytes()))
            .collect(),
        result: Mutex::new(Some(result)),
        has_ended: AtomicBool::new(false),
        left: Duration::from_secs(900),
    })
}

#[async_trait]
impl Invoke for Toy {
    async fn invoke(&self, _: &FunctionId, call: Call) -> Outcome {
        if !self.pieces.is_empty() {
            let (beginning, mut pieces) =
                Beginning::new(http::Response::new(()), 3, Instant::now() + self.left);
            let _ = call.stream.unwrap().send(beginning);
            for piece in &self.pieces {
                tokio::task::yield_now().await;
                pieces.send(piece.clone()).await;
            }
        }
        self.has_ended.store(true, Ordering::SeqCst);
        Outcome {
            id: call.id,
            result: self.result.lock().unwrap().take().unwrap(),
            usage: Usage::default(),
            tail: None,
        }
    }
}

fn call() -> Call {
    Call {
        id: InvocationId::from_u128(1),
        qualifier: Qualifier::Latest,
        caller: Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal: Principal::Anonymous,
        },
        payload: Payload::Direct("{}".into()),
        lineage: Lineage::default(),
        deadline: None,
        trace: Trace::begin(&SeededChance::new(1)),
        stream: None,
    }
}

async fn begin(toy: &Arc<Toy>, tasks: &Tasks) -> Begun {
    let streams = Streams::new(toy.clone(), tasks.clone());
    streams
        .begin(&FunctionId::new(&Tenant::local(), &"f".parse().unwrap()), call())
        .await
}

fn streaming(begun: Begun) -> Streaming {
    match begun {
        Begun::Stream(streaming) => streaming,
        Begun::Whole(outcome) => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn pieces_come_in_their_order_and_the_outcome_behind_them() {
    let tasks = Tasks::new(Stop::new());
    let toy = toy(&["a", "b", "c"], Ok(Answer::Streamed));
    let streaming = streaming(begin(&toy, &tasks).await);
    assert_eq!(streaming.version, 3);
    let all: Vec<Next> = streaming.rest.collect().await;
    let [
        Next::Piece(a),
        Next::Piece(b),
        Next::Piece(c),
        Next::End(Some(outcome)),
    ] = &all[..]
    else {
        panic!("{all:?}");
    };
    assert_eq!([a, b, c], ["a", "b", "c"]);
    assert!(matches!(outcome.result, Ok(Answer::Streamed)));
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_whole() {
    let tasks = Tasks::new(Stop::new());
    for result in [Ok(Answer::Bytes("{}".into())), Err(Fault::Draining)] {
        let expected = result.is_ok();
        match begin(&toy(&[], result), &tasks).await {
            Begun::Whole(outcome) => assert_eq!(outcome.result.is_ok(), expected),
            Begun::Stream(streaming) => panic!("{streaming:?}"),
        }
    }
    assert_eq!(tasks.running(), 0, "no task is started for it");
}

#[tokio::test]
async fn a_body_is_whole_only_if_the_call_ended_well() {
    let tasks = Tasks::new(Stop::new());
    let good = streaming(begin(&toy(&["ab", "c"], Ok(Answer::Streamed)), &tasks).await);
    assert_eq!(collect(good.into_response().into_body(), 9).await.unwrap(), "abc");
    let bad = streaming(begin(&toy(&["ab", "c"], Err(Fault::Draining)), &tasks).await);
    let error = collect(bad.into_response().into_body(), 9).await.unwrap_err();
    assert!(matches!(error, BodyError::Broken(_)), "{error}");
    assert!(error.to_string().contains("shutting down"), "{error}");
}

/// One that takes too little for too long is given up, and is told so; the function is heard out.
#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_too_little_is_given_up() {
    const HELD: usize = PIECES + 2;
    // What has 900 s waits as a server does for a client; what has ten leaves the function half of them.
    for (left, holds) in [(900, 30), (10, 5)] {
        let left = Duration::from_secs(left);
        let tasks = Tasks::new(Stop::new());
        let mut toy = toy(&["x"; HELD], Ok(Answer::Streamed));
        Arc::get_mut(&mut toy).unwrap().left = left;
        let began = Instant::now();
        let streaming = streaming(begin(&toy, &tasks).await);
        while tasks.running() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(toy.has_ended.load(Ordering::SeqCst));
        let held = began.elapsed().as_secs_f64();
        assert!((held - f64::from(holds)).abs() < 1.0, "{held}");
        let error = collect(streaming.into_response().into_body(), 9)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("too slowly"), "{error}");
    }
    // One that takes a byte now and then is given up by what it has taken in all, as a request is that brings so little.
    let tasks = Tasks::new(Stop::new());
    let toy = toy(&["x"; 100], Ok(Answer::Streamed));
    let began = Instant::now();
    let mut streaming = streaming(begin(&toy, &tasks).await);
    let mut taken = 0;
    let outcome = loop {
        tokio::time::sleep(Duration::from_secs(9)).await;
        match streaming.rest.next().await.unwrap() {
            Next::Piece(_) => taken += 1,
            Next::End(outcome) => break outcome.unwrap(),
        }
    };
    assert!(outcome.result.is_err());
    assert!(taken < 10, "{taken}");
    assert!(began.elapsed() < Duration::from_secs(120));
}

/// A client that does not read holds up the function, and one that goes away does not: a call that runs is carried to its end.
#[tokio::test]
async fn a_full_channel_holds_up_the_function_and_a_lost_caller_does_not() {
    let tasks = Tasks::new(Stop::new());
    let toy = toy(&["x"; PIECES + 2], Ok(Answer::Streamed));
    let mut streaming = streaming(begin(&toy, &tasks).await);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!toy.has_ended.load(Ordering::SeqCst), "{PIECES} lie there unread");
    assert!(poll!(streaming.rest.next()).is_ready());
    drop(streaming);
    while tasks.running() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(toy.has_ended.load(Ordering::SeqCst));
}
