//! What a function prints, cut into lines and told to the feed, each with the invocation during which it was written.

use std::sync::Arc;

use aloft_base::{Clock, InvocationId};
use aloft_call::Outcome;
use aloft_function::Version;
use aloft_observe::{Feed, Line, Notice, Redaction, Stream};
use bytes::Bytes;

/// The longest line that is kept whole, Lambda's and CloudWatch's limit.
const LINE_LIMIT: usize = 256 << 10;

/// Whose lines they are, and where they go.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) feed: Feed,
    pub(crate) version: Arc<Version>,
    /// What its lines must not show.
    pub(crate) redaction: Redaction,
}

/// Output on its way to being lines.
#[derive(Default)]
pub(crate) struct Lines {
    invocation: Option<InvocationId>,
    partial: [Vec<u8>; 3],
    /// The last lines of the invocation, if its caller wants them.
    tail: Option<Tail>,
}

/// The end of a text.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, line: &[u8]) {
        self.0.extend_from_slice(line);
        self.0.push(b'\n');
        // Not at each line: moving what stays would cost more than writing it.
        if self.0.len() > 4 * Outcome::TAIL {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let beyond = self.0.len().saturating_sub(Outcome::TAIL);
        self.0.drain(..beyond);
    }
}

impl Lines {
    /// Of this invocation from the beginning. The last lines are kept, for whoever is told that the code could not be loaded.
    pub(crate) fn of(invocation: Option<InvocationId>) -> Self {
        Self {
            invocation,
            tail: Some(Tail::default()),
            ..Self::default()
        }
    }

    /// Counts what follows to this invocation, whose last lines are kept if its caller wants them.
    pub(crate) fn begin(&mut self, invocation: InvocationId, is_tailed: bool) {
        self.invocation = Some(invocation);
        self.tail = is_tailed.then(Tail::default);
    }

    /// The invocation's last lines, at most [`Outcome::TAIL`] bytes; none if they were not wanted.
    pub(crate) fn end(&mut self) -> Option<Bytes> {
        let mut tail = self.tail.take()?;
        tail.cut();
        Some(tail.0.into())
    }

    /// Takes what was printed: tells the lines that it ends, and keeps the beginning of one for later.
    pub(crate) fn push(&mut self, teller: &Teller, stream: Stream, mut bytes: &[u8]) {
        let Self {
            invocation,
            partial,
            tail,
        } = self;
        let Some(partial) = partial.get_mut(index(stream)) else {
            return;
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if partial.is_empty() {
                teller.tell(*invocation, tail, stream, line);
            } else {
                partial.extend_from_slice(line);
                teller.tell(*invocation, tail, stream, partial);
                partial.clear();
            }
        }
        partial.extend_from_slice(bytes);
        if partial.len() >= LINE_LIMIT {
            teller.tell(*invocation, tail, stream, partial);
            partial.clear();
        }
    }

    /// Tells also a line that has no end yet.
    pub(crate) fn flush(&mut self, teller: &Teller, stream: Stream) {
        let rest = self.partial.get_mut(index(stream)).map(std::mem::take);
        let rest = rest.unwrap_or_default();
        if !rest.is_empty() {
            teller.tell(self.invocation, &mut self.tail, stream, &rest);
        }
    }
}

/// Where the beginning of a stream's next line is kept.
fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
        Stream::Platform => 2,
    }
}

impl Teller {
    fn tell(&self, invocation: Option<InvocationId>, tail: &mut Option<Tail>, stream: Stream, line: &[u8]) {
        // One record is one line: Lambda's runtimes separate the lines within it by carriage returns.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let redacted = self.redaction.redact(line);
        let line = redacted.as_deref().unwrap_or(line);
        if let Some(tail) = tail {
            tail.push(line);
        }
        let text = String::from_utf8_lossy(line).into_owned();
        self.feed.publish(Notice::Log(Line {
            at: self.clock.now(),
            tenant: self.version.function.tenant.clone(),
            function: self.version.function.name.clone(),
            version: Some(self.version.id.clone()),
            number: self.version.number,
            invocation,
            stream,
            text,
            logging: self.version.logging,
        }));
    }
}
