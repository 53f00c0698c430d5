//! A proxy between a client and the server: it counts what the client asks, and cuts connections at chosen moments.
//!
//! It knows as much of the protocol as it needs: after the startup message, which has no type, each message of the client is a
//! byte, a length of four bytes that counts itself, and a body. Query (`Q`) and Sync (`S`) are what the server answers with
//! ReadyForQuery: one of them is one round trip.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// When a connection is cut: once, by the next message that holds `marker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// The message is not passed on.
    BeforeRequest(Vec<u8>),
    /// The message is passed on, and the connection is cut at once.
    AfterRequest(Vec<u8>),
    /// The message is passed on, and its answer is read by nobody.
    AfterAnswer(Vec<u8>),
    /// Nothing is cut: the message waits before it is passed on.
    Delay(Vec<u8>, Duration),
}

/// A running proxy. It ends when it is dropped.
pub struct Proxy {
    folder: TempDir,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    round_trips: AtomicU64,
    cuts: Mutex<Vec<Cut>>,
    struck: AtomicU64,
    connections: Mutex<Vec<JoinHandle<()>>>,
    is_away: AtomicBool,
    /// Held for writing while nothing passes, in either direction.
    passage: tokio::sync::RwLock<()>,
}

impl Proxy {
    /// A proxy to the server whose socket lies in `server`.
    pub fn start(server: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("aloft-px-").tempdir()?;
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).context("cannot listen")?;
        let shared = Arc::new(Shared::default());
        let (of, to) = (shared.clone(), server.join(".s.PGSQL.5432"));
        #[allow(
            clippy::disallowed_methods,
            reason = "the proxy is outside of the house: it owns and aborts this task"
        )]
        let accept = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if of.is_away.load(Ordering::SeqCst) {
                    continue;
                }
                let connection = tokio::spawn(serve(client, to.clone(), of.clone()));
                let mut connections = of.connections.lock().unwrap_or_else(PoisonError::into_inner);
                connections.retain(|connection| !connection.is_finished());
                connections.push(connection);
            }
        });
        Ok(Self {
            folder,
            shared,
            accept,
        })
    }

    /// The server's database `postgres` through this proxy.
    pub fn url(&self) -> String {
        format!(
            "postgresql://postgres@/postgres?host={}",
            self.folder.path().display()
        )
    }

    /// How many round trips the clients asked for.
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::SeqCst)
    }

    /// The next message with the cut's marker meets it.
    pub fn cut(&self, cut: Cut) {
        self.cuts().push(cut);
    }

    /// How many cuts have struck.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::SeqCst)
    }

    /// While it is away, whoever connects is turned out at once.
    pub fn set_away(&self, is_away: bool) {
        self.shared.is_away.store(is_away, Ordering::SeqCst);
        if is_away {
            self.cut_all();
        }
    }

    /// Nothing passes for this long, and no connection breaks: a net that has lost its way.
    pub async fn stall(&self, time: Duration) {
        let _alone = self.shared.passage.write().await;
        tokio::time::sleep(time).await;
    }

    /// Cuts every connection there is.
    pub fn cut_all(&self) {
        let mut connections = self
            .shared
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            connection.abort();
        }
    }

    fn cuts(&self) -> std::sync::MutexGuard<'_, Vec<Cut>> {
        self.shared.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.cut_all();
    }
}

async fn serve(client: UnixStream, server: PathBuf, shared: Arc<Shared>) {
    let Ok(server) = UnixStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Answers are held back while this is locked.
    let answers = tokio::sync::Mutex::new(());
    tokio::select! {
        _ = requests(from_client, to_server, &shared, &answers) => {}
        _ = replies(from_server, to_client, &shared, &answers) => {}
    }
}

async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    answers: &tokio::sync::Mutex<()>,
) -> std::io::Result<()> {
    let length = from.read_u32().await?;
    let mut body = vec![0; (length as usize).saturating_sub(4)];
    from.read_exact(&mut body).await?;
    to.write_all(&[&length.to_be_bytes()[..], &body].concat()).await?;
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; (length as usize).saturating_sub(4)];
        from.read_exact(&mut body).await?;
        if matches!(kind, b'Q' | b'S') {
            shared.round_trips.fetch_add(1, Ordering::SeqCst);
        }
        let message = [&[kind][..], &length.to_be_bytes(), &body].concat();
        drop(shared.passage.read().await);
        match strike(shared, &body) {
            None => to.write_all(&message).await?,
            Some(Cut::BeforeRequest(_)) => return Ok(()),
            Some(Cut::Delay(_, time)) => {
                tokio::time::sleep(time).await;
                to.write_all(&message).await?;
            }
            Some(Cut::AfterRequest(_)) => {
                let _held = answers.lock().await;
                // The rest of the request, up to its Sync, belongs to it.
                pass_to_sync(&mut from, &mut to, &message).await?;
                return Ok(());
            }
            Some(Cut::AfterAnswer(_)) => {
                let _held = answers.lock().await;
                pass_to_sync(&mut from, &mut to, &message).await?;
                // Long enough for the server to be done; the answer lies unread when the connection goes.
                tokio::time::sleep(Duration::from_millis(300)).await;
                return Ok(());
            }
        }
    }
}

async fn pass_to_sync(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    first: &[u8],
) -> std::io::Result<()> {
    to.write_all(first).await?;
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; (length as usize).saturating_sub(4)];
        from.read_exact(&mut body).await?;
        to.write_all(&[&[kind][..], &length.to_be_bytes(), &body].concat())
            .await?;
        if kind == b'S' {
            return to.flush().await;
        }
    }
}

fn strike(shared: &Shared, body: &[u8]) -> Option<Cut> {
    let mut cuts = shared.cuts.lock().unwrap_or_else(PoisonError::into_inner);
    let holds = |cut: &Cut| {
        let (Cut::BeforeRequest(marker)
        | Cut::AfterRequest(marker)
        | Cut::AfterAnswer(marker)
        | Cut::Delay(marker, _)) = cut;
        body.windows(marker.len().max(1)).any(|part| part == marker)
    };
    let at = cuts.iter().position(holds)?;
    shared.struck.fetch_add(1, Ordering::SeqCst);
    Some(cuts.remove(at))
}

async fn replies(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    answers: &tokio::sync::Mutex<()>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(());
        };
        drop(shared.passage.read().await);
        let _held = answers.lock().await;
        to.write_all(read).await?;
    }
}
