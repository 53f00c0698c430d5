//! The server over loopback, spoken to byte by byte, with a handler that does what the path says.

mod framing;
mod lifecycle;
mod limits;
mod smuggling;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aloft_base::{Stop, Tasks};
use async_trait::async_trait;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::{Body, Handler, Limits, Refusal, Request, Response, Room, collect, full, serve};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers by path; counts what it sees.
#[derive(Default)]
struct Toy {
    calls: AtomicUsize,
    cancelled: Arc<AtomicUsize>,
    started: Notify,
    go: Notify,
}

/// Counts a handler's future that was dropped before its end.
struct Cancelled(Option<Arc<AtomicUsize>>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Handler for Toy {
    async fn handle(&self, request: Request) -> Response {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/panic" => panic!("the handler panics"),
            "/ignore" => Response::new(full("ignored")),
            "/large" => Response::new(full(vec![b'x'; 64 << 20])),
            "/wait" => {
                let mut guard = Cancelled(Some(self.cancelled.clone()));
                self.started.notify_one();
                self.go.notified().await;
                guard.0 = None;
                Response::new(full("waited"))
            }
            _ => echo(self, request).await,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let mut response = Response::new(full(format!("refused: {}", refusal.message)));
        *response.status_mut() = refusal.status;
        response
    }
}

async fn echo(toy: &Toy, request: Request) -> Response {
    let (head, body): (_, Body) = request.into_parts();
    match collect(body, 1 << 30).await {
        Ok(bytes) => {
            let mut text = format!("{} {} ", head.method, head.uri).into_bytes();
            text.extend_from_slice(&bytes);
            Response::new(full(text))
        }
        Err(error) => toy.refuse(&Refusal::from(&error)),
    }
}

/// A running server.
struct Server {
    address: SocketAddr,
    toy: Arc<Toy>,
    tasks: Tasks,
}

async fn start(limits: Limits) -> Server {
    start_in(&Room::new(256 << 20), limits).await
}

async fn start_in(room: &Room, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (toy, tasks) = (Arc::new(Toy::default()), Tasks::new(Stop::new()));
    serve(listener, limits, room, toy.clone(), &tasks);
    Server { address, toy, tasks }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and returns everything that comes back until the server closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }

    /// Waits until the handler runs that waits for its word.
    async fn started(&self) {
        tokio::time::timeout(PATIENCE, self.toy.started.notified())
            .await
            .expect("the handler starts");
    }

    fn calls(&self) -> usize {
        self.toy.calls.load(Ordering::SeqCst)
    }

    /// Whether a further request is answered: nothing that one client does may stop the server.
    async fn assert_alive(&self) {
        let answer = self
            .exchange(b"GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("GET /alive "),
            "{answer}"
        );
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes")
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Reads until what came ends with this text.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8())
            .await
            .expect("more comes");
        bytes.push(byte.unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&bytes))));
    }
    String::from_utf8(bytes).unwrap()
}

/// The answer is one refusal, in the handler's shape, with an honest length, and the last thing on its connection.
fn assert_refused(answer: &str, status: StatusCode) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert!(
        head.starts_with(&format!("HTTP/1.1 {}", status.as_u16())),
        "{answer}"
    );
    assert!(body.starts_with("refused: "), "{answer}");
    assert!(head.contains("connection: close"), "{answer}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{answer}"
    );
}
