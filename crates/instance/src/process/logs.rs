//! What a function prints, cut into lines and told to the feed.
//!
//! Lines carry the invocation during which they were written. A line may still lie in the pipe when the next invocation
//! begins, so [`Logs::begin`] first takes what is there. Reading never stops, whatever a function prints: a full pipe
//! would block it. What is longer than a line may be is cut, and what comes faster than the feed takes it is dropped and
//! counted there; memory stays bounded.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Clock, InvocationId, Stop};
use aloft_call::Outcome;
use aloft_function::Version;
use aloft_observe::{Feed, Line, Notice, Stream};
use bytes::{BufMut, Bytes};
use tokio::io::Interest;
use tokio::net::unix::pipe;

/// The longest line that is kept whole, Lambda's and CloudWatch's limit.
const LINE_LIMIT: usize = 256 << 10;
/// How much is read at once.
const CHUNK: usize = 16 << 10;

/// Chunks of a full pipe of Linux's default size.
const CHUNKS: usize = 4;

/// What lay in a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Some,
    Nothing,
    End,
}

/// The streams of one instance that are its log: both, or errors alone where its output is its answer.
pub(crate) struct Logs {
    clock: Arc<dyn Clock>,
    feed: Feed,
    version: Arc<Version>,
    streams: Vec<(Stream, pipe::Receiver)>,
    state: Mutex<State>,
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

#[derive(Default)]
struct State {
    invocation: Option<InvocationId>,
    partial: [Vec<u8>; 2],
    /// The last lines of the invocation, if its caller wants them.
    tail: Option<Tail>,
    /// Where chunks are read into. Each call looks into both pipes, mostly for nothing: a buffer of its own would have to be
    /// filled with zeros each time.
    chunk: Vec<u8>,
}

impl Logs {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        feed: Feed,
        version: Arc<Version>,
        stdout: Option<pipe::Receiver>,
        stderr: pipe::Receiver,
        invocation: Option<InvocationId>,
    ) -> Self {
        let stdout = stdout.map(|stdout| (Stream::Stdout, stdout));
        let streams = stdout.into_iter().chain([(Stream::Stderr, stderr)]).collect();
        Self {
            clock,
            feed,
            version,
            streams,
            state: Mutex::new(State {
                invocation,
                ..State::default()
            }),
        }
    }

    /// Takes what the former invocation has left, and counts what follows to this one, whose last lines are kept if its caller
    /// wants them.
    pub(crate) fn begin(&self, invocation: InvocationId, is_tailed: bool) {
        let mut state = self.lock();
        self.empty(&mut state);
        state.invocation = Some(invocation);
        state.tail = is_tailed.then(Tail::default);
    }

    /// Takes what the invocation that has ended has printed, so that it is told before the call's end is. Returns its last lines, at
    /// most [`Outcome::TAIL`] bytes; none if they were not wanted. A system call only where something lies in a pipe.
    pub(crate) fn end(&self) -> Option<Bytes> {
        let mut state = self.lock();
        self.empty(&mut state);
        let mut tail = state.tail.take()?;
        tail.cut();
        Some(tail.0.into())
    }

    /// Takes what the process has left that is gone, so that it is told before its end is.
    pub(crate) fn take_last_words(&self) {
        self.empty(&mut self.lock());
    }

    /// Reads both streams until they end.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let both = async {
            tokio::join!(self.read(0), self.read(1));
        };
        tokio::select! {
            // Both are safe to cancel: what is read is told in the same step.
            () = both => {}
            () = stop.asked() => {}
        }
        // The last words before an end are the most wanted ones.
        self.empty(&mut self.lock());
    }

    /// Takes what lies in the pipes, at most as much as pipes usually hold, and tells also a line that has no end yet.
    fn empty(&self, state: &mut State) {
        for (index, (stream, _)) in self.streams.iter().enumerate() {
            for _ in 0..CHUNKS {
                if self.take(state, index) != Taken::Some {
                    break;
                }
            }
            self.tell_partial(state, index, *stream);
        }
    }

    fn tell_partial(&self, state: &mut State, index: usize, stream: Stream) {
        let rest = state
            .partial
            .get_mut(index)
            .map(std::mem::take)
            .unwrap_or_default();
        if !rest.is_empty() {
            self.tell(state.invocation, &mut state.tail, stream, &rest);
        }
    }

    async fn read(&self, index: usize) {
        let Some((_, pipe)) = self.streams.get(index) else {
            return;
        };
        loop {
            if pipe.ready(Interest::READABLE).await.is_err() {
                return;
            }
            let taken = self.take(&mut self.lock(), index);
            if taken == Taken::End {
                return;
            }
            // A function that never stops printing must not keep this thread from its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Takes one chunk of what lies in the pipe.
    fn take(&self, state: &mut State, index: usize) -> Taken {
        let Some((stream, pipe)) = self.streams.get(index) else {
            return Taken::End;
        };
        let mut chunk = std::mem::take(&mut state.chunk);
        chunk.clear();
        chunk.reserve(CHUNK);
        let read = pipe.try_read_buf(&mut (&mut chunk).limit(CHUNK));
        let taken = match read {
            Ok(0) => {
                self.tell_partial(state, index, *stream);
                Taken::End
            }
            Ok(_) => {
                self.cut(state, index, *stream, &chunk);
                Taken::Some
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::Interrupted => {
                Taken::Nothing
            }
            Err(_) => Taken::End,
        };
        state.chunk = chunk;
        taken
    }

    fn cut(&self, state: &mut State, index: usize, stream: Stream, mut bytes: &[u8]) {
        let State {
            invocation,
            partial,
            tail,
            ..
        } = state;
        let (invocation, Some(partial)) = (*invocation, partial.get_mut(index)) else {
            return;
        };
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if partial.is_empty() {
                self.tell(invocation, tail, stream, line);
            } else {
                partial.extend_from_slice(line);
                self.tell(invocation, tail, stream, partial);
                partial.clear();
            }
        }
        partial.extend_from_slice(bytes);
        if partial.len() >= LINE_LIMIT {
            self.tell(invocation, tail, stream, partial);
            partial.clear();
        }
    }

    fn tell(&self, invocation: Option<InvocationId>, tail: &mut Option<Tail>, stream: Stream, line: &[u8]) {
        // One record is one line: Lambda's runtimes separate the lines within it by carriage returns.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(tail) = tail {
            tail.push(line);
        }
        let text = String::from_utf8_lossy(line).into_owned();
        self.feed.publish(Notice::Log(Line {
            at: self.clock.now(),
            function: self.version.function.clone(),
            version: Some(self.version.id.clone()),
            number: self.version.number,
            invocation,
            stream,
            text,
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
