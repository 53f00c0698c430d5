//! Connections to what listens inside a sandbox, over the sockets that it gave.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aloft_http::Connect;
use aloft_sandbox::Socket;
use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// The sockets of one sandbox. Whoever wants one waits until it is there.
#[derive(Debug)]
pub(super) struct Inside {
    port: u16,
    free: Mutex<Vec<Socket>>,
    places: Semaphore,
}

impl Inside {
    pub(super) fn new(port: u16, sockets: Vec<Socket>) -> Self {
        Self {
            port,
            places: Semaphore::new(sockets.len()),
            free: Mutex::new(sockets),
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, socket: Socket) {
        self.free().push(socket);
        self.places.add_permits(1);
    }
}

/// A connection that is not there yet, and whose socket is given back unless it comes.
struct Connecting<'a>(&'a Inside, Option<TcpStream>);

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.1.take() {
            self.0.ended(stream);
        }
    }
}

#[async_trait]
impl Connect for Inside {
    async fn connect(&self) -> io::Result<TcpStream> {
        let place = self.places.acquire().await.map_err(io::Error::other)?;
        let socket = self.free().pop();
        let socket = socket.ok_or_else(|| io::Error::other("no socket is left"))?;
        place.forget();
        let stream = socket.connect(self.port).map_err(|(error, socket)| {
            socket.into_iter().for_each(|socket| self.give_back(socket));
            error
        })?;
        // Whoever waits for it may have no patience: a server that takes no connections would cost all sockets then.
        let mut connecting = Connecting(self, Some(stream));
        if let Some(stream) = &connecting.1 {
            Socket::connected(stream).await?;
        }
        connecting
            .1
            .take()
            .ok_or_else(|| io::Error::other("no connection"))
    }

    fn ended(&self, stream: TcpStream) {
        // One that is lost is one call less at once; the instance lives on.
        match Socket::back(stream) {
            Ok(socket) => self.give_back(socket),
            Err(error) => tracing::debug!(%error, "a socket of a sandbox is lost"),
        }
    }
}
