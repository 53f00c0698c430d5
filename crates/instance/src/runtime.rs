//! What the controller sees of the ways to run code: two traits and what they answer.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::Clock;
use aloft_call::{Answer, Call, Fault};
use aloft_function::Version;
use async_trait::async_trait;
use bytes::Bytes;

/// Why an instance is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialization {
    /// Calls wait for it.
    OnDemand,
    /// It is one of those that are kept loaded.
    Provisioned,
}

impl Initialization {
    /// Lambda's word for it, as functions see it in `AWS_LAMBDA_INITIALIZATION_TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Provisioned => "provisioned-concurrency",
        }
    }
}

/// A way to run code.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Does ahead what starting an instance of a version would have to wait for, such as compiling.
    ///
    /// # Errors
    /// Why no instance of it can be started.
    async fn prepare(&self, version: &Arc<Version>) -> Result<(), Fault> {
        let _ = version;
        Ok(())
    }

    /// Starts an instance of a version and waits until its code is loaded.
    async fn start(&self, version: Arc<Version>, initialization: Initialization) -> Result<Started, Fault>;
}

/// An instance that has loaded its code.
pub struct Started {
    /// The instance.
    pub instance: Arc<dyn Instance>,
    /// From the beginning until the code was loaded.
    pub init: Duration,
    /// The part of it until its process was started, behind its walls.
    pub sandbox: Duration,
}

/// One loaded, running copy of a version.
#[async_trait]
pub trait Instance: Send + Sync + 'static {
    /// Runs one call to its end or to the function's timeout. One at a time.
    async fn call(&self, call: Call) -> Called;

    /// Waits until the instance has ended, by itself or stopped: nothing is left of it then.
    async fn ended(&self);

    /// Ends the instance, with everything that it started: at once, or in the few seconds that its contract gives a program to end by
    /// itself. It gets no more calls.
    fn stop(&self);

    /// The most memory that it has used so far, in bytes.
    fn memory_peak(&self) -> u64;

    /// Whether it holds memory between two calls, too.
    fn holds_memory(&self) -> bool {
        true
    }
}

/// What became of one call on one instance.
#[derive(Debug)]
pub struct Called {
    /// The answer, or why there is none.
    pub result: Result<Answer, Fault>,
    /// How long the code ran.
    pub run: Duration,
    /// Bytes in and out.
    pub bytes: (u64, u64),
    /// The end of what was printed, if the caller wanted it.
    pub tail: Option<Bytes>,
    /// Whether the instance can take another call.
    pub is_reusable: bool,
}

/// How long a call may run: as long as the version may, and no longer than its caller waits.
pub(crate) fn time_of(call: &Call, version: &Version, clock: &dyn Clock) -> Duration {
    call.deadline.map_or(version.timeout, |deadline| {
        let left = deadline.saturating_duration_since(clock.instant());
        version.timeout.min(left)
    })
}
