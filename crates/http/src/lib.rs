//! HTTP glue that every edge shares: one body type with a bound, one handler trait, one HTTP/1.1 server with limits.
//!
//! - [`Body`] is a boxed stream of bytes whose errors say which bound was passed. [`collect`] reads one up to a limit.
//! - [`Handler`] answers a request. The gateway, the AWS wire, the platform's API and the Runtime API inside a sandbox are
//!   handlers; none of them knows of sockets.
//!
//! This crate never knows routes, callers or functions. It alone depends on hyper.

mod body;
mod handler;

pub use body::{Body, BodyError, collect, empty, full};
pub use handler::{Handler, Peer, Request, Response};
