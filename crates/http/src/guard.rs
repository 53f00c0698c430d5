//! The stream under hyper. It lets only checked heads through, notices clients that stall, and at the end answers a refused
//! request and closes in a way that the client gets to read that answer.
//!
//! Bytes go from the socket straight into hyper's buffer and are checked there. Only a head that did not arrive whole is
//! held back and copied once, so that hyper sees heads whole or not at all and never answers one on its own. When a head is
//! refused hyper is told that the client sent no more, as soon as the answers before it are out; then [`Guard::finish`]
//! answers. Rejected: parsing the request here and building the answers without hyper (its writing side is the larger half
//! and well proven), and changing hyper's empty answers on their way out.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::frame::Frames;
use crate::room::Held;
use crate::{Handler, Limits, Refusal, Response, collect};
use aloft_base::Stall;

/// How much is read at once while a head is held back.
const PIECE: usize = 4 << 10;
/// How much a client that is being refused may still send, and for how long, before it is cut: without reading on, the
/// kernel would answer its bytes with a reset, and the client would lose the answer that lies in its buffer.
const DRAIN_BYTES: usize = 32 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Bound of a refusal's body; handlers write a sentence.
const REFUSAL_BYTES: usize = 64 << 10;

/// What the two ends of one connection tell each other.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// A request is being answered: from its head's arrival until its answer's body is handed over.
    pub(crate) is_answering: AtomicBool,
    /// What the body of the request under way takes up.
    pub(crate) held: Held,
    /// Why the body under way was cut, for whoever reads it.
    pub(crate) cut: OnceLock<Refusal>,
    /// The connection's task, if its reading side waits for the answer to be out. hyper does not ask by itself again.
    pub(crate) waiting: AtomicWaker,
    /// Somebody else waits for this connection's place.
    is_in_the_way: AtomicBool,
    in_the_way: AtomicWaker,
}

impl Link {
    /// Asks the connection to end when it has nothing under way.
    pub(crate) fn give_way(&self) {
        self.is_in_the_way.store(true, Ordering::Release);
        self.in_the_way.wake();
    }

    /// Ready once for each time it was asked.
    pub(crate) async fn asked_to_give_way(&self) {
        std::future::poll_fn(|cx| {
            self.in_the_way.register(cx.waker());
            if self.is_in_the_way.swap(false, Ordering::AcqRel) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// A connection's stream; see above.
#[derive(Debug)]
pub(crate) struct Guard {
    stream: TcpStream,
    limits: Limits,
    link: Arc<Link>,
    frames: Frames,
    /// Bytes held back; the first `ready` of them may go on to hyper.
    held: Vec<u8>,
    ready: usize,
    refusal: Option<Refusal>,
    /// Whether hyper was told of an end for the sake of a refused head, so that the answer to it is still owed.
    owes_answer: bool,
    /// Whether the client closed its side, or the stream broke.
    is_over: bool,
    /// Whether no request has come yet.
    is_fresh: bool,
    is_write_blocked: bool,
    /// Whether an answer was under way when nothing came the last time.
    was_answering: bool,
    read_stall: Stall,
    write_stall: Stall,
}

impl Guard {
    pub(crate) fn new(stream: TcpStream, limits: Limits, link: Arc<Link>) -> Self {
        Self {
            stream,
            limits,
            link,
            frames: Frames::new(limits),
            held: Vec::new(),
            ready: 0,
            refusal: None,
            owes_answer: false,
            is_over: false,
            is_fresh: true,
            is_write_blocked: false,
            was_answering: false,
            read_stall: Stall::default(),
            write_stall: Stall::default(),
        }
    }

    /// Ends the connection after hyper is done with it.
    pub(crate) async fn finish(mut self, handler: &dyn Handler) {
        let refusal = self.refusal.take();
        if let (true, Some(refusal)) = (self.owes_answer, &refusal) {
            let bytes = encode(handler.refuse(refusal)).await;
            let is_written =
                tokio::time::timeout(self.limits.write_stall, self.stream.write_all(&bytes)).await;
            self.is_over |= !matches!(is_written, Ok(Ok(())));
        }
        if self.is_over || (refusal.is_none() && !self.frames.is_in_body()) {
            return;
        }
        // The client may still be sending: it is heard out, within bounds, so that it reads the answer.
        if self.stream.shutdown().await.is_ok() {
            let _ = tokio::time::timeout(DRAIN_TIME, self.drain()).await;
        }
    }

    async fn drain(&mut self) {
        let mut buffer = vec![0; 16 << 10];
        let mut left = DRAIN_BYTES;
        while left > 0 {
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }

    /// Hands on what was held back and is ready.
    fn release(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
        self.ready -= count;
        if self.held.is_empty() {
            // A head may be 64 KiB; an idle connection should not keep that.
            self.held = Vec::new();
        }
    }

    /// Reads into hyper's buffer and takes back what is not ready. Returns whether anything is.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        if new.is_empty() {
            self.is_over = true;
            return Poll::Ready(Ok(true));
        }
        let fed = self.frames.feed(new);
        if fed.refusal.is_none() {
            self.held
                .extend_from_slice(new.get(fed.ready..).unwrap_or_default());
        }
        self.note(false, fed.refusal);
        buf.set_filled(before + fed.ready);
        Poll::Ready(Ok(fed.ready > 0))
    }

    /// Reads more of a head that is held back. Returns whether the stream ended instead.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut piece = [0; PIECE];
        let mut piece = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut piece))?;
        if piece.filled().is_empty() {
            self.is_over = true;
            return Poll::Ready(Ok(true));
        }
        self.held.extend_from_slice(piece.filled());
        let fed = self.frames.feed(&self.held);
        self.ready = fed.ready;
        if fed.refusal.is_some() {
            self.held.truncate(fed.ready);
        }
        self.note(true, fed.refusal);
        Poll::Ready(Ok(false))
    }

    /// Takes down what the last bytes brought, for the clocks and for the end.
    fn note(&mut self, was_in_head: bool, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal {
            if self.frames.is_in_body() {
                let _ = self.link.cut.set(refusal.clone());
            }
            self.refusal = Some(refusal);
        }
        let is_in_head = self.held.len() > self.ready;
        if !is_in_head || was_in_head && self.ready > 0 {
            self.is_fresh = false;
            self.read_stall.clear();
        } else if !was_in_head && !self.is_fresh {
            self.read_stall.restart();
        }
    }

    fn is_answering(&self) -> bool {
        self.is_write_blocked || self.link.is_answering.load(Ordering::Relaxed)
    }

    /// Nothing came: decides whether that has lasted too long. While a request is answered the handler's own limits apply.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_answering = self.is_answering();
        if is_answering && !self.held.is_empty() {
            self.link.waiting.register(cx.waker());
        }
        if is_answering != self.was_answering {
            self.was_answering = is_answering;
            self.read_stall.clear();
        }
        let awaits_head = !is_answering && (self.is_fresh || !self.held.is_empty());
        let limit = if awaits_head {
            self.limits.head_time
        } else {
            self.limits.idle_time
        };
        ready!(self.read_stall.poll(cx, limit));
        if is_answering {
            // Asking hyper's task to look again when an answer is out would cost each request a turn; a look now and then
            // closes an idle connection after one to two times its limit, which is as good.
            self.read_stall.restart();
            ready!(self.read_stall.poll(cx, limit));
        } else if awaits_head {
            let message = "the request's head did not arrive in time";
            self.refusal = Some(Refusal::new(StatusCode::REQUEST_TIMEOUT, message));
            self.held.clear();
            self.owes_answer = true;
        }
        Poll::Ready(Ok(()))
    }

    /// After a refusal: hyper learns of the end once the answers before it are out.
    fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.frames.is_in_body() {
            // Whoever reads the body gets an error and answers.
            return Poll::Ready(Ok(()));
        }
        if self.is_answering() {
            self.link.waiting.register(cx.waker());
            return Poll::Pending;
        }
        self.owes_answer = true;
        Poll::Ready(Ok(()))
    }

    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_stall.clear();
            if std::mem::take(&mut self.is_write_blocked) {
                self.link.waiting.wake();
            }
            return written;
        }
        self.is_write_blocked = true;
        ready!(self.write_stall.poll(cx, self.limits.write_stall));
        self.is_over = true;
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its answer",
        )))
    }
}

impl AsyncRead for Guard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.release(buf);
                return Poll::Ready(Ok(()));
            }
            if this.refusal.is_some() {
                return this.poll_refused(cx);
            }
            let is_held = !this.held.is_empty();
            let polled = if is_held {
                this.poll_held(cx)
            } else {
                this.poll_direct(cx, buf)
            };
            match polled {
                Poll::Pending => return this.poll_quiet(cx),
                Poll::Ready(Err(error)) => {
                    this.is_over = true;
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(false)) => {}
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// hyper is done; what remains is [`finish`](Guard::finish)'s.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An answer's bytes, for the last one on a connection that hyper has already left.
async fn encode(response: Response) -> Vec<u8> {
    let (head, body) = response.into_parts();
    let body = collect(body, REFUSAL_BYTES).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the body of a refusal could not be read");
        Bytes::new()
    });
    let reason = head.status.canonical_reason().unwrap_or("Refused");
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16()).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
        .extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}
