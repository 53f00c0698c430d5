//! The talk with one instance by Lambda's Runtime API: a call is given to the exchange, and the runtime's answer is waited for.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use aloft_base::Stall;
use aloft_call::{Answer, Call, Fault, FunctionError, Payload};
use aloft_function::Version;
use aloft_http::{Drive, Limits, collect};
use aloft_sandbox::{Isolation, Listen};
use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderName;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::exchange::{Exchange, Init, Job, Reply};
use super::http_event::{decode as decode_http, decode_headed, encode as encode_http};
use super::records::encode as encode_event;
use super::server::{ANSWER_LIMIT, RuntimeApi};
use super::stream::To;
use crate::contract::{Begun, Contract, Needs, Session, Spoken, forwarded};
use crate::process::{GRACE, PAYLOAD_LIMIT, Process, adopt, unread};

/// Where Lambda's emulator has the Runtime API.
const PORT: u16 = 9001;
/// The trace, in the words of X-Ray.
const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// Lambda's bound for loading the code. A function whose calls may take longer may also take so long to load: Lambda lets its first call do it.
const PATIENCE: Duration = Duration::from_secs(10);
/// As long as an instance can live.
const LONG: Duration = Duration::from_secs(86_400 * 365);

/// Lambda's contract.
pub(crate) struct Lambda;

impl Contract for Lambda {
    fn needs(&self, version: &Version, _: Isolation) -> Result<Needs, Fault> {
        Ok(Needs {
            listen: vec![Listen {
                port: PORT,
                announce: Some(("AWS_LAMBDA_RUNTIME_API".into(), "".into())),
            }],
            patience: PATIENCE.max(version.timeout),
            ..Needs::default()
        })
    }

    fn begin(&self, begun: Begun) -> Result<Arc<dyn Session>, Fault> {
        let [listener] = <[_; 1]>::try_from(begun.listeners).map_err(|listeners| Fault::Platform {
            why: format!("the sandbox opened {} listeners instead of 1", listeners.len()),
        })?;
        let (tenant, region) = (&begun.caller.tenant, &begun.caller.region);
        let arn = format!(
            "arn:aws:lambda:{region}:{tenant}:function:{}",
            begun.version.function.name
        );
        let limits = Limits {
            connections: 16,
            // A too large answer is heard out here, so that the caller is told of it.
            body_bytes: usize::MAX,
            held_bytes: ANSWER_LIMIT,
            // The runtime waits for its next invocation as long as it takes, and may be as slow as it likes with an answer: its function's
            // timeout ends it.
            idle_time: LONG,
            body_stall: LONG,
            drain: Duration::ZERO,
            ..Limits::default()
        };
        let exchange = Arc::new(Exchange::new());
        let api = Arc::new(RuntimeApi::new(exchange.clone(), &arn));
        let drive = aloft_http::serve_driven(adopt(listener)?, limits, &begun.room, api, &begun.tasks);
        Ok(Arc::new(Talk {
            exchange,
            drive,
            overdue: Mutex::default(),
        }))
    }
}

struct Talk {
    exchange: Arc<Exchange>,
    /// The connections of the Runtime API. A call drives them itself: see [`Drive`].
    drive: Drive,
    /// The clock of the call under way.
    overdue: Mutex<Stall>,
}

impl Talk {
    /// Waits for the reply, the process's end or the deadline, whichever comes first.
    #[expect(
        clippy::result_large_err,
        reason = "a fault has just the size that may be, and the flag beside it is taken off at once"
    )]
    async fn reply(
        &self,
        process: &Process,
        mut replied: oneshot::Receiver<Reply>,
        timeout: Duration,
    ) -> Result<Said, (Fault, bool)> {
        let driving = self.drive.take();
        let mut ended = pin!(process.ended());
        let mut is_closed = false;
        let (mut broken, mut told) = (None::<FunctionError>, None::<Fault>);
        let mut grace = Stall::default();
        self.overdue().restart();
        poll_fn(|cx| {
            driving.poll(cx);
            // A reply that has come counts, even when the process ended right after it.
            if !is_closed {
                match Pin::new(&mut replied).poll(cx) {
                    Poll::Ready(Ok(Reply::Broken(error))) => (broken, is_closed) = (Some(error), true),
                    Poll::Ready(Ok(Reply::Error(error))) => {
                        (told, is_closed) = (Some(Fault::Raised(error)), true);
                    }
                    Poll::Ready(Ok(Reply::TooLarge { size, limit })) => {
                        (told, is_closed) = (Some(Fault::AnswerTooLarge { size, limit }), true);
                    }
                    Poll::Ready(Ok(reply)) => return Poll::Ready(outcome(reply)),
                    // There will be none: the process's end says why.
                    Poll::Ready(Err(_)) => is_closed = true,
                    Poll::Pending => {}
                }
            }
            // After an error, or an answer that was refused, a runtime may go on or end. One that ends must not be given a call in between.
            if told.is_some()
                && self.exchange.poll_asked(cx).is_ready()
                && let Some(fault) = told.take()
            {
                return Poll::Ready(Err((fault, true)));
            }
            if let Poll::Ready(fault) = ended.as_mut().poll(cx) {
                return Poll::Ready(Err((told.take().unwrap_or(fault), false)));
            }
            if let Some(fault) = &told
                && grace.poll(cx, GRACE).is_ready()
            {
                return Poll::Ready(Err((fault.clone(), false)));
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

    fn overdue(&self) -> MutexGuard<'_, Stall> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Session for Talk {
    async fn loaded(&self) -> Result<(), Fault> {
        let mut init = self.exchange.init();
        match init.wait_for(|init| *init != Init::Running).await.as_deref() {
            Ok(Init::Failed(error)) => Err(Fault::Init(error.clone())),
            Ok(Init::Done | Init::Running) => Ok(()),
            Err(_) => Err(Fault::Platform {
                why: "the instance's Runtime API ended".to_owned(),
            }),
        }
    }

    async fn call(&self, process: &Process, mut call: Call, timeout: Duration) -> Spoken {
        let (id, trace) = (call.id, call.trace);
        let context = match &mut call.payload {
            Payload::Direct(direct) => direct.context.take(),
            Payload::Http(_) | Payload::Event(_) => None,
        };
        let qualifier = std::mem::take(&mut call.qualifier);
        let sink = call.stream.take();
        let (body, is_http) = match payload(process, call).await {
            Ok(payload) => payload,
            Err(fault) => return Spoken::not_run(fault),
        };
        let in_bytes = body.len() as u64;
        let started = process.clock().instant();
        let job = Job {
            id,
            body,
            deadline_ms: (process.clock().now() + timeout).as_millis(),
            trace: trace.xray(),
            qualifier,
            context,
        };
        let stream = sink.map(|sink| To {
            sink,
            version: process.version().number,
            is_http,
            until: Instant::now() + timeout,
        });
        let result = match self.exchange.give(job, stream) {
            Some(replied) => self.reply(process, replied, timeout).await,
            None => {
                let why = "the instance was not ready for a call".to_owned();
                Err((Fault::Platform { why }, false))
            }
        };
        let run = process.clock().instant().duration_since(started);
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
        Spoken {
            result,
            run,
            bytes: (in_bytes, out_bytes),
            is_reusable,
        }
    }
}

/// The call's payload as the contract has it, and whether it is an HTTP request.
async fn payload(process: &Process, call: Call) -> Result<(Bytes, bool), Fault> {
    let (owner, principal) = (process.caller(), call.caller.principal);
    match call.payload {
        Payload::Http(mut http) => {
            let body = std::mem::replace(&mut http.body, aloft_http::empty());
            let body = collect(body, PAYLOAD_LIMIT)
                .await
                .map_err(|error| unread(&error))?;
            let now = process.clock().now();
            // As API Gateway and function URLs do.
            forwarded::write(&mut http.head.headers, http.peer);
            forwarded::set(&mut http.head.headers, TRACE, &call.trace.xray());
            let event = encode_http(&http, &body, call.id, &owner.tenant, &principal, now);
            Ok((event.into(), true))
        }
        Payload::Event(event) => Ok((encode_event(&event, &owner.tenant, &owner.region)?.into(), false)),
        Payload::Direct(direct) if direct.body.is_empty() => Ok((Bytes::from_static(b"null"), false)),
        Payload::Direct(direct) => Ok((direct.body, false)),
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

#[expect(
    clippy::result_large_err,
    reason = "a fault has just the size that may be, and the flag beside it is taken off at once"
)]
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
