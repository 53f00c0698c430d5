//! The only way out of a sandbox.
//!
//! A sandbox has no network but ours. Its name server is ours, and answers each name that the function's [`Egress`](aloft_base::Egress)
//! opens with an address that stands for the name and is nobody's outside. The kernel brings all TCP to one listener. From there the
//! platform goes on by itself: it maps the address back to the name, resolves the name, looks at what that resolved to, dials, and moves
//! bytes both ways.
//!
//! ```text
//! program ─ getaddrinfo(api.example.com) ─▶ name server ── 198.18.1.0 (stands for the name)
//!         ─ connect(198.18.1.0:443) ──▶ REDIRECT ──▶ Gate ──▶ listed? ─▶ resolve ─▶ reachable? ─▶ dial ─▶ splice
//! ```
//!
//! # Promises
//!
//! - The address that is dialled is one that the platform itself resolved and looked at a moment before. What a name resolved to earlier,
//!   or elsewhere, has no say: rebinding cannot happen.
//! - Private, loopback, link-local, shared (RFC 6598), multicast and reserved addresses, metadata services, this machine's own addresses, and
//!   all of them in notations of IPv6, are closed to every function until the operator opens them ([`Allowed`]), whatever its list says.
//! - An address that a function writes itself is under the same rules, and a list may name one.
//! - A refusal is told in the function's log with the line that would allow it, once a minute for each place.
//! - Each connection has a bound: 1,024 of an instance, [`Config::connections`] of the node, 10 s to be made, 350 s without a byte. What
//!   goes beyond is reset at once.
//!
//! A connection that is refused or cannot be made is reset after it was accepted: the listener cannot know before. UDP goes nowhere but to
//! the name server. It knows nothing of sandboxes; who made the listeners hands them in as a [`Gate`].

mod closed;
mod decide;
mod dial;
mod dns;
mod function;
mod gate;
mod metrics;
mod pool;
mod resolve;
mod splice;
mod stream;

pub use closed::{Allowed, InvalidAllowed};
pub use decide::{Refusal, listed, reachable};
pub use dial::{Config, Connection, Dialler, Error};
pub use function::{Function, Told};
pub use gate::Gate;
pub use stream::Stream;
