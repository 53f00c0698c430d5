//! Follows the frames of a connection's requests: head, body, head, body … It exists so that each head can be checked before
//! hyper sees it; hyper does its own framing of the same bytes, and where the two could disagree this one refuses.

use crate::head::{Framing, Head};
use crate::{Limits, Refusal};

/// Longest chunk-size line (RFC 9112, section 7.1.1 lets a recipient bound extensions; nobody sends any).
const LONGEST_SIZE_LINE: usize = 256;
const MOST_SIZE_DIGITS: usize = 12;
/// Bytes of trailers together.
const MOST_TRAILER_BYTES: usize = 8 << 10;

/// Where in the stream of requests a connection is.
#[derive(Debug)]
pub(crate) struct Frames {
    phase: Phase,
    limits: Limits,
}

#[derive(Debug)]
enum Phase {
    Head(Head),
    Sized(u64),
    Chunked(Chunks),
}

/// What became of some bytes.
#[derive(Debug)]
pub(crate) struct Fed {
    /// How many of them, from the first, are whole heads or belong to bodies. What follows is an incomplete head, to be fed
    /// again with what comes next, or refused.
    pub(crate) ready: usize,
    /// Why the bytes after the ready ones are not accepted.
    pub(crate) refusal: Option<Refusal>,
}

impl Frames {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            phase: Phase::Head(Head::default()),
            limits,
        }
    }

    /// Whether a body has begun and is not complete.
    pub(crate) fn is_in_body(&self) -> bool {
        !matches!(self.phase, Phase::Head(_))
    }

    /// Follows further bytes: those that were not ready last time, and what came since.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut ready = 0;
        loop {
            let rest = bytes.get(ready..).unwrap_or_default();
            if rest.is_empty() {
                return Fed { ready, refusal: None };
            }
            match self.step(rest) {
                Ok(0) => return Fed { ready, refusal: None },
                Ok(taken) => ready += taken,
                Err(refusal) => {
                    return Fed {
                        ready,
                        refusal: Some(refusal),
                    };
                }
            }
        }
    }

    /// Takes a head, or as much of a body as is there. 0 means that a head is not complete.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let (taken, next) = match &mut self.phase {
            Phase::Head(head) => match head.check(bytes, &self.limits)? {
                None => return Ok(0),
                Some((length, Framing::Sized(0))) => (length, Some(Phase::Head(Head::default()))),
                Some((length, Framing::Sized(body))) => (length, Some(Phase::Sized(body))),
                Some((length, Framing::Chunked)) => (length, Some(Phase::Chunked(Chunks::default()))),
            },
            Phase::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(taken as u64);
                (taken, (*left == 0).then(|| Phase::Head(Head::default())))
            }
            Phase::Chunked(chunks) => {
                let (taken, is_end) = chunks.feed(bytes)?;
                (taken, is_end.then(|| Phase::Head(Head::default())))
            }
        };
        if let Some(next) = next {
            self.phase = next;
        }
        Ok(taken)
    }
}

/// A chunked body (RFC 9112, section 7.1).
#[derive(Debug, Default)]
struct Chunks {
    step: Step,
    /// Of the chunk: read from its size line, then counted down.
    size: u64,
    /// Bytes of the size line, or of the trailers.
    line: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerEnd,
    End,
}

impl Chunks {
    /// Takes what belongs to the body; says whether it ended.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.step == Step::Data {
                let taken = usize::try_from(self.size)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                self.size = self.size.saturating_sub(taken as u64);
                at += taken;
                if self.size == 0 {
                    self.step = Step::DataCr;
                }
                continue;
            }
            at += 1;
            if self.step == Step::End {
                return if *byte == b'\n' {
                    Ok((at, true))
                } else {
                    Err(bad_chunk())
                };
            }
            self.step = self.next(*byte).ok_or_else(bad_chunk)?;
        }
        Ok((at, false))
    }

    /// The step after this byte; nothing when the byte may not stand here.
    fn next(&mut self, byte: u8) -> Option<Step> {
        let is_text = !byte.is_ascii_control() || byte == b'\t';
        self.line += 1;
        match self.step {
            Step::Size => match (char::from(byte).to_digit(16), byte) {
                (Some(digit), _) if self.line <= MOST_SIZE_DIGITS => {
                    self.size = (self.size << 4) | u64::from(digit);
                    Some(Step::Size)
                }
                (None, b';') if self.line > 1 => Some(Step::Extension),
                (None, b'\r') if self.line > 1 => Some(Step::SizeEnd),
                _ => None,
            },
            Step::Extension if byte == b'\r' => Some(Step::SizeEnd),
            Step::Extension => (is_text && self.line <= LONGEST_SIZE_LINE).then_some(Step::Extension),
            Step::SizeEnd if byte == b'\n' => {
                self.line = 0;
                Some(if self.size == 0 {
                    Step::TrailerStart
                } else {
                    Step::Data
                })
            }
            Step::DataCr if byte == b'\r' => Some(Step::DataLf),
            Step::DataLf if byte == b'\n' => {
                self.line = 0;
                Some(Step::Size)
            }
            Step::TrailerStart if byte == b'\r' => Some(Step::End),
            Step::Trailer if byte == b'\r' => Some(Step::TrailerEnd),
            Step::TrailerStart | Step::Trailer => {
                (is_text && self.line <= MOST_TRAILER_BYTES).then_some(Step::Trailer)
            }
            Step::TrailerEnd if byte == b'\n' => Some(Step::TrailerStart),
            // Data and End are dealt with by the caller, which sees more than one byte.
            Step::SizeEnd | Step::DataCr | Step::DataLf | Step::TrailerEnd | Step::Data | Step::End => None,
        }
    }
}

fn bad_chunk() -> Refusal {
    Refusal::malformed("the chunked body is malformed")
}
