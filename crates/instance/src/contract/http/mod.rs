//! A server of its own: the code listens on `PORT` and answers HTTP, as on Cloud Run, Knative and Heroku.
//!
//! - The program is ready as soon as it accepts a connection.
//! - A request of a route is handed on as it came, without what belongs to a connection, with `X-Request-Id`, `X-Forwarded-For`,
//!   `-Proto`, `-Host` and `-Port`, and `traceparent`. The answer goes back as it is; a long one goes out while it is made.
//! - An event is a POST to `/` of a CloudEvent in structured mode, a direct call one of its payload
//!   (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>). A status of 2xx is success, with
//!   the body as the answer; any other is the function's error.
//! - An instance that is not needed any more is told so by SIGTERM, and killed two seconds later.
//! - An instance takes several calls at once. A call that runs too long is cut, and its instance gets no others: nobody knows whether the
//!   code still works at it.

pub(crate) mod ask;
mod inside;
mod session;

pub(crate) use session::Http;
#[cfg(feature = "wasm")]
pub(crate) use session::{Broken, answer};
