//! One process: a call's way into it and out of it, by whatever contract it is talked to.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aloft_base::{Clock, Policy, Tasks};
use aloft_call::{Call, Caller, Fault, FunctionError, Payload};
use aloft_function::Version;
use aloft_http::BodyError;
use aloft_sandbox::{Exit, Sandbox};
use async_trait::async_trait;

use super::logs::Logs;
use super::signal::signal_name;
use crate::contract::{Session, Spoken};
use crate::lineage::Causes;
use crate::runtime::{Called, Instance, time_of};

/// Lambda's bound for a call's payload.
pub(crate) const PAYLOAD_LIMIT: usize = 6 << 20;
/// How long a runtime may take to go on after an error, and how long after a reply that broke off the process's end may come and say why. The kernel closes a dying process's
/// connections before its end is told; in between lie milliseconds.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The process of an instance, as its contract sees it.
pub struct Process {
    pub(super) version: Arc<Version>,
    pub(super) caller: Caller,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Process {
    /// What it is an instance of.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// As whom it acts.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Waits for its end, and tells it as a call's fault. Safe to cancel.
    pub async fn ended(&self) -> Fault {
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
                how: format!("signal: {}", signal_name(*signal)),
            },
            Exit { .. } => Fault::Exited {
                how: "its sandbox was ended".into(),
            },
        }
    }

    /// Waits for its end, which is no fault when its status is 0.
    ///
    /// # Errors
    /// As [`ended`](Self::ended) tells it.
    pub async fn exited_well(&self) -> Result<(), Fault> {
        match self.sandbox.exited().await {
            Exit {
                status: Some(0),
                oom: false,
                ..
            } => Ok(()),
            _ => Err(self.ended().await),
        }
    }

    /// The same, before the code was loaded.
    pub(super) async fn ended_before_loaded(&self) -> Fault {
        match self.ended().await {
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
}

pub(super) struct ProcessInstance {
    pub(super) process: Process,
    pub(super) session: Arc<dyn Session>,
    pub(super) peak: Peak,
    pub(super) tasks: OwnTasks,
    pub(super) logs: Arc<Logs>,
    pub(super) causes: Causes,
    /// How long its program has to end by itself.
    pub(super) grace: Duration,
    pub(super) is_stopped: AtomicBool,
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
    /// Ends it at once.
    pub(super) fn kill(&self) {
        self.process.sandbox.kill();
        self.tasks.0.stop().ask();
    }

    async fn run(&self, call: Call) -> Called {
        let Process { version, clock, .. } = &self.process;
        let is_tailed = matches!(&call.payload, Payload::Direct(direct) if direct.is_tailed);
        let timeout = time_of(&call, version, &**clock);
        let _begun = self.causes.begin(&call);
        // Of several calls at once nobody can say which one printed a line.
        let is_alone = version.calls == 1;
        if is_alone {
            self.logs.begin(call.id, is_tailed);
        }
        let Spoken {
            result,
            run,
            bytes,
            is_reusable,
        } = self.session.call(&self.process, call, timeout).await;
        self.peak.note(run, clock.instant());
        Called {
            result,
            run,
            bytes,
            tail: is_alone.then(|| self.logs.end()).flatten(),
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
        self.process.sandbox.exited().await;
        self.logs.take_last_words();
        // Not waited for: until this returns, the controller would still give calls to a process that is gone.
        self.tasks.0.stop().ask();
    }

    fn stop(&self) {
        if self.grace.is_zero() {
            return self.kill();
        }
        if self.is_stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        self.process.sandbox.terminate();
        // What it asks of the services until then is answered: these tasks end with it.
        let (sandbox, grace, stop) = (
            self.process.sandbox.clone(),
            self.grace,
            self.tasks.0.stop().clone(),
        );
        self.tasks
            .0
            .start("end a program that was told to", Policy::Alone, async move {
                tokio::select! {
                    _ = sandbox.exited() => {}
                    () = tokio::time::sleep(grace) => {}
                    () = stop.asked() => {}
                }
                sandbox.kill();
                Ok::<(), Infallible>(())
            });
    }

    fn memory_peak(&self) -> u64 {
        self.peak.get(|| self.process.sandbox.usage().memory_peak.bytes())
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

pub(crate) fn unread(error: &BodyError) -> Fault {
    Fault::Payload {
        why: error.to_string(),
        too_large: matches!(error, BodyError::TooLarge { .. }),
    }
}
