//! AWS Lambda's contract: the Runtime API, and the events and answers that handlers expect.

mod answer;
mod exchange;
mod http_event;
mod records;
mod reported;
mod server;
mod session;
mod stream;

pub(crate) use session::Lambda;
