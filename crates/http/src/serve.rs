//! The HTTP/1.1 server: accepts connections, runs each as one task, hands its requests to the handler.
//!
//! A request starts no task and takes no lock that another connection takes. Its future lives inside its connection's task,
//! so a client that goes away cancels it; whoever must run to the end sees to that below.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aloft_base::{Policy, Stop, Tasks};
use futures_util::FutureExt as _;
use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::guard::{Guard, Link};
use crate::room::Held;
use crate::transit::{Bounds, Leaving, incoming};
use crate::turn::Turn;
use crate::{Drive, Handler, Limits, Peer, Refusal, Response, Room};

/// hyper's buffer per direction: it must hold the largest head.
const SLACK: usize = 64 << 10;
/// How long to wait when the process or the machine has no more descriptors or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves what the listener accepts until the tasks are asked to stop; then no new connection is taken, idle ones are
/// closed, and requests under way are answered, which [`Tasks::drain`] waits for. Where the listener's socket lives does not
/// matter: it may belong to another network namespace.
///
/// `room` bounds what all bodies together take up; a body's share is given back once its request is answered.
pub fn serve(listener: TcpListener, limits: Limits, room: &Room, handler: Arc<dyn Handler>, tasks: &Tasks) {
    let work = accept(listener, (limits, room.clone()), handler, tasks.clone(), None);
    tasks.start("http listener", Policy::Vital, work);
}

/// As [`serve`]; whoever waits for what comes over the connections may drive them in its own task.
pub fn serve_driven(
    listener: TcpListener,
    limits: Limits,
    room: &Room,
    handler: Arc<dyn Handler>,
    tasks: &Tasks,
) -> Drive {
    let drive = Drive::default();
    let work = accept(
        listener,
        (limits, room.clone()),
        handler,
        tasks.clone(),
        Some(drive.clone()),
    );
    tasks.start("http listener", Policy::Vital, work);
    drive
}

async fn accept(
    listener: TcpListener,
    (limits, room): (Limits, Room),
    handler: Arc<dyn Handler>,
    tasks: Tasks,
    drive: Option<Drive>,
) -> Result<(), Infallible> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut crowd = Crowd::default();
    let mut stopping = pin!(tasks.stop().asked());
    loop {
        let next = async {
            let accepted = listener.accept().await;
            let place = match places.clone().try_acquire_owned() {
                Ok(place) => Ok(place),
                Err(_) => {
                    crowd.thin();
                    places.clone().acquire_owned().await
                }
            };
            (place, accepted)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stopping => return Ok(()),
            // Cancelled only by the stop, which closes what was accepted like everything else.
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let link = Arc::new(Link::default());
                crowd.joined(&link, limits.connections);
                let work = connection(
                    (stream, peer),
                    (limits, room.clone()),
                    handler.clone(),
                    link,
                    tasks.stop().child(),
                );
                let work = Turn::new(async move {
                    work.await;
                    drop(place);
                });
                match &drive {
                    None => tasks.start("http connection", Policy::Alone, work.map(Ok::<(), Infallible>)),
                    Some(drive) => {
                        let work = drive.add(work).map(Ok::<(), Infallible>);
                        tasks.start("http connection", Policy::Alone, work);
                    }
                }
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::select! {
                    () = &mut stopping => return Ok(()),
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
            // The client was gone before it was accepted.
            Err(error) => tracing::debug!(%error, "a connection was not accepted"),
        }
    }
}

/// The connections of a listener in the order of their arrival. When a new one finds no place, the oldest is asked to give its
/// own up: at once if it is idle, else after the answer under way. So connections that are only kept open keep nobody out,
/// and busy ones take turns.
#[derive(Default)]
struct Crowd(VecDeque<Weak<Link>>);

impl Crowd {
    fn joined(&mut self, link: &Arc<Link>, most: usize) {
        if self.0.len() >= most.saturating_mul(2) {
            self.0.retain(|link| link.strong_count() > 0);
        }
        self.0.push_back(Arc::downgrade(link));
    }

    fn thin(&mut self) {
        while let Some(oldest) = self.0.pop_front() {
            if let Some(link) = oldest.upgrade() {
                return link.give_way();
            }
        }
    }
}

/// Whether accepting at once again would only fail again: EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// What the requests of one connection share.
struct Shared {
    handler: Arc<dyn Handler>,
    limits: Limits,
    room: Room,
    peer: SocketAddr,
    link: Arc<Link>,
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    (limits, room): (Limits, Room),
    handler: Arc<dyn Handler>,
    link: Arc<Link>,
    stop: Stop,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return;
    }
    let guard = Guard::new(stream, limits, link.clone());
    let shared = Arc::new(Shared {
        handler,
        limits,
        room,
        peer,
        link: link.clone(),
    });
    let service = {
        let shared = shared.clone();
        service_fn(move |request| {
            let shared = shared.clone();
            shared.link.is_answering.store(true, Ordering::Relaxed);
            async move { Ok::<_, Infallible>(answer(&shared, request).await) }
        })
    };
    let mut server = http1::Builder::new();
    // The guard keeps the time that a head may take, with an answer; hyper would only close.
    server
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes + SLACK);
    let mut served = server.serve_connection(TokioIo::new(guard), service);
    let result = loop {
        tokio::select! {
            biased;
            result = &mut served => break result,
            () = stop.asked() => {
                std::pin::Pin::new(&mut served).graceful_shutdown();
                match tokio::time::timeout(limits.drain, &mut served).await {
                    Ok(result) => break result,
                    // Who grants no time expects this.
                    Err(_) if limits.drain.is_zero() => return,
                    Err(_) => {
                        return tracing::warn!(%peer, "a connection was cut: its request did not end in time");
                    }
                }
            }
            // All three are safe to cancel: none holds anything but its place in a list of wakers.
            () = link.asked_to_give_way() => std::pin::Pin::new(&mut served).graceful_shutdown(),
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
    let guard = served.into_parts().io.into_inner();
    guard.finish(&*shared.handler).await;
}

/// Answers one request: by the handler, unless its body is known to be too large.
async fn answer(shared: &Shared, request: http::Request<Incoming>) -> http::Response<Leaving> {
    let limit = shared.limits.body_bytes;
    let declared = http_body::Body::size_hint(request.body()).exact().unwrap_or(0);
    let has_body = !http_body::Body::is_end_stream(request.body());
    let mut response = if usize::try_from(declared).map_or(true, |length| length > limit) {
        shared.handler.refuse(&Refusal::body_too_large(limit))
    } else {
        let link = shared.link.clone();
        let bounds = Bounds {
            bytes: limit,
            stall: shared.limits.body_stall,
            room: Some((shared.room.clone(), shared.limits.held_bytes)),
        };
        let mut request = request.map(|body| incoming(body, bounds, Some(link)));
        request
            .extensions_mut()
            .insert(Peer::new(shared.peer, &shared.link));
        // Given back also when the request is dropped on the way.
        let _held = GiveBack(&shared.link.held);
        handle(&*shared.handler, request).await
    };
    let is_cut = matches!(
        response.status(),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if has_body && is_cut {
        // The rest of the body is not waited for, so nothing can follow it.
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Leaving {
        body,
        link: shared.link.clone(),
    })
}

/// Gives a body's room back.
struct GiveBack<'a>(&'a Held);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Runs the handler. A panic costs this request, which gets a 500, and nothing else.
async fn handle(handler: &dyn Handler, request: crate::Request) -> Response {
    let mut work = handler.handle(request);
    let outcome =
        std::future::poll_fn(
            |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Some),
                Err(_) => std::task::Poll::Ready(None),
            },
        );
    match outcome.await {
        Some(response) => response,
        None => {
            tracing::error!("a request's handler panicked");
            handler.refuse(&Refusal::panicked())
        }
    }
}
