//! The trace that calls and events belong to, in the two forms in which the world writes it.

use crate::Chance;

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

#[cfg(test)]
mod tests {
    use super::*;

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
