//! Answers that go to their caller while they are made.
//!
//! A caller that can take its answer piece by piece says so by [`Call::stream`](crate::Call::stream). A function may use that or not: when
//! it begins to, its contract sends the answer's head and a channel of pieces there; when it does not, nothing comes and the answer lies
//! in the [`Outcome`] as ever. The outcome comes at the call's end either way, since only then it is known what became of it.
//!
//! From the head on the call runs in a task of its own: a client that reads slowly holds up the pieces, but not the clock by which the
//! function is ended. One that reads more slowly than the server lets a client bring a request, or that would use up the function's time
//! by it, counts as gone: the function is heard out without it, and what it got breaks off.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aloft_base::{FunctionId, Policy, Tasks};
use aloft_http::{Body, BodyError, WRITE_STALL, slowest};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::Stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::{Answer, Call, Fault, Invoke, Outcome};

/// Pieces that lie between the function and its caller at most. A full channel holds up the function.
const PIECES: usize = 4;

/// Where a call's answer goes when it is streamed.
pub type Sink = oneshot::Sender<Beginning>;

/// The beginning of a streamed answer.
#[derive(Debug)]
pub struct Beginning {
    /// Status and headers. To a call that is no HTTP call it tells the answer's type at most.
    pub head: http::Response<()>,
    /// The number of the version that answers; 0 for `$LATEST`.
    pub version: u64,
    pieces: Taken,
}

/// The pieces as they come.
#[derive(Debug)]
struct Taken {
    pieces: mpsc::Receiver<Bytes>,
    /// Whether its caller took them too slowly, so that some are missing at the end.
    is_cut: Arc<AtomicBool>,
}

/// Where the pieces of a streamed answer are sent to.
#[derive(Debug)]
pub struct Pieces {
    /// Nothing once the caller has gone.
    caller: Option<mpsc::Sender<Bytes>>,
    is_cut: Arc<AtomicBool>,
    /// When the call is ended.
    until: Instant,
    /// How long the caller was waited for, and for how many bytes.
    waited: Duration,
    sent: u64,
    largest: u64,
}

impl Beginning {
    /// A beginning with this head by this version, and where the pieces of a call are sent to that is ended at this time.
    pub fn new(head: http::Response<()>, version: u64, until: Instant) -> (Self, Pieces) {
        let (sender, pieces) = mpsc::channel(PIECES);
        let is_cut = Arc::new(AtomicBool::new(false));
        let beginning = Self {
            head,
            version,
            pieces: Taken {
                pieces,
                is_cut: is_cut.clone(),
            },
        };
        let pieces = Pieces {
            caller: Some(sender),
            is_cut,
            until,
            waited: Duration::ZERO,
            sent: 0,
            largest: 0,
        };
        (beginning, pieces)
    }

    /// Head and pieces.
    pub fn into_parts(self) -> (http::Response<()>, mpsc::Receiver<Bytes>) {
        (self.head, self.pieces.pieces)
    }
}

impl Pieces {
    /// Sends a piece on and waits until there is room for it, within the bounds of a client that reads. A caller that has gone, or that
    /// takes longer, gets nothing more, and whatever is sent then is dropped.
    pub async fn send(&mut self, piece: Bytes) {
        let Some(caller) = &self.caller else { return };
        if piece.is_empty() {
            return;
        }
        let bytes = piece.len() as u64;
        let piece = match caller.try_send(piece) {
            Ok(()) => {
                self.count(bytes);
                return;
            }
            Err(TrySendError::Full(piece)) => piece,
            Err(TrySendError::Closed(_)) => {
                self.caller = None;
                return;
            }
        };
        let began = Instant::now();
        // A place becomes free when the caller has taken one of the former pieces; and all of them, in the time that all may take.
        let one = WRITE_STALL + slowest(self.largest);
        let all = (WRITE_STALL + slowest(self.sent)).saturating_sub(self.waited);
        // The function needs the rest of its time to say what nobody hears.
        let of_call = self.until.saturating_duration_since(began) / 2;
        match tokio::time::timeout(one.min(all).min(of_call), caller.send(piece)).await {
            Ok(Ok(())) => {
                self.waited += began.elapsed();
                self.count(bytes);
            }
            Ok(Err(_)) => self.caller = None,
            Err(_) => {
                self.is_cut.store(true, Ordering::SeqCst);
                self.caller = None;
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        self.largest = self.largest.max(bytes);
    }
}

/// Calls functions and hands on their answers while they are made. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    invoke: Arc<dyn Invoke>,
    tasks: Tasks,
}

/// An answer as it begins.
#[derive(Debug)]
pub enum Begun {
    /// It is whole, or there is none.
    Whole(Outcome),
    /// It is streamed.
    Stream(Streaming),
}

impl Streams {
    /// Calls by `invoke`; calls that stream become `tasks`.
    pub fn new(invoke: Arc<dyn Invoke>, tasks: Tasks) -> Self {
        Self { invoke, tasks }
    }

    /// Calls a function whose answer is wanted as a whole.
    pub async fn whole(&self, function: &FunctionId, call: Call) -> Outcome {
        self.invoke.invoke(function, call).await
    }

    /// Calls a function. When the returned future or what it resolves to is dropped, the call goes on as any whose caller has gone.
    pub async fn begin(&self, function: &FunctionId, mut call: Call) -> Begun {
        let (sink, beginning) = oneshot::channel();
        call.stream = Some(sink);
        let (invoke, function) = (self.invoke.clone(), function.clone());
        let work: Pin<Box<dyn Future<Output = Outcome> + Send>> =
            Box::pin(async move { invoke.invoke(&function, call).await });
        let (begun, work) = match select(work, pin!(beginning)).await {
            Either::Left((outcome, beginning)) => match beginning.get_mut().try_recv() {
                // It began and ended in one step.
                Ok(beginning) => (beginning, Box::pin(std::future::ready(outcome)) as _),
                Err(_) => return Begun::Whole(outcome),
            },
            Either::Right((Ok(beginning), work)) => (beginning, work),
            // Nobody will stream.
            Either::Right((Err(_), work)) => return Begun::Whole(work.await),
        };
        let (ended, outcome) = oneshot::channel();
        self.tasks
            .start("a call whose answer is streamed", Policy::Alone, async move {
                // Whoever wanted to know may have gone.
                let _ = ended.send(work.await);
                Ok::<(), Infallible>(())
            });
        Begun::Stream(Streaming {
            head: begun.head,
            version: begun.version,
            rest: Rest {
                pieces: begun.pieces,
                outcome,
                is_ended: false,
            },
        })
    }
}

/// A streamed answer.
#[derive(Debug)]
pub struct Streaming {
    /// Its head.
    pub head: http::Response<()>,
    /// The number of the version that answers; 0 for `$LATEST`.
    pub version: u64,
    /// What follows.
    pub rest: Rest,
}

/// The pieces of a streamed answer, and behind the last one what became of the call.
#[derive(Debug)]
pub struct Rest {
    pieces: Taken,
    outcome: oneshot::Receiver<Outcome>,
    is_ended: bool,
}

/// What comes next of a streamed answer.
#[derive(Debug)]
pub enum Next {
    /// A piece of it.
    Piece(Bytes),
    /// The end. Nothing when the platform went down before it.
    End(Option<Box<Outcome>>),
}

impl Stream for Rest {
    type Item = Next;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        let this = self.get_mut();
        if this.is_ended {
            return Poll::Ready(None);
        }
        if let Some(piece) = ready!(this.pieces.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Next::Piece(piece)));
        }
        let mut outcome = ready!(Pin::new(&mut this.outcome).poll(cx)).ok().map(Box::new);
        if let Some(outcome) = &mut outcome
            && outcome.result.is_ok()
            && this.pieces.is_cut.load(Ordering::SeqCst)
        {
            // The part must not be taken for the whole.
            outcome.result = Err(Fault::Platform {
                why: "its caller took the answer too slowly, and the rest of it was dropped".to_owned(),
            });
        }
        this.is_ended = true;
        Poll::Ready(Some(Next::End(outcome)))
    }
}

impl Streaming {
    /// The answer as an HTTP response. When the function fails on the way the body breaks off, so that no client takes the part for the
    /// whole.
    pub fn into_response(self) -> http::Response<Body> {
        let frames = self.rest.filter_map(|next| {
            let frame = match next {
                Next::Piece(piece) => Some(Ok(Frame::data(piece))),
                Next::End(Some(outcome)) => outcome.result.err().map(|fault| broken(fault.into())),
                Next::End(None) => Some(broken("the platform went down".into())),
            };
            std::future::ready(frame)
        });
        self.head.map(|()| StreamBody::new(frames).boxed_unsync())
    }
}

fn broken(why: Box<dyn std::error::Error + Send + Sync>) -> Result<Frame<Bytes>, BodyError> {
    Err(BodyError::Broken(why))
}

impl Begun {
    /// The answer to an HTTP call, streamed or not.
    ///
    /// # Errors
    /// The fault of a call that ended before there was any answer.
    pub fn answer(self) -> Result<Answer, Fault> {
        match self {
            Self::Whole(outcome) => outcome.result,
            Self::Stream(streaming) => Ok(Answer::Http(streaming.into_response())),
        }
    }
}

#[cfg(test)]
mod tests;
