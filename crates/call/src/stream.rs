//! Answers that go to their caller while they are made.
//!
//! A caller that can take its answer piece by piece says so by [`Call::stream`](crate::Call::stream). A function may use that or not: when
//! it begins to, its contract sends the answer's head and a channel of pieces there; when it does not, nothing comes and the answer lies
//! in the [`Outcome`] as ever. The outcome comes at the call's end either way, since only then it is known what became of it.
//!
//! From the head on the call runs in a task of its own: a client that reads slowly holds up the pieces, but not the clock by which the
//! function is ended.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aloft_base::{FunctionName, Policy, Tasks};
use aloft_http::{Body, BodyError};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::Stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::{mpsc, oneshot};

use crate::{Answer, Call, Invoke, Outcome};

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
    pieces: mpsc::Receiver<Bytes>,
}

impl Beginning {
    /// A beginning with this head by this version, and where the pieces are sent to. A send fails when the caller has gone.
    pub fn new(head: http::Response<()>, version: u64) -> (Self, mpsc::Sender<Bytes>) {
        let (sender, pieces) = mpsc::channel(PIECES);
        let beginning = Self {
            head,
            version,
            pieces,
        };
        (beginning, sender)
    }

    /// Head and pieces.
    pub fn into_parts(self) -> (http::Response<()>, mpsc::Receiver<Bytes>) {
        (self.head, self.pieces)
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
    pub async fn whole(&self, function: &FunctionName, call: Call) -> Outcome {
        self.invoke.invoke(function, call).await
    }

    /// Calls a function. When the returned future or what it resolves to is dropped, the call goes on as any whose caller has gone.
    pub async fn begin(&self, function: &FunctionName, mut call: Call) -> Begun {
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
    pieces: mpsc::Receiver<Bytes>,
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
        if let Some(piece) = ready!(this.pieces.poll_recv(cx)) {
            return Poll::Ready(Some(Next::Piece(piece)));
        }
        let outcome = ready!(Pin::new(&mut this.outcome).poll(cx)).ok().map(Box::new);
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
    pub fn answer(self) -> Result<Answer, crate::Fault> {
        match self {
            Self::Whole(outcome) => outcome.result,
            Self::Stream(streaming) => Ok(Answer::Http(streaming.into_response())),
        }
    }
}

#[cfg(test)]
mod tests;
