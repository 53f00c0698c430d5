//! The call and what it carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use aloft_base::{FunctionId, InvocationId, Trace};
use aloft_http::Body;
use async_trait::async_trait;

use crate::{Caller, Outcome, Qualifier, Sink};

/// One call of a function, on its way to it.
#[derive(Debug)]
pub struct Call {
    /// The invocation's id; it is the request id that callers, logs and records show.
    pub id: InvocationId,
    /// Which of the function's versions is called.
    pub qualifier: Qualifier,
    /// Who calls.
    pub caller: Caller,
    /// What is called with.
    pub payload: Payload,
    /// Where it came from, if something that ran here caused it.
    pub lineage: Lineage,
    /// When the caller stops waiting, if it does. A queue's and a function's own limits apply besides.
    pub deadline: Option<Instant>,
    /// The distributed trace that it belongs to.
    pub trace: Trace,
    /// Where its answer may go while it is made; without it the answer comes as a whole, with the outcome.
    pub stream: Option<Sink>,
}

/// What a function is called with.
#[derive(Debug)]
pub enum Payload {
    /// An HTTP request, from a route.
    Http(HttpCall),
    /// An event, from a rule.
    Event(Event),
    /// What the caller gave, from a direct invocation.
    Direct(Direct),
}

/// A direct invocation.
#[derive(Debug, Clone, Default)]
pub struct Direct {
    /// Bytes as the caller gave them: JSON, by every contract's convention.
    pub body: bytes::Bytes,
    /// What the caller says of itself, JSON that is [`ascii`]: Lambda's `ClientContext`.
    pub context: Option<String>,
    /// Whether the caller wants the end of what is printed ([`Outcome::tail`]).
    pub is_tailed: bool,
    /// Whether nobody waits for the answer: the call was accepted before, and is made now.
    pub is_deferred: bool,
}

impl Direct {
    /// Whether these bytes are JSON, which is what a direct call has.
    ///
    /// # Errors
    /// Where they are not, in words for the caller.
    pub fn check(body: &[u8]) -> Result<(), String> {
        // serde_json does not look whether bytes that it passes over are text.
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let checked: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
        checked.map(drop).map_err(|error| error.to_string())
    }
}

impl<B: Into<bytes::Bytes>> From<B> for Direct {
    fn from(body: B) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }
}

/// An HTTP request with what the route made of it.
#[derive(Debug)]
pub struct HttpCall {
    /// Method, URI, version and headers as they arrived.
    pub head: http::request::Parts,
    /// The body; its bound is the entry's.
    pub body: Body,
    /// The route that matched, as written in the definition: `GET /orders/{id}`.
    pub route: Arc<str>,
    /// The route's variables, percent-decoded, in the order of the path.
    pub variables: Vec<(Arc<str>, String)>,
    /// The client's address.
    pub peer: IpAddr,
    /// The id of the API that it came by.
    pub api: Arc<str>,
}

/// An event with the change that it tells of, where the source is a table.
#[derive(Debug, Clone)]
pub struct Event {
    /// The CloudEvent.
    pub event: aloft_event::Event,
    /// The row's change with exact types, which a CloudEvent's plain JSON cannot hold.
    pub change: Option<aloft_item::Change>,
}

/// Where a call came from, so that loops are recognised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The invocation at the beginning of the chain, if this is not it.
    pub root: Option<InvocationId>,
    /// How many events lie between that one and this; 0 at the beginning.
    pub depth: u8,
}

impl Lineage {
    /// The deepest chain that is delivered; what goes deeper is refused as a loop.
    pub const DEEPEST: u8 = 16;

    /// The lineage of the events that the invocation `id` of this lineage causes: without a root it is the root itself.
    #[must_use]
    pub fn caused_by(self, id: InvocationId) -> Self {
        Self {
            root: Some(self.root.unwrap_or(id)),
            depth: self.depth,
        }
    }
}

/// JSON in ASCII: what lies beyond is escaped, as a header must be.
pub fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        // The last letter of ASCII is no letter of a header.
        if letter.is_ascii() && letter != '\u{7f}' {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// Something that runs functions.
#[async_trait]
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function once and waits for its outcome. What goes wrong is part of the outcome.
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_call_is_json_and_json_is_utf_8() {
        for good in [&b"null"[..], b" {\"a\": [1e3]} ", "\"\u{fc}\"".as_bytes()] {
            assert_eq!(Direct::check(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            (&b"{"[..], "EOF while parsing"),
            (b"1 2", "trailing characters"),
            (b"\"bad\xff\"", "invalid utf-8 sequence of 1 bytes from index 4"),
        ] {
            let said = Direct::check(bad).unwrap_err();
            assert!(said.starts_with(why), "{bad:?}: {said}");
        }
    }

    #[test]
    fn the_first_invocation_is_the_root_of_what_it_causes() {
        let [first, second] = [1, 2].map(InvocationId::from_u128);
        let begun = Lineage::default().caused_by(first);
        assert_eq!((begun.root, begun.depth), (Some(first), 0));
        let deeper = Lineage { depth: 1, ..begun };
        assert_eq!(deeper.caused_by(second), deeper);
    }

    #[test]
    fn what_lies_beyond_ascii_is_escaped_as_json_reads_it() {
        let value = serde_json::json!({ "name": "grüße \u{1F600}\u{7f}" });
        let text = ascii(&value.to_string());
        assert!(http::HeaderValue::from_str(&text).is_ok(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
