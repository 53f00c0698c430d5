//! Functions as processes: any interpreter, in a sandbox of its own.

mod ask;
mod bootstrap;
mod environment;
mod instance;
mod layers;
mod logs;
mod node;
mod per_call;
mod python;
mod runtime;
mod signal;
mod start;

use std::sync::Arc;

use aloft_call::{Caller, Fault};
use aloft_definition::SecretReference;
use aloft_http::Handler;
use async_trait::async_trait;

pub use ask::NoInterpreter;
#[cfg(feature = "wasm")]
pub(crate) use environment::environment;
pub use instance::Process;
pub(crate) use instance::{GRACE, PAYLOAD_LIMIT, unread};
pub use node::Nodes;
pub use python::Pythons;
pub use runtime::ProcessRuntime;
pub use start::Config;
pub(crate) use start::adopt;

/// The platform's services, as a function's instance meets them on its own listener.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// What answers the requests of this caller. Who asks is known by the listener, whatever the request says.
    fn handler(&self, caller: Caller) -> Arc<dyn Handler>;

    /// Session credentials for the caller. SDKs insist on keys, and what they presign leaves the sandbox.
    fn credentials(&self, caller: &Caller) -> Credentials;

    /// The value that a variable of the caller's environment refers to, as it is now.
    ///
    /// # Errors
    /// Why there is none.
    async fn secret(&self, caller: &Caller, reference: &SecretReference) -> Result<String, NoSecret>;
}

/// Why a variable has no value.
#[derive(Debug, Clone)]
pub enum NoSecret {
    /// The secret, its version or its part is not there: what it is, and what to do.
    Missing(String),
    /// The platform failed, as its log tells.
    Platform(String),
}

impl NoSecret {
    pub(crate) fn of_variable(self, name: &str) -> Fault {
        match self {
            Self::Missing(why) => Fault::Unrunnable {
                why: format!("its variable \"{name}\" has no value: {why}"),
            },
            Self::Platform(why) => Fault::Platform {
                why: format!("its variable \"{name}\" has no value: {why}"),
            },
        }
    }
}

/// Session credentials, as AWS SDKs read them from the environment.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: String,
}
