//! One running process: gives it calls, waits for its answers, and ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aloft_base::{Clock, Tasks};
use aloft_call::{Answer, Call, Caller, Fault, FunctionError, Payload};
use aloft_function::Version;
use aloft_http::{BodyError, collect};
use aloft_sandbox::{Exit, Sandbox};
use async_trait::async_trait;
use bytes::Bytes;

use super::lineage::Causes;
use super::logs::Logs;
use crate::contract::lambda::{ANSWER_LIMIT, Exchange, Job, Reply, decode_http, encode_event, encode_http};
use crate::runtime::{Called, Instance};

/// Lambda's bound for a call's payload.
const PAYLOAD_LIMIT: usize = 6 << 20;

pub(super) struct ProcessInstance {
    pub(super) version: Arc<Version>,
    pub(super) caller: Caller,
    pub(super) sandbox: Sandbox,
    pub(super) exchange: Arc<Exchange>,
    pub(super) tasks: Tasks,
    pub(super) logs: Arc<Logs>,
    pub(super) causes: Causes,
    pub(super) clock: Arc<dyn Clock>,
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
                    trace: vec![],
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
        match call.payload {
            Payload::Http(mut http) => {
                let body = std::mem::replace(&mut http.body, aloft_http::empty());
                let body = collect(body, PAYLOAD_LIMIT)
                    .await
                    .map_err(|error| unread(&error))?;
                let now = self.clock.now();
                Ok((
                    encode_http(&http, &body, call.id, &self.caller.tenant, now).into(),
                    true,
                ))
            }
            Payload::Event(event) => Ok((
                encode_event(&event, &self.caller.tenant, &self.caller.region)?.into(),
                false,
            )),
            Payload::Direct(bytes) if bytes.is_empty() => Ok((Bytes::from_static(b"null"), false)),
            Payload::Direct(bytes) => Ok((bytes, false)),
        }
    }

    /// Waits for the reply, the process's end or the deadline, whichever comes first.
    async fn reply(
        &self,
        replied: tokio::sync::oneshot::Receiver<Reply>,
        timeout: Duration,
    ) -> Result<Bytes, (Fault, bool)> {
        tokio::select! {
            // A reply that has come counts, even when the process ended right after it. All three are safe to cancel.
            biased;
            Ok(reply) = replied => match reply {
                Reply::Answer(bytes) => Ok(bytes),
                Reply::Error(error) => Err((Fault::Raised(error), true)),
                Reply::TooLarge { size } => Err((Fault::AnswerTooLarge { size, limit: ANSWER_LIMIT }, true)),
            },
            fault = self.exit_fault() => Err((fault, false)),
            () = tokio::time::sleep(timeout) => Err((Fault::TimedOut { after: self.version.timeout }, false)),
        }
    }

    async fn run(&self, call: Call, began: Instant) -> Called {
        let (id, trace, caller_deadline) = (call.id, call.trace, call.deadline);
        let not_run = |fault| Called {
            result: Err(fault),
            run: Duration::ZERO,
            bytes: (0, 0),
            is_reusable: true,
        };
        self.causes.begin(&call);
        let (body, is_http) = match self.payload(call).await {
            Ok(payload) => payload,
            Err(fault) => return not_run(fault),
        };
        let in_bytes = body.len();
        let timeout = caller_deadline.map_or(self.version.timeout, |deadline| {
            self.version
                .timeout
                .min(deadline.saturating_duration_since(began))
        });
        let deadline_ms = (self.clock.now() + timeout).as_millis();
        self.logs.begin(id);
        let started = self.clock.instant();
        let result = match self.exchange.give(Job {
            id,
            body,
            deadline_ms,
            trace: trace.xray(),
        }) {
            Ok(replied) => self.reply(replied, timeout).await,
            Err(_) => Err((
                Fault::Platform {
                    why: "the instance was not ready for a call".into(),
                },
                false,
            )),
        };
        let run = self.clock.instant().duration_since(started);
        let (result, is_reusable, out_bytes) = match result {
            Ok(bytes) => {
                let out_bytes = bytes.len();
                let answer = if is_http {
                    decode_http(bytes).map(Answer::Http)
                } else {
                    Ok(Answer::Bytes(bytes))
                };
                (answer, true, out_bytes)
            }
            Err((fault, is_reusable)) => (Err(fault), is_reusable, 0),
        };
        Called {
            result,
            run,
            bytes: (in_bytes as u64, out_bytes as u64),
            is_reusable,
        }
    }
}

#[async_trait]
impl Instance for ProcessInstance {
    async fn call(&self, call: Call) -> Called {
        self.run(call, self.clock.instant()).await
    }

    async fn ended(&self) {
        self.sandbox.exited().await;
        self.tasks.drain(Duration::from_secs(5)).await;
    }

    fn stop(&self) {
        self.sandbox.kill();
        self.tasks.stop().ask();
    }

    fn memory_peak(&self) -> u64 {
        self.sandbox.usage().memory_peak.bytes()
    }
}

fn unread(error: &BodyError) -> Fault {
    Fault::Payload {
        why: error.to_string(),
        too_large: matches!(error, BodyError::TooLarge { .. }),
    }
}
