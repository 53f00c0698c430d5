//! The meeting point of one instance's calls and its Runtime API: who waits for whom, in which order.
//!
//! A pure state machine behind a lock that belongs to this instance alone. The runtime's side asks for the next
//! invocation and answers it; the platform's side gives one invocation at a time and waits for its answer. Answers for
//! another request, second answers and calls out of order are refused with the error types of Lambda's own emulator.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use aloft_base::InvocationId;
use aloft_call::{FunctionError, Qualifier};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::{oneshot, watch};

use super::stream::To;

/// An invocation as the runtime gets it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: InvocationId,
    pub(crate) body: Bytes,
    pub(crate) deadline_ms: u64,
    pub(crate) trace: String,
    /// By which of the function's names it was called.
    pub(crate) qualifier: Qualifier,
    /// What its caller says of itself, JSON.
    pub(crate) context: Option<String>,
}

/// What the runtime made of an invocation.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Bytes),
    /// A streamed answer that was gathered, and whose head stands before its body.
    Headed(Bytes),
    /// It went to the caller while it was made: so many bytes.
    Streamed(u64),
    /// It is none.
    Garbage {
        why: String,
    },
    Error(FunctionError),
    /// The answer or the error broke off: what is known of it. The process's end, if that is why, says more.
    Broken(FunctionError),
    TooLarge {
        size: usize,
        limit: usize,
    },
}

/// How loading the code ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    Running,
    Done,
    Failed(FunctionError),
}

/// Why the runtime's request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The id is not that of the invocation under way.
    WrongId,
    /// The request does not fit the state.
    OutOfOrder {
        state: &'static str,
        wanted: &'static str,
    },
}

#[derive(Debug)]
enum State {
    /// The code loads.
    Loading,
    /// The runtime waits for an invocation.
    Waiting(oneshot::Sender<Job>),
    /// The runtime works on this invocation.
    Working { id: InvocationId, waiting: Waiting },
    /// The runtime has answered and not yet asked for the next; one may already lie ready.
    Answered(Option<(Job, Waiting)>),
    /// Loading failed; nothing more is expected.
    Failed,
}

/// Who waits for an invocation's answer.
#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Reply>,
    stream: Option<To>,
    /// Whether the answer is on its way to the caller: only who hands it on can end it.
    is_streaming: bool,
}

/// The right to end an invocation whose answer is handed on while it is made. It is given back when this is dropped before the end: the
/// connection broke, and the runtime may report an error on another.
#[derive(Debug)]
pub(crate) struct Relay<'a> {
    exchange: &'a Exchange,
    id: InvocationId,
}

/// The meeting point of one instance's calls and its Runtime API.
#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    init: watch::Sender<Init>,
    /// Who waits until the runtime asks for the next invocation.
    asked: AtomicWaker,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::Loading),
            init: watch::Sender::new(Init::Running),
            asked: AtomicWaker::new(),
        }
    }

    /// How loading ends, for whoever waits for it.
    pub(crate) fn init(&self) -> watch::Receiver<Init> {
        self.init.subscribe()
    }

    /// The platform's side: gives the runtime an invocation, unless it is not ready for one. The receiver ends without a reply when the
    /// instance does. The answer may be streamed to where `stream` says.
    pub(crate) fn give(&self, job: Job, stream: Option<To>) -> Option<oneshot::Receiver<Reply>> {
        let (reply, replied) = oneshot::channel();
        let waiting = Waiting {
            reply,
            stream,
            is_streaming: false,
        };
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Answered(None)) {
            State::Waiting(runtime) => {
                let id = job.id;
                match runtime.send(job) {
                    Ok(()) => {
                        *state = State::Working { id, waiting };
                        Some(replied)
                    }
                    // The runtime's connection broke while it waited; it may ask again on another.
                    Err(job) => {
                        *state = State::Answered(Some((job, waiting)));
                        Some(replied)
                    }
                }
            }
            State::Answered(None) => {
                *state = State::Answered(Some((job, waiting)));
                Some(replied)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Waits until the runtime has asked for the next invocation. One waits at a time.
    pub(crate) fn poll_asked(&self, context: &Context<'_>) -> Poll<()> {
        self.asked.register(context.waker());
        match *self.lock() {
            State::Waiting(_) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The runtime's side: `GET …/invocation/next`. What is returned resolves to the next invocation.
    pub(crate) fn next(&self) -> Result<oneshot::Receiver<Job>, Refused> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        match &mut *state {
            State::Loading => {
                *state = State::Waiting(sender);
                self.init.send_replace(Init::Done);
            }
            // A runtime that lost its connection asks again; the former question is void.
            State::Waiting(_) => *state = State::Waiting(sender),
            State::Answered(ready) => match ready.take() {
                Some((job, waiting)) => {
                    let id = job.id;
                    *state = State::Working { id, waiting };
                    // The receiver is at hand, so this cannot fail.
                    let _ = sender.send(job);
                }
                None => {
                    *state = State::Waiting(sender);
                    self.asked.wake();
                }
            },
            State::Working { .. } => {
                return Err(Refused::OutOfOrder {
                    state: "Busy",
                    wanted: "Ready",
                });
            }
            State::Failed => {
                return Err(Refused::OutOfOrder {
                    state: "InitError",
                    wanted: "Ready",
                });
            }
        }
        Ok(receiver)
    }

    /// The runtime's side: where the answer of this invocation may be streamed to, which is said once. From here on nothing else ends it.
    pub(crate) fn stream(&self, id: &str) -> Option<(To, Relay<'_>)> {
        match &mut *self.lock() {
            State::Working { id: current, waiting } if current.to_string() == id => {
                let to = waiting.stream.take()?;
                waiting.is_streaming = true;
                let relay = Relay {
                    exchange: self,
                    id: *current,
                };
                Some((to, relay))
            }
            _ => None,
        }
    }

    /// The runtime's side: an answer or an error for an invocation.
    pub(crate) fn answer(&self, id: &str, reply: Reply) -> Result<(), Refused> {
        self.finish(id, reply, false)
    }

    fn finish(&self, id: &str, reply: Reply, is_relay: bool) -> Result<(), Refused> {
        let mut state = self.lock();
        let refused = |state| {
            Err(Refused::OutOfOrder {
                state,
                wanted: "InvocationResponse",
            })
        };
        match &*state {
            State::Working { id: current, waiting } if current.to_string() == id => {
                if waiting.is_streaming && !is_relay {
                    return refused("InvocationResponse");
                }
            }
            State::Working { .. } | State::Waiting(_) | State::Answered(_) => return Err(Refused::WrongId),
            State::Loading => return refused("Initializing"),
            State::Failed => return refused("InitError"),
        }
        if let State::Working { waiting, .. } = std::mem::replace(&mut *state, State::Answered(None)) {
            // Nobody waits any more when the call timed out; the runtime need not know.
            let _ = waiting.reply.send(reply);
        }
        Ok(())
    }

    /// The runtime's side: the code could not be loaded.
    pub(crate) fn fail_init(&self, error: FunctionError) -> Result<(), Refused> {
        let mut state = self.lock();
        if !matches!(*state, State::Loading) {
            return Err(Refused::OutOfOrder {
                state: "Ready",
                wanted: "InitError",
            });
        }
        *state = State::Failed;
        self.init.send_replace(Init::Failed(error));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay<'_> {
    /// The answer has been handed on, or has broken off.
    pub(crate) fn end(self, reply: Reply) -> Result<(), Refused> {
        self.exchange.finish(&self.id.to_string(), reply, true)
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if let State::Working { id, waiting } = &mut *self.exchange.lock()
            && *id == self.id
        {
            waiting.is_streaming = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn job(id: u128) -> Job {
        Job {
            id: InvocationId::from_u128(id),
            body: Bytes::new(),
            deadline_ms: 0,
            trace: String::new(),
            qualifier: Qualifier::Latest,
            context: None,
        }
    }

    fn id(id: u128) -> String {
        InvocationId::from_u128(id).to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_the_next_question_is_woken_by_it() {
        let exchange = Exchange::new();
        let _next = exchange.next().unwrap();
        let reply = exchange.give(job(1), None).unwrap();
        exchange
            .answer(&id(1), Reply::Error(FunctionError::default()))
            .unwrap();
        assert!(matches!(reply.await, Ok(Reply::Error(_))));
        let began = Instant::now();
        let asked = poll_fn(|context| exchange.poll_asked(context));
        let (asked, next) = tokio::join!(tokio::time::timeout(Duration::from_secs(1), asked), async {
            tokio::task::yield_now().await;
            exchange.next()
        });
        assert!(asked.is_ok() && next.is_ok());
        assert_eq!(began.elapsed(), Duration::ZERO, "no clock has woken it");
    }

    #[tokio::test]
    async fn a_call_before_and_after_the_runtime_asks() {
        let exchange = Exchange::new();
        assert!(
            exchange.give(job(1), None).is_none(),
            "nothing is given while the code loads"
        );
        let next = exchange.next().unwrap();
        assert_eq!(*exchange.init().borrow(), Init::Done);
        let reply = exchange.give(job(1), None).unwrap();
        assert_eq!(next.await.unwrap().id, InvocationId::from_u128(1));
        exchange.answer(&id(1), Reply::Answer("a".into())).unwrap();
        assert!(matches!(reply.await, Ok(Reply::Answer(body)) if body == "a"));
        // The next one is given before the runtime asks.
        let reply = exchange.give(job(2), None).unwrap();
        assert!(exchange.give(job(3), None).is_none(), "one at a time");
        assert_eq!(
            exchange.next().unwrap().await.unwrap().id,
            InvocationId::from_u128(2)
        );
        exchange.answer(&id(2), Reply::Answer("b".into())).unwrap();
        assert!(matches!(reply.await, Ok(Reply::Answer(body)) if body == "b"));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_changes_nothing() {
        let exchange = Exchange::new();
        let early = exchange.answer(&id(1), Reply::Answer(Bytes::new()));
        assert!(matches!(early, Err(Refused::OutOfOrder { .. })));
        let _next = exchange.next().unwrap();
        let mut reply = exchange.give(job(1), None).unwrap();
        assert_eq!(
            exchange.answer(&id(9), Reply::Answer(Bytes::new())),
            Err(Refused::WrongId)
        );
        assert_eq!(
            exchange.answer("nonsense", Reply::Answer(Bytes::new())),
            Err(Refused::WrongId)
        );
        assert!(exchange.next().is_err(), "an invocation is under way");
        assert!(reply.try_recv().is_err(), "no answer has been taken");
        exchange.answer(&id(1), Reply::Answer(Bytes::new())).unwrap();
        assert_eq!(
            exchange.answer(&id(1), Reply::Answer(Bytes::new())),
            Err(Refused::WrongId),
            "twice"
        );
        assert!(
            exchange.fail_init(FunctionError::default()).is_err(),
            "loading is over"
        );
    }

    #[tokio::test]
    async fn an_answer_on_its_way_is_ended_by_who_hands_it_on() {
        let exchange = Exchange::new();
        let _next = exchange.next().unwrap();
        let (sink, _beginning) = oneshot::channel();
        let to = To {
            sink,
            version: 1,
            is_http: false,
            until: tokio::time::Instant::now() + std::time::Duration::from_secs(900),
        };
        let mut reply = exchange.give(job(1), Some(to)).unwrap();
        let (_, relay) = exchange.stream(&id(1)).unwrap();
        assert!(exchange.stream(&id(1)).is_none());
        for other in [
            Reply::Answer(Bytes::new()),
            Reply::Error(FunctionError::default()),
        ] {
            let refused = exchange.answer(&id(1), other).unwrap_err();
            assert!(matches!(
                refused,
                Refused::OutOfOrder {
                    state: "InvocationResponse",
                    ..
                }
            ));
        }
        assert_eq!(
            exchange.answer(&id(2), Reply::Answer(Bytes::new())),
            Err(Refused::WrongId)
        );
        assert!(reply.try_recv().is_err());
        relay.end(Reply::Streamed(3)).unwrap();
        assert!(matches!(reply.await, Ok(Reply::Streamed(3))));
    }

    #[tokio::test]
    async fn when_its_connection_broke_an_error_ends_it() {
        let exchange = Exchange::new();
        let _next = exchange.next().unwrap();
        let (sink, _beginning) = oneshot::channel();
        let to = To {
            sink,
            version: 1,
            is_http: false,
            until: tokio::time::Instant::now() + std::time::Duration::from_secs(900),
        };
        let reply = exchange.give(job(1), Some(to)).unwrap();
        drop(exchange.stream(&id(1)).unwrap());
        exchange
            .answer(&id(1), Reply::Error(FunctionError::default()))
            .unwrap();
        assert!(matches!(reply.await, Ok(Reply::Error(_))));
    }

    #[tokio::test]
    async fn a_failed_load_is_told_to_whoever_waits() {
        let exchange = Exchange::new();
        let mut init = exchange.init();
        let error = FunctionError {
            kind: "E".into(),
            message: "m".into(),
            ..FunctionError::default()
        };
        exchange.fail_init(error.clone()).unwrap();
        assert_eq!(
            *init.wait_for(|init| *init != Init::Running).await.unwrap(),
            Init::Failed(error)
        );
        assert!(exchange.next().is_err());
    }

    /// What the documentation says about the exchange's state: the naive twin.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Model {
        Loading,
        Waiting,
        Working(u128),
        Answered,
        Ready(u128),
        Failed,
    }

    proptest::proptest! {
        /// Whatever a runtime asks in whatever order, it gets the documented answer, each call gets its own reply once, and
        /// what is refused changes nothing.
        #[test]
        fn any_order_of_requests_gets_the_documented_answer(
            steps in proptest::collection::vec((0_u8..6, 0_u128..4), 1..60),
        ) {
            let exchange = Exchange::new();
            let (mut model, mut given) = (Model::Loading, 0_u128);
            let mut asked: Option<oneshot::Receiver<Job>> = None;
            let mut replied: Option<oneshot::Receiver<Reply>> = None;
            for (step, pick) in steps {
                match step {
                    0 => {
                        given += 1;
                        let accepted = exchange.give(job(given), None);
                        let expected = match model {
                            Model::Waiting if asked.is_some() => Some(Model::Working(given)),
                            // The one who asked has gone: it is kept for the next who asks.
                            Model::Waiting | Model::Answered => Some(Model::Ready(given)),
                            _ => None,
                        };
                        assert_eq!(accepted.is_some(), expected.is_some(), "{model:?}");
                        if let (Some(next), Some(reply)) = (expected, accepted) {
                            if let Model::Working(id) = next {
                                let job = asked.take().unwrap().try_recv().unwrap();
                                assert_eq!(job.id, InvocationId::from_u128(id));
                            }
                            (model, replied) = (next, Some(reply));
                        }
                    }
                    1 => match (exchange.next(), model) {
                        (Ok(mut receiver), Model::Ready(id)) => {
                            assert_eq!(receiver.try_recv().unwrap().id, InvocationId::from_u128(id));
                            model = Model::Working(id);
                        }
                        (Ok(receiver), Model::Loading | Model::Waiting | Model::Answered) => {
                            (model, asked) = (Model::Waiting, Some(receiver));
                        }
                        (Err(Refused::OutOfOrder { state: "Busy", wanted: "Ready" }), Model::Working(_))
                        | (Err(Refused::OutOfOrder { state: "InitError", wanted: "Ready" }), Model::Failed) => {}
                        (got, model) => panic!("{model:?}: {got:?}"),
                    },
                    2 | 3 => {
                        // The invocation under way, a former one, or one that never was.
                        let named = if pick == 0 { given } else { given.saturating_sub(pick) };
                        let reply = match step {
                            2 => Reply::Answer(named.to_string().into()),
                            _ => Reply::Error(FunctionError::default()),
                        };
                        match (exchange.answer(&id(named), reply), model) {
                            (Ok(()), Model::Working(current)) if current == named => {
                                model = Model::Answered;
                                match (replied.take().unwrap().try_recv().unwrap(), step) {
                                    (Reply::Answer(body), 2) => assert_eq!(body, named.to_string()),
                                    (Reply::Error(_), 3) => {}
                                    (got, _) => panic!("{got:?}"),
                                }
                            }
                            (Err(Refused::WrongId), Model::Working(current)) if current != named => {}
                            (Err(Refused::WrongId), Model::Waiting | Model::Answered | Model::Ready(_)) => {}
                            (Err(Refused::OutOfOrder { state: "Initializing", .. }), Model::Loading)
                            | (Err(Refused::OutOfOrder { state: "InitError", .. }), Model::Failed) => {}
                            (got, model) => panic!("{model:?}: {got:?}"),
                        }
                    }
                    4 => {
                        let failed = exchange.fail_init(FunctionError::default());
                        assert_eq!(failed.is_ok(), model == Model::Loading);
                        if failed.is_ok() {
                            model = Model::Failed;
                        }
                    }
                    // The runtime's connection breaks while it waits.
                    _ => asked = None,
                }
                if let Some(reply) = &mut replied {
                    assert!(reply.try_recv().is_err(), "{model:?}: nobody has answered");
                }
                let init = match model {
                    Model::Loading => Init::Running,
                    Model::Failed => Init::Failed(FunctionError::default()),
                    _ => Init::Done,
                };
                assert_eq!(*exchange.init().borrow(), init);
            }
        }
    }
}
