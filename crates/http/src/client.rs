//! A small HTTP/1.1 client for one address: what the command line, URL-less targets on this machine and tests need. Not
//! `reqwest` or hyper-util's pool: no TLS, redirects, proxies or name resolution are wanted here, and hyper's own connection
//! with a short list of idle ones is all that remains.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloft_base::{ErrorKind, Policy, Tasks};
use async_trait::async_trait;
use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::transit::{Bounds, incoming};
use crate::{Body, Request, Response};

/// Idle connections that are kept.
const MOST_IDLE: usize = 16;

/// How long a client waits, and how much it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection. 5 s.
    pub connect: Duration,
    /// For the answer's head. 60 s.
    pub answer: Duration,
    /// For each further piece of the answer's body. 30 s.
    pub body_stall: Duration,
    /// Bytes of an answer's body. 64 MiB.
    pub body_bytes: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(60),
            body_stall: Duration::from_secs(30),
            body_bytes: 64 << 20,
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing accepts connections there.
    #[error("no connection to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What failed.
        source: std::io::Error,
    },
    /// The connection or the answer took too long.
    #[error("{address} did not answer within {after:?}")]
    TimedOut {
        /// Who.
        address: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// What came back is not HTTP, or the connection broke.
    #[error("{address} gave no valid answer: {source}")]
    Broken {
        /// Who.
        address: SocketAddr,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether nothing listens there.
    pub fn is_refused(&self) -> bool {
        let refused = std::io::ErrorKind::ConnectionRefused;
        matches!(self, Self::Connect { source, .. } if source.kind() == refused)
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } | Self::Broken { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
        }
    }
}

/// Makes connections, where an address alone is not enough.
#[async_trait]
pub trait Connect: std::fmt::Debug + Send + Sync + 'static {
    /// A new connection.
    ///
    /// # Errors
    /// Why there is none.
    async fn connect(&self) -> std::io::Result<TcpStream>;

    /// One of them has ended.
    fn ended(&self, stream: TcpStream) {
        drop(stream);
    }
}

#[async_trait]
impl Connect for SocketAddr {
    async fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self).await
    }
}

/// Sends requests to one address over kept connections. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    connect: Arc<dyn Connect>,
    patience: Patience,
    tasks: Tasks,
    idle: Arc<Mutex<Vec<SendRequest<Body>>>>,
}

impl Client {
    /// A client for this address; its connections live in `tasks`.
    pub fn new(address: SocketAddr, patience: Patience, tasks: &Tasks) -> Self {
        Self::over(Arc::new(address), address, patience, tasks)
    }

    /// A client whose connections are made by `connect`. The address stands in errors, and in requests without a `Host`.
    pub fn over(connect: Arc<dyn Connect>, address: SocketAddr, patience: Patience, tasks: &Tasks) -> Self {
        Self {
            address,
            connect,
            patience,
            tasks: tasks.clone(),
            idle: Arc::default(),
        }
    }

    /// Opens a connection for the next request, so that a server which accepts it is not left with one that says nothing and breaks off.
    pub async fn open(&self) -> Result<(), ClientError> {
        let mut sender = self.connect().await?;
        sender.ready().await.map_err(|error| self.broken(error))?;
        self.keep(sender);
        Ok(())
    }

    /// Sends a request, of which only path and query of the URI count. The `Host` field is added unless it is there. A kept
    /// connection that turns out to be closed is replaced; a request that may have been received is never sent twice.
    pub async fn send(&self, mut request: Request) -> Result<Response, ClientError> {
        self.complete(&mut request)?;
        let after = self.patience.answer;
        match tokio::time::timeout(after, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::TimedOut {
                address: self.address,
                after,
            }),
        }
    }

    fn complete(&self, request: &mut Request) -> Result<(), ClientError> {
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = path.into();
        if !request.headers().contains_key(HOST) {
            let host = HeaderValue::try_from(self.address.to_string()).map_err(|error| self.broken(error))?;
            request.headers_mut().insert(HOST, host);
        }
        Ok(())
    }

    async fn exchange(&self, mut request: Request) -> Result<Response, ClientError> {
        while let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.received(sender, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.broken(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(self.received(sender, response))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let address = self.address;
        let after = self.patience.connect;
        let connected = tokio::time::timeout(after, self.connect.connect()).await;
        let connected = connected.map_err(|_| ClientError::TimedOut { address, after })?;
        let stream = connected.map_err(|source| ClientError::Connect { address, source })?;
        stream
            .set_nodelay(true)
            .map_err(|source| ClientError::Connect { address, source })?;
        let (sender, mut connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        let (stop, connect) = (self.tasks.stop().child(), self.connect.clone());
        self.tasks
            .start("http client connection", Policy::Alone, async move {
                tokio::select! {
                    // Whoever waits for the answer learns of the error; here it is only said once more.
                    ended = &mut connection => if let Err(error) = ended {
                        tracing::debug!(%error, "a client's connection ended early");
                    },
                    () = stop.asked() => {}
                }
                connect.ended(connection.into_parts().io.into_inner());
                Ok::<(), std::convert::Infallible>(())
            });
        Ok(sender)
    }

    fn received(
        &self,
        sender: SendRequest<Body>,
        response: http::Response<hyper::body::Incoming>,
    ) -> Response {
        self.keep(sender);
        response.map(|body| incoming(body, self.bounds(), None))
    }

    /// Keeps a connection. It counts as ready once the body of an answer that is under way is read.
    fn keep(&self, sender: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| !kept.is_closed());
        if idle.len() < MOST_IDLE {
            idle.push(sender);
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            bytes: self.patience.body_bytes,
            stall: self.patience.body_stall,
            room: None,
        }
    }

    fn take_idle(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(at))
    }

    fn broken(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken {
            address: self.address,
            source: error.into(),
        }
    }
}
