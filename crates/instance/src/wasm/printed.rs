//! What a guest prints: its lines go to the log as it prints them, and it never waits for that.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use aloft_observe::Stream;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::lines::{Lines, Teller};

/// How much a guest may print at once.
const PIECE: usize = 64 << 10;

/// What one call prints. Clones are the same.
#[derive(Clone)]
pub(super) struct Printed(Arc<(Teller, Mutex<Lines>)>);

/// One of its streams.
#[derive(Clone)]
pub(super) struct Output {
    printed: Printed,
    stream: Stream,
}

impl Printed {
    pub(super) fn new(teller: Teller, lines: Lines) -> Self {
        Self(Arc::new((teller, Mutex::new(lines))))
    }

    pub(super) fn output(&self, stream: Stream) -> Output {
        Output {
            printed: self.clone(),
            stream,
        }
    }

    /// The platform's own word in the function's log.
    pub(super) fn say(&self, line: &str) {
        self.push(Stream::Platform, line.as_bytes());
        self.lock().flush(&self.0.0, Stream::Platform);
    }

    /// Tells what has no end yet. Returns the last lines, if they were wanted.
    pub(super) fn end(&self) -> Option<Bytes> {
        let mut lines = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            lines.flush(&self.0.0, stream);
        }
        lines.end()
    }

    fn push(&self, stream: Stream, bytes: &[u8]) {
        self.lock().push(&self.0.0, stream, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.printed.push(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..PIECE).unwrap_or(bytes);
        self.printed.push(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
