//! One running process: gives it calls, waits for its answers, and ends it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use aloft_base::{Clock, Stall, Tasks};
use aloft_call::{Answer, Call, Caller, Fault, FunctionError, Payload};
use aloft_function::Version;
use aloft_http::{BodyError, Drive, collect};
use aloft_sandbox::{Exit, Sandbox};
use async_trait::async_trait;
use bytes::Bytes;

use super::lineage::Causes;
use super::logs::Logs;
use crate::contract::lambda::{
    Exchange, Job, Reply, To, decode_headed, decode_http, encode_event, encode_http,
};
use crate::runtime::{Called, Instance};

/// Lambda's bound for a call's payload.
const PAYLOAD_LIMIT: usize = 6 << 20;
/// How long a runtime may take to go on after an error, and how long after a reply that broke off the process's end may come and say why. The kernel closes a dying process's
/// connections before its end is told; in between lie milliseconds.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct ProcessInstance {
    pub(super) version: Arc<Version>,
    pub(super) caller: Caller,
    pub(super) sandbox: Sandbox,
    pub(super) exchange: Arc<Exchange>,
    /// The connections of its Runtime API. A call drives them itself: see [`Drive`].
    pub(super) drive: Drive,
    /// The clock of the call under way.
    pub(super) overdue: Mutex<Stall>,
    pub(super) peak: Peak,
    pub(super) tasks: OwnTasks,
    pub(super) logs: Arc<Logs>,
    pub(super) causes: Causes,
    pub(super) clock: Arc<dyn Clock>,
}

/// An instance's own tasks, which answer on its listeners. They end with it, also with one that is dropped while it starts, by
/// an error or by a panic; the sandbox does so by itself.
pub(super) struct OwnTasks(pub(super) Tasks);

impl Drop for OwnTasks {
    fn drop(&mut self) {
        self.0.stop().ask();
    }
}

impl ProcessInstance {
    /// Waits for the process's end, before the code was loaded.
    pub(super) async fn exit_before_loaded(&self) -> Fault {
        match self.exit_fault().await {
            Fault::Exited { how } => {
                let message = format!("the process ended before the code was loaded: {how}");
                Fault::Init(FunctionError {
                    kind: "Runtime.ExitError".into(),
                    message,
                    ..FunctionError::default()
                })
            }
            other => other,
        }
    }

    /// Waits for the process's end, which is why there is no answer.
    async fn exit_fault(&self) -> Fault {
        match self.sandbox.exited().await {
            Exit { oom: true, .. } => Fault::OutOfMemory {
                limit_mb: self.version.memory.bytes() >> 20,
            },
            Exit {
                status: Some(status), ..
            } => Fault::Exited {
                how: format!("exit status {status}"),
            },
            Exit {
                signal: Some(signal), ..
            } => Fault::Exited {
                how: format!("signal {signal}"),
            },
            Exit { .. } => Fault::Exited {
                how: "its sandbox was ended".into(),
            },
        }
    }

    /// The call's payload as the contract has it.
    async fn payload(&self, call: Call) -> Result<(Bytes, bool), Fault> {
        let principal = call.caller.principal;
        match call.payload {
            Payload::Http(mut http) => {
                let body = std::mem::replace(&mut http.body, aloft_http::empty());
                let body = collect(body, PAYLOAD_LIMIT)
                    .await
                    .map_err(|error| unread(&error))?;
                let now = self.clock.now();
                Ok((
                    encode_http(&http, &body, call.id, &self.caller.tenant, &principal, now).into(),
                    true,
                ))
            }
            Payload::Event(event) => Ok((
                encode_event(&event, &self.caller.tenant, &self.caller.region)?.into(),
                false,
            )),
            Payload::Direct(direct) if direct.body.is_empty() => Ok((Bytes::from_static(b"null"), false)),
            Payload::Direct(direct) => Ok((direct.body, false)),
        }
    }

    /// Waits for the reply, the process's end or the deadline, whichever comes first.
    async fn reply(
        &self,
        mut replied: tokio::sync::oneshot::Receiver<Reply>,
        timeout: Duration,
    ) -> Result<Said, (Fault, bool)> {
        let driving = self.drive.take();
        let mut ended = pin!(self.exit_fault());
        let mut is_closed = false;
        let (mut broken, mut told) = (None::<FunctionError>, None::<FunctionError>);
        let mut grace = Stall::default();
        self.overdue().restart();
        poll_fn(|cx| {
            driving.poll(cx);
            // A reply that has come counts, even when the process ended right after it.
            if !is_closed {
                match Pin::new(&mut replied).poll(cx) {
                    Poll::Ready(Ok(Reply::Broken(error))) => (broken, is_closed) = (Some(error), true),
                    Poll::Ready(Ok(Reply::Error(error))) => (told, is_closed) = (Some(error), true),
                    Poll::Ready(Ok(reply)) => return Poll::Ready(outcome(reply)),
                    // There will be none: the process's end says why.
                    Poll::Ready(Err(_)) => is_closed = true,
                    Poll::Pending => {}
                }
            }
            // After an error a runtime may go on or end. One that ends must not be given a call in between.
            if told.is_some() && self.exchange.is_waiting() {
                return Poll::Ready(Err((Fault::Raised(told.take().unwrap_or_default()), true)));
            }
            if let Poll::Ready(fault) = ended.as_mut().poll(cx) {
                return Poll::Ready(Err((told.take().map_or(fault, Fault::Raised), false)));
            }
            if told.is_some() && grace.poll(cx, GRACE).is_ready() {
                return Poll::Ready(Err((Fault::Raised(told.take().unwrap_or_default()), false)));
            }
            if broken.is_some() && grace.poll(cx, GRACE).is_ready() {
                let error = broken.take().unwrap_or_default();
                return Poll::Ready(Err((Fault::Raised(error), false)));
            }
            let overdue = self.overdue().poll(cx, timeout);
            overdue.map(|()| Err((Fault::TimedOut { after: timeout }, false)))
        })
        .await
    }

    fn overdue(&self) -> std::sync::MutexGuard<'_, Stall> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, mut call: Call) -> Called {
        let (id, trace, caller_deadline) = (call.id, call.trace, call.deadline);
        let (context, is_tailed) = match &mut call.payload {
            Payload::Direct(direct) => (direct.context.take(), direct.is_tailed),
            Payload::Http(_) | Payload::Event(_) => (None, false),
        };
        let qualifier = std::mem::take(&mut call.qualifier);
        let sink = call.stream.take();
        let not_run = |fault| Called {
            result: Err(fault),
            run: Duration::ZERO,
            bytes: (0, 0),
            tail: None,
            is_reusable: true,
        };
        self.causes.begin(&call);
        let (body, is_http) = match self.payload(call).await {
            Ok(payload) => payload,
            Err(fault) => return not_run(fault),
        };
        let in_bytes = body.len();
        let started = self.clock.instant();
        let timeout = caller_deadline.map_or(self.version.timeout, |deadline| {
            self.version
                .timeout
                .min(deadline.saturating_duration_since(started))
        });
        let deadline_ms = (self.clock.now() + timeout).as_millis();
        self.logs.begin(id, is_tailed);
        let job = Job {
            id,
            body,
            deadline_ms,
            trace: trace.xray(),
            qualifier,
            context,
        };
        let stream = sink.map(|sink| To {
            sink,
            version: self.version.number,
            is_http,
        });
        let result = match self.exchange.give(job, stream) {
            Some(replied) => self.reply(replied, timeout).await,
            None => Err((
                Fault::Platform {
                    why: "the instance was not ready for a call".into(),
                },
                false,
            )),
        };
        let ended = self.clock.instant();
        let run = ended.duration_since(started);
        self.peak.note(run, ended);
        let (result, is_reusable, out_bytes) = match result {
            Ok(said) => {
                let out_bytes = said.bytes();
                let answer = match said {
                    Said::Streamed(_) => Ok(Answer::Streamed),
                    Said::Whole(bytes, true) if is_http => decode_headed(bytes).map(Answer::Http),
                    Said::Whole(bytes, false) if is_http => decode_http(bytes).map(Answer::Http),
                    Said::Whole(bytes, _) => Ok(Answer::Bytes(bytes)),
                };
                (answer, true, out_bytes)
            }
            Err((fault, is_reusable)) => (Err(fault), is_reusable, 0),
        };
        Called {
            result,
            run,
            bytes: (in_bytes as u64, out_bytes),
            tail: self.logs.tail(),
            is_reusable,
        }
    }
}

#[async_trait]
impl Instance for ProcessInstance {
    async fn call(&self, call: Call) -> Called {
        self.run(call).await
    }

    async fn ended(&self) {
        self.sandbox.exited().await;
        // Not waited for: until this returns, the controller would still give calls to a process that is gone.
        self.tasks.0.stop().ask();
    }

    fn stop(&self) {
        self.sandbox.kill();
        self.tasks.0.stop().ask();
    }

    fn memory_peak(&self) -> u64 {
        self.peak.get(|| self.sandbox.usage().memory_peak.bytes())
    }
}

/// An answer as the runtime gave it.
enum Said {
    /// And whether its head stands before its body.
    Whole(Bytes, bool),
    /// So many bytes went to the caller.
    Streamed(u64),
}

impl Said {
    fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes, _) => bytes.len() as u64,
            Self::Streamed(bytes) => *bytes,
        }
    }
}

fn outcome(reply: Reply) -> Result<Said, (Fault, bool)> {
    match reply {
        Reply::Answer(bytes) => Ok(Said::Whole(bytes, false)),
        Reply::Headed(bytes) => Ok(Said::Whole(bytes, true)),
        Reply::Streamed(bytes) => Ok(Said::Streamed(bytes)),
        Reply::Garbage { why } => Err((Fault::Garbage { why }, true)),
        Reply::Error(error) => Err((Fault::Raised(error), true)),
        Reply::Broken(error) => Err((Fault::Raised(error), false)),
        Reply::TooLarge { size, limit } => Err((Fault::AnswerTooLarge { size, limit }, true)),
    }
}

/// The most memory that the instance has used, as last read. Reading it is a system call, so it is left out after a call
/// too short to have changed the figure by much, until some time has passed.
#[derive(Debug, Default)]
pub(super) struct Peak {
    bytes: AtomicU64,
    is_fresh: AtomicBool,
    read_at: Mutex<Option<Instant>>,
}

impl Peak {
    /// Calls shorter than this touch a few MiB at most.
    const SHORT: Duration = Duration::from_millis(1);
    const LASTS: Duration = Duration::from_millis(100);

    /// A call has ended at `now`, after this long.
    fn note(&self, run: Duration, now: Instant) {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stale = read_at.is_none_or(|at| now.saturating_duration_since(at) > Self::LASTS);
        if run >= Self::SHORT || is_stale {
            *read_at = Some(now);
            self.is_fresh.store(false, Ordering::Relaxed);
        }
    }

    fn get(&self, read: impl FnOnce() -> u64) -> u64 {
        if !self.is_fresh.swap(true, Ordering::Relaxed) {
            self.bytes.store(read(), Ordering::Relaxed);
        }
        self.bytes.load(Ordering::Relaxed)
    }
}

fn unread(error: &BodyError) -> Fault {
    Fault::Payload {
        why: error.to_string(),
        too_large: matches!(error, BodyError::TooLarge { .. }),
    }
}
