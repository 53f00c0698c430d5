//! The way out of one sandbox: its name server, and the listener to which all its connections are brought.
//!
//! Bounds: 64 names that are looked up at once (more are not answered, and clients ask again), 16 clients of the name server by TCP,
//! [`CONNECTIONS`] connections. One more connection is accepted and reset at once, so that whoever opens ten thousand fills no queue and
//! holds nothing.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aloft_base::{Destination, Host, Policy, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::dial::{Dialler, Error};
use crate::dns::{self, QUESTION, Verdict};
use crate::function::Function;
use crate::pool::{Pool, is_synthetic};
use crate::resolve::Found;
use crate::splice;

/// Connections of one instance: Lambda's bound on an instance's descriptors.
const CONNECTIONS: usize = 1_024;
/// Questions of one instance that are looked up at once.
const LOOKUPS: usize = 64;
/// Clients of the name server by TCP, and how long one may say nothing.
const CLIENTS: usize = 16;
const CLIENT_IDLE: Duration = Duration::from_secs(10);
/// A connection on which nothing moves for so long is given up, as on AWS's way out.
const IDLE: Duration = Duration::from_secs(350);
/// The wait after a failed accept, which is for want of descriptors or memory.
const AGAIN: Duration = Duration::from_millis(50);

/// What a sandbox has opened for its way out.
#[derive(Debug)]
pub struct Gate {
    /// Where names are asked for.
    pub names: (std::net::UdpSocket, std::net::TcpListener),
    /// Where its connections arrive, whatever their destination: by IPv4 and, if the host has it, IPv6. None where the host lacks what
    /// brings them there; then nothing is open.
    pub redirected: Vec<std::net::TcpListener>,
}

struct Inner {
    function: Function,
    dialler: Dialler,
    pool: Mutex<Pool>,
    lookups: Semaphore,
    clients: Arc<Semaphore>,
    room: Arc<Semaphore>,
    is_open: bool,
    has_v6: bool,
    tasks: Tasks,
}

impl Gate {
    /// Serves the way out of a function's instance until its tasks are stopped.
    ///
    /// # Errors
    /// A listener cannot be watched.
    pub fn serve(self, function: Function, dialler: Dialler, tasks: &Tasks) -> std::io::Result<()> {
        let (udp, tcp) = self.names;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
        let mut redirected = Vec::new();
        for listener in self.redirected {
            listener.set_nonblocking(true)?;
            redirected.push(TcpListener::from_std(listener)?);
        }
        let has_v6 = redirected
            .iter()
            .any(|listener| listener.local_addr().is_ok_and(|at| at.is_ipv6()));
        dialler.metrics().begin(&function.id, &function.egress);
        let inner = Arc::new(Inner {
            function,
            dialler,
            pool: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            is_open: !redirected.is_empty(),
            has_v6,
            tasks: tasks.clone(),
        });
        let stop = tasks.stop().clone();
        let own = inner.clone();
        start(tasks, "answer for names", async move {
            tokio::select! {
                () = own.clone().answer(Arc::new(udp)) => {}
                () = own.clone().accept_clients(tcp) => {}
                () = stop.asked() => {}
            }
        });
        for listener in redirected {
            let (own, stop) = (inner.clone(), tasks.stop().clone());
            start(tasks, "take a function's connections", async move {
                tokio::select! {
                    () = own.accept(listener) => {}
                    () = stop.asked() => {}
                }
            });
        }
        Ok(())
    }
}

fn start(tasks: &Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    tasks.start(name, Policy::Alone, async move {
        work.await;
        Ok::<(), Infallible>(())
    });
}

impl Inner {
    /// Answers what comes by UDP.
    async fn answer(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0_u8; QUESTION];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let question = match dns::read(buffer.get(..length).unwrap_or_default()) {
                Ok(question) => question,
                Err(answer) => {
                    // A client that is not answered asks again.
                    if let Some(answer) = answer {
                        let _ = socket.try_send_to(&answer, from);
                    }
                    continue;
                }
            };
            if !self.is_named(&question.name) {
                if let Some(answer) = question.answer(&Verdict::Nothing, self.has_v6) {
                    let _ = socket.try_send_to(&answer, from);
                }
                continue;
            }
            if self.lookups.available_permits() == 0 {
                continue;
            }
            let (own, socket, stop) = (self.clone(), socket.clone(), self.tasks.stop().clone());
            start(&self.tasks, "look up a function's name", async move {
                let answering = async {
                    let Ok(_turn) = own.lookups.try_acquire() else {
                        return;
                    };
                    let verdict = own.verdict(&question.name).await;
                    if let Some(answer) = question.answer(&verdict, own.has_v6) {
                        let _ = socket.send_to(&answer, from).await;
                    }
                };
                tokio::select! {
                    () = answering => {}
                    () = stop.asked() => {}
                }
            });
        }
    }

    async fn accept_clients(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let Ok(turn) = self.clients.clone().try_acquire_owned() else {
                continue;
            };
            let (own, stop) = (self.clone(), self.tasks.stop().clone());
            start(&self.tasks, "answer for names by TCP", async move {
                tokio::select! {
                    _ = own.answer_client(client) => {}
                    () = stop.asked() => {}
                }
                drop(turn);
            });
        }
    }

    /// Answers one question after the other, each with its length before it.
    async fn answer_client(&self, mut client: TcpStream) -> std::io::Result<()> {
        loop {
            let read = async {
                let length = usize::from(client.read_u16().await?);
                if length > QUESTION {
                    return Err(std::io::ErrorKind::InvalidData.into());
                }
                let mut bytes = vec![0_u8; length];
                client.read_exact(&mut bytes).await?;
                Ok::<_, std::io::Error>(bytes)
            };
            let bytes = tokio::time::timeout(CLIENT_IDLE, read).await??;
            let answer = match dns::read(&bytes) {
                Err(answer) => answer,
                Ok(question) => {
                    let verdict = match self.is_named(&question.name) {
                        true => self.verdict(&question.name).await,
                        false => Verdict::Nothing,
                    };
                    question.answer(&verdict, self.has_v6)
                }
            };
            let Some(answer) = answer else { return Ok(()) };
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
            let mut framed = length.to_be_bytes().to_vec();
            framed.extend(answer);
            tokio::time::timeout(CLIENT_IDLE, client.write_all(&framed)).await??;
        }
    }

    /// Whether the function's egress opens some port of this name, and this host lets anything out; tells it if not.
    fn is_named(&self, name: &str) -> bool {
        let function = &self.function;
        if !function.egress.names(name) {
            self.dialler.metrics().refused(&function.id, "unlisted");
            function.unnamed(name);
            return false;
        }
        if !self.is_open {
            self.dialler.metrics().refused(&function.id, "host");
            function.say_once(
                "nothing is reached from here: this host cannot bring a sandbox's connections to the platform; `aloft doctor` says why",
            );
        }
        self.is_open
    }

    async fn verdict(&self, name: &str) -> Verdict {
        match self.dialler.find(name).await {
            Found::Addresses(_) => {
                let now = self.function.clock.instant();
                match self.pool().number(name, now) {
                    Some(number) => Verdict::Known(number),
                    None => {
                        self.function
                            .unanswered(name, "an instance uses at most 4,096 names within ten minutes");
                        Verdict::Failed
                    }
                }
            }
            Found::Nothing => Verdict::Nothing,
            Found::Failed(why) => {
                self.dialler.metrics().refused(&self.function.id, "unresolved");
                self.function.unanswered(name, &why);
                Verdict::Failed
            }
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the sandbox's connections.
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((inside, _)) = listener.accept().await else {
                tokio::time::sleep(AGAIN).await;
                continue;
            };
            let room = self
                .room
                .clone()
                .try_acquire_owned()
                .ok()
                .zip(self.dialler.room());
            let Some((permit, room)) = room else {
                self.dialler.metrics().refused(&self.function.id, "limit");
                self.function.say_once(&format!(
                    "a connection was refused: an instance has at most {CONNECTIONS} at once, and all functions of the node have a bound together"
                ));
                reset(&inside);
                continue;
            };
            let (own, stop) = (self.clone(), self.tasks.stop().clone());
            start(&self.tasks, "carry a function's connection", async move {
                let carried = async {
                    let Some(destination) = own.destination(&inside) else {
                        return reset(&inside);
                    };
                    let (function, egress) = (&own.function.id, &own.function.egress);
                    let dialled = own
                        .dialler
                        .dial_within(room, function, egress, &destination)
                        .await;
                    match dialled {
                        Ok(outside) => {
                            let parts = (own.dialler.pipes(), &outside.counted, IDLE);
                            if splice::both(&inside, &outside.stream, parts).await.is_err() {
                                reset(&inside);
                                reset(&outside.stream);
                            }
                        }
                        Err(error) => own.refuse(&inside, &destination, &error),
                    }
                };
                tokio::select! {
                    () = carried => {}
                    () = stop.asked() => {}
                }
                drop(permit);
            });
        }
    }

    fn refuse(&self, inside: &TcpStream, destination: &Destination, error: &Error) {
        self.dialler.metrics().refused(&self.function.id, error.reason());
        self.function.refused(destination, error);
        reset(inside);
    }

    /// Where a connection was meant to go: the name for which its address stands, or the address that the function wrote.
    fn destination(&self, inside: &TcpStream) -> Option<Destination> {
        let wanted = wanted(inside).ok()?;
        let (address, port) = (wanted.ip().to_canonical(), wanted.port());
        let host = if is_synthetic(address) {
            let now = self.function.clock.instant();
            Host::Name(self.pool().name(address, now)?)
        } else if is_inside(address) {
            // Straight to this listener, not brought here.
            return None;
        } else {
            Host::Address(address)
        };
        Some(Destination { host, port })
    }
}

fn is_inside(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// The destination before it was redirected, as the kernel remembers it.
fn wanted(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    Ok(match stream.local_addr()? {
        SocketAddr::V4(_) => rustix::net::sockopt::ip_original_dst(stream)?.into(),
        SocketAddr::V6(_) => rustix::net::sockopt::ipv6_original_dst(stream)?.into(),
    })
}

/// Makes the connection's end a reset: to its other side it has failed, and did not end well.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
