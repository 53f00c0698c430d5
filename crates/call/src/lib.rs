//! One shape of a call for every entry and every contract.
//!
//! Entries (the gateway, a rule, the platform's API) build a [`Call`] and hand it to something that implements [`Invoke`];
//! the controller does. Contracts turn a call into what the function's code expects, and the code's answer into an
//! [`Outcome`]. Entries do not convert, and contracts do not know entries.
//!
//! A [`Caller`] says who acts. Nothing but a `Caller` enters a service: it is known by *where* a request arrives (a
//! listener inside a sandbox belongs to one function), or by a verified signature.

mod caller;
mod outcome;
mod qualifier;
mod report;
mod stream;
mod types;

pub use aloft_base::Trace;
pub use caller::{Access, Caller, Grants, Principal};
pub use outcome::{Answer, Bound, ColdStart, Fault, FunctionError, Outcome, Usage};
pub use qualifier::{AliasName, Qualifier};
pub use report::{Report, Status, log_stream};
pub use stream::{Beginning, Begun, Next, Pieces, Rest, Sink, Streaming, Streams};
pub use types::{Call, Direct, Event, HttpCall, Invoke, Lineage, Payload, ascii};
