//! A runtime that the test plays: it is told of each start and each call, and says what becomes of it and when.
//!
//! Time is tokio's, paused: it moves only when everything else waits, so that `settled` is a fact and not a guess.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use aloft_base::{InvocationId, Stop};
use aloft_call::{Answer, Call, Fault};
use aloft_function::Version;
use aloft_instance::{Called, Initialization, Instance, Runtime, Started};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

/// Nothing takes longer in these tests; what does hangs.
const FOREVER: Duration = Duration::from_secs(86_400);
/// More than any test has under way.
const PLACES: usize = 64;

/// Lets everything happen that can happen without time passing.
pub(super) async fn settled() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What is waited for, or a failed test.
pub(super) async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(FOREVER, wait).await {
        Ok(done) => done,
        Err(_) => panic!("it never happened: {what}"),
    }
}

/// The runtime as the controller has it.
pub(super) struct Scripted(mpsc::Sender<Start>);

/// The runtime as the test plays it.
pub(super) struct Script(mpsc::Receiver<Start>);

/// An instance that is to be started.
pub(super) struct Start {
    pub(super) version: Arc<Version>,
    began: tokio::time::Instant,
    loaded: oneshot::Sender<Result<Started, Fault>>,
}

/// A loaded instance.
pub(super) struct Loaded {
    instance: Arc<ScriptedInstance>,
    calls: mpsc::Receiver<Given>,
}

/// A call that runs on an instance.
pub(super) struct Given {
    pub(super) id: InvocationId,
    began: tokio::time::Instant,
    called: oneshot::Sender<Called>,
}

struct ScriptedInstance {
    calls: mpsc::Sender<Given>,
    end: Stop,
    stopped: Stop,
    /// Whether its end after a stop is the test's to tell.
    lingers: AtomicBool,
    holds_memory: AtomicBool,
    peak: AtomicU64,
}

pub(super) fn script() -> (Arc<Scripted>, Script) {
    let (sender, receiver) = mpsc::channel(PLACES);
    (Arc::new(Scripted(sender)), Script(receiver))
}

impl Script {
    pub(super) async fn start(&mut self) -> Start {
        soon("a start", self.0.recv()).await.unwrap()
    }

    /// Whether everything that was asked for has been seen.
    pub(super) async fn is_quiet(&mut self) -> bool {
        settled().await;
        self.0.is_empty()
    }
}

impl Start {
    /// The code is loaded.
    pub(super) fn load(self) -> Loaded {
        let (sender, calls) = mpsc::channel(PLACES);
        let instance = Arc::new(ScriptedInstance {
            calls: sender,
            end: Stop::new(),
            stopped: Stop::new(),
            lingers: AtomicBool::new(false),
            holds_memory: AtomicBool::new(true),
            peak: AtomicU64::new(1 << 20),
        });
        let started = Started {
            instance: instance.clone(),
            init: self.began.elapsed(),
            sandbox: Duration::ZERO,
        };
        assert!(
            self.loaded.send(Ok(started)).is_ok(),
            "nobody waits for the start"
        );
        Loaded { instance, calls }
    }

    pub(super) fn fail(self, fault: Fault) {
        assert!(self.loaded.send(Err(fault)).is_ok(), "nobody waits for the start");
    }

    /// The platform's own code panics.
    pub(super) fn panic(self) {
        drop(self.loaded);
    }
}

impl Loaded {
    /// The next call that this instance is given.
    pub(super) async fn call(&mut self) -> Given {
        soon("a call", self.calls.recv()).await.unwrap()
    }

    pub(super) async fn is_idle(&mut self) -> bool {
        settled().await;
        self.calls.is_empty()
    }

    /// The process ends by itself.
    pub(super) fn crash(&self) {
        self.instance.end.ask();
    }

    /// It takes its time when it is stopped: its end is told by a crash.
    pub(super) fn linger(&self) {
        self.instance.lingers.store(true, SeqCst);
    }

    /// From now on nothing of it is there between two calls.
    pub(super) fn is_gone_between_calls(&self) {
        self.instance.holds_memory.store(false, SeqCst);
    }

    /// It has used so much memory.
    pub(super) fn uses(&self, mib: u64) {
        self.instance.peak.store(mib << 20, SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.instance.stopped.is_asked()
    }

    /// Waits until the controller stops it.
    pub(super) async fn stopped(&self) {
        soon("a stop", self.instance.stopped.asked()).await;
    }
}

impl Given {
    pub(super) fn answer(self, answer: &'static str) {
        self.end(Ok(Answer::Bytes(answer.into())), true);
    }

    pub(super) fn fail(self, fault: Fault, is_reusable: bool) {
        self.end(Err(fault), is_reusable);
    }

    /// The platform's own code panics.
    pub(super) fn panic(self) {
        drop(self.called);
    }

    fn end(self, result: Result<Answer, Fault>, is_reusable: bool) {
        let called = Called {
            tail: None,
            result,
            run: self.began.elapsed(),
            bytes: (2, 3),
            is_reusable,
        };
        assert!(self.called.send(called).is_ok(), "nobody waits for the call");
    }
}

#[async_trait]
impl Runtime for Scripted {
    async fn start(&self, version: Arc<Version>, _: Initialization) -> Result<Started, Fault> {
        let (loaded, result) = oneshot::channel();
        let start = Start {
            version,
            began: tokio::time::Instant::now(),
            loaded,
        };
        self.0.try_send(start).ok().unwrap();
        result.await.expect("a panic that the test asked for")
    }
}

#[async_trait]
impl Instance for ScriptedInstance {
    async fn call(&self, call: Call) -> Called {
        let (called, result) = oneshot::channel();
        let began = tokio::time::Instant::now();
        let given = Given {
            id: call.id,
            began,
            called,
        };
        self.calls.try_send(given).ok().unwrap();
        tokio::select! {
            // An answer that has come counts, even when the process ended right after it.
            biased;
            called = result => called.expect("a panic that the test asked for"),
            () = self.end.asked() => Called {
                tail: None,
                result: Err(Fault::Exited { how: "signal: killed".into() }),
                run: began.elapsed(),
                bytes: (2, 0),
                is_reusable: false,
            },
        }
    }

    async fn ended(&self) {
        self.end.asked().await;
    }

    fn stop(&self) {
        self.stopped.ask();
        if !self.lingers.load(SeqCst) {
            self.end.ask();
        }
    }

    fn memory_peak(&self) -> u64 {
        self.peak.load(SeqCst)
    }

    fn holds_memory(&self) -> bool {
        self.holds_memory.load(SeqCst)
    }
}
