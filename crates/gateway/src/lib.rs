//! HTTP for functions: the application's port with routes to functions and files of the project, and functions' own addresses.
//!
//! [`Gateway`] is a handler for `aloft_http::serve`. It finds the route of a request, hands it on as a call (an id, a trace,
//! the buffered body, the path's variables) and turns the outcome into an answer. What is served, an [`App`], is replaced as
//! a whole while requests run: each request sees one state of it.
//!
//! Which route wins: paths are compared from the left, a literal before a variable before the rest of the path, and among
//! routes of one path the method itself before `ANY`; HEAD follows GET, unless it has a route of its own. Where no route
//! takes a request, a file may; then a known path is 405 with `Allow`, any other 404. A path that ends with a slash is not the
//! same path, as on API Gateway's HTTP APIs.
//!
//! What goes wrong is `{"message","request_id"}`: a function that raised, exited or answered garbage is 502, one that timed
//! out 504, a full queue 429 and a platform that drains 503, both with `Retry-After`. With [`Config::is_dev`] the body
//! also has `error` with type, message and stack; otherwise no internals leave. Each request writes one line with the
//! target `access`.
//!
//! Limits: bodies of 6 MiB (the server's), 256 MiB of bodies at a time, beyond which it is 503. Files are streamed above
//! 256 KiB. A function that streams its answer has it sent while it makes it. CORS is up to functions. This crate knows no sockets and no instances, and `/_aloft/` is not served here.
//!
//! [`FunctionUrls`] answers at the addresses that functions have of their own, in the same way: there the id in the path says which
//! function is called, everybody may or only who signs, and CORS may be answered in the function's place.
//!
//! Crates of others: `mime_guess` for content types, `httpdate` for HTTP's dates, `arc-swap` so that a request reads the
//! current state without a lock.

mod access;
mod answer;
mod app;
mod call;
mod config;
mod cors;
mod files;
mod gateway;
mod metrics;
mod path;
mod range;
mod routes;
mod urls;

#[cfg(test)]
mod tests;

pub use app::App;
pub use config::Config;
pub use gateway::Gateway;
pub use urls::{FunctionUrls, Verify};
