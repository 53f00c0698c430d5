//! Loaded copies of a function: the ways to run code, and the contracts that the code expects.
//!
//! The controller sees two traits. A [`Runtime`] starts an [`Instance`] of a version; an instance runs calls, one at a time or as many as
//! its version says, until it is stopped. `wasm::WasmRuntime` runs WebAssembly components (with the feature `wasm`);
//! [`process::ProcessRuntime`] runs programs in sandboxes and talks to each by a [`Contract`]:
//!
//! - `lambda`: Python, Node.js and the code's own program by the Lambda Runtime API (2018-06-01), so that handlers and bootstraps
//!   written for AWS Lambda run unmodified. Routes reach them as payload format 2.0, changes of tables as DynamoDB stream records, other
//!   events as CloudEvents. Code must be loaded within 10 s, or the function's
//!   timeout if that is longer.
//! - `command`: a program that runs once for each call, with the payload on its standard input and the answer on its output.
//! - `http`: a server of the code's own, which listens on `PORT`. Requests reach it as they are, events as CloudEvents. It must listen
//!   within 60 s.
//!
//! Another contract is a type that implements the trait, and is handed to the runtime by its name.
//!
//! Limits: an answer has at most 6 MiB and 100 bytes, a streamed one 200 MiB; a call ends at the version's timeout, and its instance
//! with it.
//!
//! Strangers' code never runs in the platform's own process. Who a function is is known by the listener inside its
//! sandbox; what answers there is handed in as [`process::Services`], so this crate knows no service.

mod contract;
mod lineage;
mod lines;
pub mod process;
mod runtime;
mod secrets;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use contract::{Begun, Contract, Needs, Session, Spoken};
pub use runtime::{Called, Initialization, Instance, Runtime, Started};
