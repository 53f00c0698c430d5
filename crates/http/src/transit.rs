//! Bodies on their way through the server: a request's with its bound and its clock, and an answer's that says when it is
//! handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::guard::Link;
use crate::limits::slowest;
use crate::{Body, BodyError, Room, empty};
use aloft_base::Stall;

/// What a body may be.
pub(crate) struct Bounds {
    /// Its bytes.
    pub(crate) bytes: usize,
    /// How long it may bring nothing.
    pub(crate) stall: Duration,
    /// The room that it takes up as it arrives, and how much of it at most.
    pub(crate) room: Option<(Room, usize)>,
}

/// A message's body as hyper receives it, with bounds.
pub(crate) fn incoming(body: Incoming, bounds: Bounds, link: Option<Arc<Link>>) -> Body {
    if http_body::Body::is_end_stream(&body) {
        return empty();
    }
    Arriving {
        body,
        limit: bounds.bytes,
        left: bounds.bytes,
        longest_stall: bounds.stall,
        room: bounds.room,
        stall: Stall::default(),
        trickle: Stall::default(),
        link,
        is_done: false,
    }
    .boxed_unsync()
}

struct Arriving {
    body: Incoming,
    limit: usize,
    left: usize,
    longest_stall: Duration,
    room: Option<(Room, usize)>,
    stall: Stall,
    /// All its waits together: each byte renews the one above, so that a client could make a body last for ever.
    trickle: Stall,
    link: Option<Arc<Link>>,
    is_done: bool,
}

impl Arriving {
    /// Whether nothing came for too long, or too little by now. An answer may be a feed that has little to tell; only a
    /// request owes bytes.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.stall.poll(cx, self.longest_stall).is_ready() {
            return true;
        }
        let received = (self.limit - self.left) as u64;
        let all = self.longest_stall.saturating_add(slowest(received));
        self.link.is_some() && self.trickle.poll(cx, all).is_ready()
    }

    fn check(&mut self, frame: Result<Frame<Bytes>, hyper::Error>) -> Result<Frame<Bytes>, BodyError> {
        let frame = frame.map_err(|error| {
            let cut = self.link.as_ref().and_then(|link| link.cut.get());
            BodyError::Broken(cut.map_or_else(|| error.into(), |refusal| refusal.clone().into()))
        })?;
        let length = frame.data_ref().map_or(0, Bytes::len);
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(BodyError::TooLarge { limit: self.limit })?;
        if let (Some((room, most)), Some(link)) = (&self.room, &self.link)
            && !room.grow(&link.held, (self.limit - self.left).min(*most))
        {
            return Err(BodyError::NoRoom);
        }
        Ok(frame)
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.is_done {
            return Poll::Ready(None);
        }
        let checked = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Pending if !this.is_late(cx) => return Poll::Pending,
            Poll::Pending => Some(Err(BodyError::TimedOut)),
            Poll::Ready(frame) => {
                this.stall.clear();
                frame.map(|frame| this.check(frame))
            }
        };
        this.is_done = !matches!(checked, Some(Ok(_)));
        Poll::Ready(checked)
    }

    fn is_end_stream(&self) -> bool {
        self.is_done || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body.
pub(crate) struct Leaving {
    pub(crate) body: Body,
    pub(crate) link: Arc<Link>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.link.is_answering.store(false, Ordering::Relaxed);
        self.link.waiting.wake();
    }
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
