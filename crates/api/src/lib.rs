//! The platform's own API, under `/_aloft/` of the services' port: what `aloft`'s commands, a monitor and a load balancer
//! ask.
//!
//! | request | answer |
//! |---|---|
//! | `GET health` | 200 as long as the process answers |
//! | `GET ready` | 200, or 503 with the reasons why it is not |
//! | `GET metrics` | Prometheus' text format |
//! | `POST functions/{name}/invoke` | runs a function with the body as its payload |
//! | `GET logs?function=&invocation=&since=&filter=&follow=true` | what functions said, from the log and the feed, one JSON object a line |
//! | `GET invocations/{id}` | what became of a call: its attempts, its chain, its last lines |
//! | `GET instances` | what runs now |
//! | `GET rules` | how each rule is doing, and whether its events wait for its function |
//! | `GET deliveries?before=`, `POST deliveries/{id}/retry`, `DELETE deliveries/{id}` | dead letters |
//!
//! Lists are `{"items":[…]}`; errors are `{"message","kind"}` with the kind of [`aloft_base::ErrorKind`].
//!
//! On loopback whoever reaches the port may ask, except web pages: a request with an `Origin`, or for a `Host` that is
//! not this machine, is refused, because a browser would send it for any site. Elsewhere all but `health` and `ready` need
//! the node's token, which lies in a file of the data folder that its owner alone can read.

mod account;
mod deliveries;
mod error;
mod guard;
mod handler;
mod history;
mod instances;
mod invocations;
mod invoke;
mod logs;
mod named;
mod ready;
mod rules;
mod tenants;

pub use account::{Account, Accounts};
pub use guard::{Asker, Guard, Verify};
pub use handler::{Api, Parts};
pub use ready::Readiness;
pub use tenants::allowance;
