//! The platform's handle on the spawner process.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

use crate::sandbox::Sandbox;
use crate::socket::Socket;
use crate::wire::{self, Bind, MESSAGE_BYTES, Report, Request, Text};
use crate::{Config, Error, Isolation, Mount, Spec, explain, serve, sys};

/// A start that takes longer has failed. Ordinary is 2 ms; a machine that starts hundreds at once needs seconds.
const START_BOUND: Duration = Duration::from_secs(30);

/// The spawner process. When this is dropped, it and every sandbox end.
#[derive(Debug)]
pub struct Spawner {
    socket: OwnedFd,
    process: Mutex<Child>,
}

/// A sandbox whose program runs, and what belongs to it.
#[derive(Debug)]
pub struct Started {
    /// Ends the sandbox when it is dropped.
    pub sandbox: Sandbox,
    /// In the order of [`Spec::listen`]; they do not block.
    pub listeners: Vec<TcpListener>,
    /// As many as [`Spec::sockets`]; for connections to what the program listens on.
    pub sockets: Vec<Socket>,
    /// Its way out, if [`Spec::reach`] is one and there are walls.
    pub gate: Option<Gate>,
    /// What the program reads, if [`Spec::has_input`].
    pub stdin: Option<pipe::Sender>,
    /// What the program writes. It waits when nobody reads; the pipe holds 64 KiB.
    pub stdout: pipe::Receiver,
    /// What the program writes as errors.
    pub stderr: pipe::Receiver,
}

/// A sandbox's way out, which the platform serves.
#[derive(Debug)]
pub struct Gate {
    /// Where programs ask for names, by UDP and by TCP: the only name server that they find.
    pub names: (UdpSocket, TcpListener),
    /// Where connections to the outside arrive, by IPv4 and by IPv6, whatever their destination; the kernel remembers it
    /// (`SO_ORIGINAL_DST`). None if it was not wanted, or if this host lacks nf_tables: then nothing leads out.
    pub redirected: Vec<TcpListener>,
}

impl Gate {
    fn of(mut fds: impl Iterator<Item = OwnedFd>) -> Option<Self> {
        let names = (fds.next()?.into(), fds.next()?.into());
        let redirected = fds.map(TcpListener::from).collect();
        Some(Self { names, redirected })
    }
}

impl Spawner {
    /// Starts the spawner process. Works before and after a runtime has been started.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let (socket, theirs) = socket_pair().map_err(|source| Error::Start {
            what: "making a socket",
            source,
        })?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|source| Error::Start {
            what: "making a socket",
            source: source.into(),
        })?;
        let process = Command::new(&config.program)
            .arg0("aloft")
            .arg(serve::WORD)
            .arg(config.first_uid.to_string())
            // Nothing of the platform's environment (keys, perhaps) is in the memory that sandboxes begin with.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|source| Error::Start {
                what: "running the program itself",
                source,
            })?;
        Ok(Self {
            socket,
            process: Mutex::new(process),
        })
    }

    /// Starts a sandbox and waits until its program runs. Cancelling it ends what was started.
    pub async fn spawn(&self, spec: &Spec) -> Result<Started, Error> {
        spec.check()?;
        let name = || spec.name.clone();
        match tokio::time::timeout(START_BOUND, self.spawn_unbounded(spec)).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut {
                name: name(),
                bound: START_BOUND,
            }),
        }
    }

    async fn spawn_unbounded(&self, spec: &Spec) -> Result<Started, Error> {
        let failed = |what| {
            move |source: io::Error| Error::Io {
                name: spec.name.clone(),
                what,
                source,
            }
        };
        let (outside, sockets) = match spec.isolation {
            Isolation::Full => (Vec::new(), Vec::new()),
            Isolation::None => (
                listen_outside(spec).map_err(failed("opening a listener"))?,
                sockets_outside(spec).map_err(failed("making a socket"))?,
            ),
        };
        let message = wire::encode(&request(spec, &outside).map_err(failed("reading a listener's address"))?)
            .ok_or_else(|| Error::TooLarge {
                name: spec.name.clone(),
                limit: MESSAGE_BYTES,
            })?;

        let (control, theirs) = socket_pair().map_err(failed("making a socket"))?;
        rustix::io::ioctl_fionbio(&control, true)
            .map_err(io::Error::from)
            .map_err(failed("making a socket"))?;
        let (stdin, stdin_end) = input(spec.has_input).map_err(failed("making a pipe"))?;
        let (stdout, stdout_end) = output_pipe().map_err(failed("making a pipe"))?;
        let (stderr, stderr_end) = output_pipe().map_err(failed("making a pipe"))?;
        self.send(&message, [&theirs, &stdin_end, &stdout_end, &stderr_end])
            .await
            .map_err(|source| self.gone_or(spec, source))?;
        drop((theirs, stdin_end, stdout_end, stderr_end));

        let control = sys::watch(control, Interest::READABLE).map_err(failed("watching a socket"))?;
        let first = receive(&control)
            .await
            .map_err(failed("waiting for the sandbox"))?;
        let (memory, gate, fds) = match first {
            Some((Report::Started { memory, gate }, fds)) => (memory, gate, fds),
            Some((Report::Failed(failure), _)) => return Err(explain::to_error(spec.name.clone(), failure)),
            Some((Report::Ended { .. }, _)) | None => {
                return Err(self.gone_or(spec, io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let mut fds = fds.into_iter();
        let (Some(process), Some(peak)) = (fds.next(), fds.next()) else {
            return Err(failed("waiting for the sandbox")(
                io::ErrorKind::InvalidData.into(),
            ));
        };
        let listening = spec.listen.len() - outside.len();
        let inside: Vec<OwnedFd> = fds.by_ref().take(listening).collect();
        let gate = Gate::of(fds.by_ref().take(gate));
        let listeners = inside.into_iter().map(TcpListener::from).chain(outside);
        let listeners = listeners
            .map(|l| l.set_nonblocking(true).map(|()| l))
            .collect::<io::Result<Vec<_>>>();
        let sandbox = Sandbox::new(control, process, peak, memory, spec.isolation);
        Ok(Started {
            sandbox: sandbox.map_err(failed("watching a process"))?,
            listeners: listeners.map_err(failed("taking a listener"))?,
            sockets: fds.map(Socket::from_fd).chain(sockets).collect(),
            gate,
            stdin,
            stdout,
            stderr,
        })
    }

    async fn send(&self, message: &[u8], fds: [&OwnedFd; 4]) -> io::Result<()> {
        let fds = fds.map(AsFd::as_fd);
        let mut watched: Option<AsyncFd<OwnedFd>> = None;
        loop {
            match wire::send(&self.socket, message, &fds) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            // Rare: many requests at once. Not kept, because it would bind the spawner to one runtime.
            let socket = match watched.take() {
                Some(socket) => socket,
                None => sys::watch(self.socket.try_clone()?, Interest::WRITABLE)?,
            };
            socket.writable().await?.clear_ready();
            watched = Some(socket);
        }
    }

    /// Whether the spawner is why something failed.
    fn gone_or(&self, spec: &Spec, source: io::Error) -> Error {
        let ended = self
            .process
            .lock()
            .is_ok_and(|mut process| !matches!(process.try_wait(), Ok(None)));
        if ended || source.kind() == io::ErrorKind::BrokenPipe {
            Error::Gone {
                name: spec.name.clone(),
            }
        } else {
            Error::Io {
                name: spec.name.clone(),
                what: "PID 1 ended before its program ran",
                source,
            }
        }
    }

    /// The spawner's process id, for `ps` and tests.
    pub fn id(&self) -> u32 {
        self.process.lock().map_or(0, |process| process.id())
    }
}

impl Drop for Spawner {
    /// Closing the socket ends it; waiting leaves no zombie. It needs milliseconds: its sandboxes end with it.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if let Ok(process) = self.process.get_mut() {
            let _ = process.wait();
        }
    }
}

/// The next report; `None` when PID 1 has gone. Safe to cancel.
pub(crate) async fn receive(control: &AsyncFd<OwnedFd>) -> io::Result<Option<(Report, Vec<OwnedFd>)>> {
    loop {
        let mut ready = control.readable().await?;
        // Not kept while it waits: every call of a function waits here for its instance's end.
        let mut buffer = [0_u8; 16_384];
        match wire::receive(control.get_ref(), &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            // The other end was closed with something unread: it has gone all the same.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => return other,
        }
    }
}

fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The platform's end of the program's standard input, if it is to have one, and the program's.
fn input(is_wanted: bool) -> io::Result<(Option<pipe::Sender>, OwnedFd)> {
    if is_wanted {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        return Ok((Some(pipe::Sender::from_owned_fd(write)?), read));
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((None, null))
}

fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(read)?, write))
}

/// Without a network of its own: any free ports of the host's loopback.
fn listen_outside(spec: &Spec) -> io::Result<Vec<TcpListener>> {
    spec.listen
        .iter()
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect()
}

fn sockets_outside(spec: &Spec) -> io::Result<Vec<Socket>> {
    (0..spec.sockets).map(|_| Socket::new()).collect()
}

fn request(spec: &Spec, outside: &[TcpListener]) -> io::Result<Request> {
    let mut environment: Vec<(Text, Text)> = spec
        .environment
        .iter()
        .map(|(name, value)| (Text(name.clone()), Text(value.clone())))
        .collect();
    for (index, listen) in spec.listen.iter().enumerate() {
        let port = outside
            .get(index)
            .map_or(Ok(listen.port), |l| l.local_addr().map(|a| a.port()))?;
        if let Some((name, prefix)) = &listen.announce {
            let mut value = prefix.clone();
            value.push(format!("127.0.0.1:{port}"));
            environment.push((Text(name.clone()), Text(value)));
        }
    }
    let isolated = spec.isolation == Isolation::Full;
    Ok(Request {
        argv: spec.argv.iter().cloned().map(Text).collect(),
        environment,
        directory: spec.directory.as_os_str().into(),
        mounts: spec.mounts.iter().map(bind).collect(),
        memory_bytes: spec.memory.bytes(),
        processes: spec.processes,
        files: spec.files,
        scratch_bytes: spec.scratch.bytes(),
        ports: if isolated {
            spec.listen.iter().map(|l| l.port).collect()
        } else {
            Vec::new()
        },
        sockets: spec.sockets,
        reach: spec.reach,
        isolated,
    })
}

fn bind(mount: &Mount) -> Bind {
    match mount {
        Mount::ReadOnly { source, target } => Bind {
            target: target.as_os_str().into(),
            source: Some(source.as_os_str().into()),
            link: None,
        },
        Mount::Link { target, to } => Bind {
            target: target.as_os_str().into(),
            source: None,
            link: Some(to.as_os_str().into()),
        },
    }
}
