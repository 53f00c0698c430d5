//! What a process prints, read from its pipes and cut into lines.
//!
//! Lines carry the invocation during which they were written. A line may still lie in the pipe when the next invocation
//! begins, so [`Logs::begin`] first takes what is there. Reading never stops, whatever a function prints: a full pipe
//! would block it. What is longer than a line may be is cut, and what comes faster than the feed takes it is dropped and
//! counted there; memory stays bounded.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{InvocationId, Stop};
use aloft_observe::Stream;
use bytes::{BufMut, Bytes};
use tokio::io::Interest;
use tokio::net::unix::pipe;

use crate::lines::{Lines, Teller};

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
    teller: Teller,
    streams: Vec<(Stream, pipe::Receiver)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: Lines,
    /// Where chunks are read into. Each call looks into both pipes, mostly for nothing: a buffer of its own would have to be
    /// filled with zeros each time.
    chunk: Vec<u8>,
    /// Whether the call has printed anything yet.
    has_printed: bool,
}

impl Logs {
    pub(crate) fn new(
        teller: Teller,
        stdout: Option<pipe::Receiver>,
        stderr: pipe::Receiver,
        invocation: Option<InvocationId>,
    ) -> Self {
        let stdout = stdout.map(|stdout| (Stream::Stdout, stdout));
        let streams = stdout.into_iter().chain([(Stream::Stderr, stderr)]).collect();
        Self {
            teller,
            streams,
            state: Mutex::new(State {
                lines: Lines::of(invocation),
                ..State::default()
            }),
        }
    }

    /// The platform's own word among what the function prints.
    pub(crate) fn say(&self, line: &str) {
        let state = &mut *self.lock();
        state.lines.push(&self.teller, Stream::Platform, line.as_bytes());
        state.lines.flush(&self.teller, Stream::Platform);
    }

    /// Takes what the former invocation has left, and counts what follows to this one, whose last lines are kept if its caller
    /// wants them.
    pub(crate) fn begin(&self, invocation: InvocationId, is_tailed: bool) {
        let mut state = self.lock();
        self.empty(&mut state);
        state.has_printed = false;
        state.lines.begin(invocation, is_tailed);
    }

    /// Takes what the invocation that has ended has printed, so that it is told before the call's end is. Returns its last lines.
    /// System calls only where something lies in a pipe, or something did before: of one that printed a moment ago the event loop may not
    /// know yet that there is more.
    pub(crate) fn end(&self) -> Option<Bytes> {
        let mut state = self.lock();
        self.empty(&mut state);
        state.lines.end()
    }

    /// The code is loaded: what was printed meanwhile is the tail of nothing.
    pub(crate) fn loaded(&self) {
        self.lock().lines.end();
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
                let looks = state.has_printed;
                if self.take(state, index, looks) != Taken::Some {
                    break;
                }
            }
            state.lines.flush(&self.teller, *stream);
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
            let taken = self.take(&mut self.lock(), index, false);
            if taken == Taken::End {
                return;
            }
            // A function that never stops printing must not keep this thread from its other work.
            tokio::task::yield_now().await;
        }
    }

    /// Takes one chunk of what lies in the pipe: as far as the event loop knows, or by looking itself.
    fn take(&self, state: &mut State, index: usize, looks: bool) -> Taken {
        let Some((stream, pipe)) = self.streams.get(index) else {
            return Taken::End;
        };
        let mut chunk = std::mem::take(&mut state.chunk);
        chunk.clear();
        chunk.reserve(CHUNK);
        let read = match looks {
            true => rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut chunk)).map_err(Into::into),
            false => pipe.try_read_buf(&mut (&mut chunk).limit(CHUNK)),
        };
        let taken = match read {
            Ok(0) => {
                state.lines.flush(&self.teller, *stream);
                Taken::End
            }
            Ok(_) => {
                state.lines.push(&self.teller, *stream, &chunk);
                state.has_printed = true;
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
