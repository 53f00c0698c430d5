//! HTTP glue that every edge shares: one body type with a bound, one handler trait, one HTTP/1.1 server with limits, one
//! small client.
//!
//! - [`Body`] is a boxed stream of bytes whose errors say which bound was passed. [`collect`] reads one up to a limit.
//! - [`Handler`] answers a request. The gateway, the AWS wire, the platform's API and the Runtime API inside a sandbox are
//!   handlers; none of them knows of sockets. A [`Refusal`] is what the server itself has to say (400, 408, 413, 414, 431,
//!   500 …); the handler gives it its protocol's shape.
//! - [`serve`] runs a handler on a listener within [`Limits`]: heads of 64 KiB in 10 s, bodies of 6 MiB, 10,000
//!   connections, all of them adjustable. Requests may be pipelined. A request whose framing two parsers could read
//!   differently is refused and its connection closed.
//! - [`serve_driven`] does the same, and hands out a [`Drive`]: whoever waits for what comes over the connections may drive
//!   them in its own task.
//! - [`Client`] sends requests to one address over kept connections: for the command line and for tests.
//!
//! This crate never knows routes, callers or functions. It alone depends on hyper, and nothing of hyper shows in its
//! interface.

mod body;
mod client;
mod drive;
mod frame;
mod guard;
mod handler;
mod head;
mod limits;
mod once;
mod refusal;
mod room;
mod serve;
mod transit;
mod turn;

#[cfg(test)]
mod tests;

pub use body::{Body, BodyError, collect, empty, full};
pub use client::{Client, ClientError, Connect, Patience};
pub use drive::{Drive, Driving};
pub use handler::{Handler, Peer, Request, Response};
pub use limits::{Limits, WRITE_STALL, slowest};
pub use once::exchange;
pub use refusal::Refusal;
pub use room::{Held, Room};
pub use serve::{serve, serve_driven};
