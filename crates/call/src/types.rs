//! The call and what it carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use aloft_base::{Chance, FunctionName, InvocationId};
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
    /// What the caller says of itself, JSON: Lambda's `ClientContext`.
    pub context: Option<String>,
    /// Whether the caller wants the end of what is printed ([`Outcome::tail`]).
    pub is_tailed: bool,
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

/// A W3C trace context (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id; never zero.
    pub trace: u128,
    /// The span that called; never zero.
    pub span: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Trace {
    /// Begins a trace.
    pub fn begin(chance: &dyn Chance) -> Self {
        Self {
            trace: chance.next_u128() | 1,
            span: chance.next_u64() | 1,
            sampled: true,
        }
    }

    /// A new span of the same trace.
    pub fn child(self, chance: &dyn Chance) -> Self {
        Self {
            span: chance.next_u64() | 1,
            ..self
        }
    }

    /// Reads a `traceparent` header; `None` when it is not valid, as the specification asks (section 3.2.2).
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length
                && text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_valid = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        // Version 00 has exactly four fields; later ones may add more.
        if !is_valid || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }

    /// As a `traceparent` header.
    pub fn traceparent(self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }

    /// Reads X-Ray's header, which the SDKs of AWS send from within a function: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=…;Sampled=1`
    /// (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>). `None` without a valid root and
    /// parent. Other fields are passed over.
    pub fn parse_xray(header: &str) -> Option<Self> {
        let (mut trace, mut span, mut sampled) = (None, None, false);
        for field in header.split(';') {
            match field.trim().split_once('=')? {
                ("Root", root) => {
                    let (epoch, unique) = root.strip_prefix("1-")?.split_once('-')?;
                    let hex = [epoch, unique].concat();
                    let is_hex =
                        epoch.len() == 8 && unique.len() == 24 && hex.bytes().all(|b| b.is_ascii_hexdigit());
                    trace = Some(hex).filter(|_| is_hex);
                }
                ("Parent", parent) => {
                    let is_hex = parent.len() == 16 && parent.bytes().all(|b| b.is_ascii_hexdigit());
                    span = Some(parent).filter(|_| is_hex);
                }
                ("Sampled", value) => sampled = value == "1",
                _ => {}
            }
        }
        Some(Self {
            trace: u128::from_str_radix(&trace?, 16).ok().filter(|id| *id != 0)?,
            span: u64::from_str_radix(span?, 16).ok().filter(|id| *id != 0)?,
            sampled,
        })
    }

    /// As X-Ray's header, which Lambda runtimes expect.
    pub fn xray(self) -> String {
        let (epoch, unique) = (self.trace >> 96, self.trace & ((1 << 96) - 1));
        format!(
            "Root=1-{epoch:08x}-{unique:024x};Parent={:016x};Sampled={}",
            self.span,
            u8::from(self.sampled)
        )
    }
}

/// Something that runs functions.
#[async_trait]
pub trait Invoke: Send + Sync + 'static {
    /// Runs a function once and waits for its outcome. What goes wrong is part of the outcome.
    async fn invoke(&self, function: &FunctionName, call: Call) -> Outcome;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_invocation_is_the_root_of_what_it_causes() {
        let [first, second] = [1, 2].map(InvocationId::from_u128);
        let begun = Lineage::default().caused_by(first);
        assert_eq!((begun.root, begun.depth), (Some(first), 0));
        let deeper = Lineage { depth: 1, ..begun };
        assert_eq!(deeper.caused_by(second), deeper);
    }

    #[test]
    fn a_traceparent_reads_back_and_a_broken_one_is_nothing() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(text).unwrap();
        assert_eq!(trace.traceparent(), text);
        assert_eq!(
            trace.xray(),
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"
        );
        assert_eq!(Trace::parse_xray(&trace.xray()), Some(trace));
        let with_more = format!("Self=1-0-0; Lineage=25:b6a1:0;{}", trace.xray());
        assert_eq!(Trace::parse_xray(&with_more), Some(trace));
        for bad in [
            "",
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736",
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=0000000000000000",
            "Root=1-00000000-000000000000000000000000;Parent=00f067aa0ba902b7",
            "Root=1-+bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7",
            "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7",
            "Root;Parent",
        ] {
            assert_eq!(Trace::parse_xray(bad), None, "{bad}");
        }
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
        assert!(Trace::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x").is_some());
    }
}
