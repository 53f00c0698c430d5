//! AWS Lambda's contract: the Runtime API, and the events and answers that handlers expect.

mod answer;
mod exchange;
mod http_event;
mod records;
mod reported;
mod server;
mod stream;

pub(crate) use exchange::{Exchange, Init, Job, Reply};
pub(crate) use http_event::{decode as decode_http, decode_headed, encode as encode_http};
pub(crate) use records::encode as encode_event;
pub(crate) use server::{ANSWER_LIMIT, RuntimeApi};
pub(crate) use stream::To;
