//! How the platform talks to the code of an instance: one folder for each contract, and a trait for contracts from elsewhere.
//!
//! A [`Contract`] says what the program of a version needs and begins to talk to one that was started. What it begins is a [`Session`]:
//! one instance's, which hands it calls and reads what they come to. Walls, logs, lineage, metering and the choice of an instance are the
//! same for all contracts and not its concern.

use std::ffi::OsString;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Tasks};
use aloft_call::{Answer, Call, Caller, Fault};
use aloft_function::Version;
use aloft_http::Room;
use aloft_sandbox::{Isolation, Listen, Socket};
use async_trait::async_trait;
use tokio::net::unix::pipe;

use crate::process::Process;

pub(crate) mod command;
mod forwarded;
pub(crate) mod http;
pub(crate) mod lambda;

/// A way to talk to the code of instances.
pub trait Contract: Send + Sync + 'static {
    /// What the program of a version needs to be talked to.
    ///
    /// # Errors
    /// When this machine cannot give it.
    fn needs(&self, version: &Version, isolation: Isolation) -> Result<Needs, Fault>;

    /// Begins to talk to a program that was just started.
    ///
    /// # Errors
    /// When the platform cannot use what it was given.
    fn begin(&self, begun: Begun) -> Result<Arc<dyn Session>, Fault>;

    /// Whether a program of its own is started for each call, and ended with it.
    fn is_per_call(&self) -> bool {
        false
    }

    /// Variables for the program that is started for this call.
    fn of_call(&self, call: &Call) -> Vec<(OsString, OsString)> {
        let _ = call;
        Vec::new()
    }
}

/// What a program needs to be talked to.
#[derive(Debug, Default)]
pub struct Needs {
    /// Listeners of the platform inside the sandbox.
    pub listen: Vec<Listen>,
    /// Sockets with which the platform reaches what the program listens on.
    pub sockets: usize,
    /// Whether it is talked to over its standard input and output. Its output is then no part of the log.
    pub is_piped: bool,
    /// Variables of its environment.
    pub variables: Vec<(OsString, OsString)>,
    /// How long the code may take to load.
    pub patience: Duration,
    /// How long the program has to end by itself when it is stopped: it is told by SIGTERM, and killed afterwards. Without any it is killed
    /// at once.
    pub grace: Duration,
}

/// The grace of programs that expect to be told: servers and commands. Half of what a shutdown has for all of them, and enough to
/// write down what they hold.
pub(crate) const TO_END: Duration = Duration::from_secs(2);

/// A program that was started.
pub struct Begun {
    /// What it is an instance of.
    pub version: Arc<Version>,
    /// As whom it acts.
    pub caller: Caller,
    /// The listeners of [`Needs::listen`], in their order.
    pub listeners: Vec<TcpListener>,
    /// The sockets of [`Needs::sockets`].
    pub sockets: Vec<Socket>,
    /// Its standard input and output, if it [`is_piped`](Needs::is_piped).
    pub pipes: Option<(pipe::Sender, pipe::Receiver)>,
    /// What the contract gave for its environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The instance's own tasks, which end with it.
    pub tasks: Tasks,
    /// What requests from inside may make the platform hold.
    pub room: Room,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The talk with one instance.
#[async_trait]
pub trait Session: Send + Sync + 'static {
    /// Waits until the code is loaded. The end of its process is watched by whoever waits.
    ///
    /// # Errors
    /// Why it cannot be.
    async fn loaded(&self) -> Result<(), Fault>;

    /// Hands over a call and waits for what it comes to, for the process's end, or until the time is over. As many at once as the version
    /// says ([`Version::calls`]).
    async fn call(&self, process: &Process, call: Call, timeout: Duration) -> Spoken;
}

/// What a call came to.
#[derive(Debug)]
pub struct Spoken {
    /// The answer, or why there is none.
    pub result: Result<Answer, Fault>,
    /// How long the code ran.
    pub run: Duration,
    /// Bytes in and out.
    pub bytes: (u64, u64),
    /// Whether the instance can take another call.
    pub is_reusable: bool,
}

impl Spoken {
    /// One that the code never got.
    pub fn not_run(fault: Fault) -> Self {
        Self {
            result: Err(fault),
            run: Duration::ZERO,
            bytes: (0, 0),
            is_reusable: true,
        }
    }
}
