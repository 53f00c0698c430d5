//! One place for guests: each call gets a fresh one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aloft_base::Stop;
use aloft_call::{Answer, Bound, Call, Caller, Fault, FunctionError, Payload, Sink};
use aloft_function::Version;
use aloft_http::{Request, Room};
use aloft_observe::Stream;
use async_trait::async_trait;
use http::header::{HOST, HeaderValue};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::{PoolConcurrencyLimitError, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtx};

use super::guest::{Answered, Limits, State, Used, body};
use super::guests::Guests;
use super::outgoing::{Beyond, Outgoing, SERVICES};
use super::printed::Printed;
use super::runtime::{Parts, Slot};
use crate::contract::http::{Broken, answer, ask};
use crate::lineage::{Causes, Stamped};
use crate::lines::{Lines, Teller};
use crate::process::environment;
use crate::runtime::{Called, Initialization, Instance, time_of};
use crate::secrets::Resolved;

/// Variables that only a process needs.
const OF_PROCESSES: [&str; 6] = [
    "HOME",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "TMPDIR",
];
/// Random bytes at once.
const RANDOM: u64 = 64 << 10;
/// Frames of a trap that are told.
const FRAMES: usize = 20;

pub(super) struct WasmInstance {
    version: Arc<Version>,
    slot: Slot,
    guests: Arc<Guests>,
    environment: Vec<(String, String)>,
    services: Arc<Stamped>,
    causes: Causes,
    room: Room,
    teller: Teller,
    platform: Handle,
    beyond: Arc<Beyond>,
    peak: AtomicU64,
    stop: Stop,
}

impl WasmInstance {
    pub(super) fn new(
        (version, slot, initialization): (Arc<Version>, Slot, Initialization),
        (parts, caller, resolved): (&Parts, &Caller, &Resolved),
        (guests, room, platform): (Arc<Guests>, Room, Handle),
    ) -> Self {
        let credentials = parts.services.credentials(caller);
        let variables = environment(
            &version,
            &parts.region,
            credentials,
            &resolved.variables,
            (initialization, parts.clock.now()),
        );
        let variables = variables.into_iter();
        let texts =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let is_theirs = |name: &str| version.environment.contains_key(name);
        let mut environment: Vec<(String, String)> = texts
            .filter(|(name, _)| is_theirs(name) || !OF_PROCESSES.contains(&name.as_str()))
            .collect();
        environment.push(("AWS_ENDPOINT_URL".to_owned(), format!("http://{SERVICES}")));
        let causes = Causes::default();
        let beyond = Beyond {
            dialler: parts.dialler.clone(),
            version: version.clone(),
            clock: parts.clock.clone(),
            tasks: parts.tasks.clone(),
        };
        Self {
            teller: Teller {
                clock: parts.clock.clone(),
                feed: parts.feed.clone(),
                version: version.clone(),
                redaction: resolved.redaction.clone(),
            },
            services: Arc::new(Stamped {
                services: parts.services.handler(caller.clone()),
                causes: causes.clone(),
                redaction: resolved.redaction.clone(),
            }),
            causes,
            version,
            slot,
            guests,
            environment,
            room,
            platform,
            beyond: Arc::new(beyond),
            peak: AtomicU64::new(0),
            stop: Stop::new(),
        }
    }

    /// Runs a guest with a request, until both its answer is out and it has ended.
    async fn run(
        &self,
        request: Request,
        (is_http, sink, until): (bool, Option<Sink>, Instant),
        (printed, used): (&Printed, &Arc<Used>),
        out_bytes: &mut u64,
    ) -> Result<Answer, Fault> {
        let Some(loaded) = self.slot.get().cloned() else {
            return Err(platform("its component is not loaded"));
        };
        let wasi = WasiCtx::builder()
            .envs(&self.environment)
            .max_random_size(RANDOM)
            .stdout(printed.output(Stream::Stdout))
            .stderr(printed.output(Stream::Stderr))
            .build();
        let outgoing = Outgoing {
            services: self.services.clone(),
            room: self.room.clone(),
            printed: printed.clone(),
            platform: self.platform.clone(),
            beyond: self.beyond.clone(),
            function: None,
        };
        let limits = Limits::new(self.version.memory.bytes(), used.clone());
        let (sender, begun) = oneshot::channel::<Answered>();
        let pace = loaded.pace.clone();
        let run = loaded.run(State::new(wasi, outgoing, limits), request, sender);
        let Some(guest) = self.guests.run(&pace, run).await else {
            return Err(Fault::Draining);
        };
        let answered = match begun.await {
            Ok(Ok(response)) => {
                let sink = sink.map(|sink| (sink, self.version.number, until));
                Some(answer(response.map(body), is_http, sink, out_bytes).await)
            }
            Ok(Err(code)) => Some(Ok(Err(Fault::Raised(FunctionError {
                kind: "wasi:http/types.error-code".to_owned(),
                message: format!("{code:?}"),
                ..FunctionError::default()
            })))),
            // How it ended says why.
            Err(_) => None,
        };
        match (guest.ended().await, answered) {
            (Err(why), _) => Err(platform(&why)),
            (Ok(Err(error)), _) => Err(self.fault(&error, used)),
            (Ok(Ok(())), None) => Err(garbage("it returned without an answer")),
            (Ok(Ok(())), Some(Err(Broken { why, .. }))) => Err(garbage(&why)),
            (Ok(Ok(())), Some(Ok(result))) => result,
        }
    }

    /// Why a guest ended before its time.
    fn fault(&self, error: &wasmtime::Error, used: &Used) -> Fault {
        if used.was_refused() {
            return Fault::OutOfMemory {
                limit_mb: self.version.memory.bytes() >> 20,
            };
        }
        if let Some(I32Exit(status)) = error.downcast_ref() {
            let how = format!("exit status {status}");
            return Fault::Exited { how };
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Fault::Busy {
                bound: Bound::Account,
                why: "this node runs as many WebAssembly guests as it can".to_owned(),
                retry_after: Duration::from_secs(1),
            };
        }
        let frames = error.downcast_ref::<WasmBacktrace>().map(WasmBacktrace::frames);
        let frames = frames.unwrap_or_default().iter().take(FRAMES);
        Fault::Raised(FunctionError {
            kind: "Runtime.Trap".to_owned(),
            message: error.root_cause().to_string(),
            trace: frames
                .map(|frame| {
                    frame
                        .func_name()
                        .unwrap_or("a function without a name")
                        .to_owned()
                })
                .collect(),
            ..FunctionError::default()
        })
    }
}

#[async_trait]
impl Instance for WasmInstance {
    async fn call(&self, mut call: Call) -> Called {
        let clock = &self.teller.clock;
        let timeout = time_of(&call, &self.version, &**clock);
        let is_tailed = matches!(&call.payload, Payload::Direct(direct) if direct.is_tailed);
        let mut lines = Lines::default();
        lines.begin(call.id, is_tailed);
        let printed = Printed::new(self.teller.clone(), lines);
        let _begun = self.causes.begin(&call);
        let sink = call.stream.take();
        let in_bytes = Arc::new(AtomicU64::new(0));
        let asked = ask::streamed(call).map(|(request, is_http)| (counted(request, &in_bytes), is_http));
        let (began, used, mut out_bytes) = (clock.instant(), Arc::new(Used::default()), 0);
        let until = Instant::now() + timeout;
        let result = match asked {
            Err(fault) => Err(fault),
            Ok((request, is_http)) => tokio::select! {
                // An answer that has come counts.
                biased;
                run = tokio::time::timeout_at(
                    until,
                    self.run(request, (is_http, sink, until), (&printed, &used), &mut out_bytes),
                ) => run.unwrap_or(Err(Fault::TimedOut { after: timeout })),
                () = self.stop.asked() => Err(Fault::Exited { how: "it was stopped".to_owned() }),
            },
        };
        self.peak.fetch_max(used.bytes(), Ordering::Relaxed);
        Called {
            result,
            run: clock.instant().duration_since(began),
            bytes: (in_bytes.load(Ordering::Relaxed), out_bytes),
            tail: printed.end(),
            // Whatever became of the guest, the next call gets another.
            is_reusable: !self.stop.is_asked(),
        }
    }

    async fn ended(&self) {
        self.stop.asked().await;
    }

    fn stop(&self) {
        self.stop.ask();
    }

    fn memory_peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn holds_memory(&self) -> bool {
        false
    }
}

/// The request with a host, which every guest may ask for, and a body whose bytes are counted.
fn counted(mut request: Request, bytes: &Arc<AtomicU64>) -> Request {
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("localhost"));
    }
    let bytes = bytes.clone();
    request.map(|body| {
        let body = body.map_frame(move |frame| {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            bytes.fetch_add(length as u64, Ordering::Relaxed);
            frame
        });
        body.boxed_unsync()
    })
}

fn garbage(why: &str) -> Fault {
    Fault::Garbage { why: why.to_owned() }
}

fn platform(why: &str) -> Fault {
    Fault::Platform { why: why.to_owned() }
}
