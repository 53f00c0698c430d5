//! PID 1 of a sandbox: puts up the walls, opens the listeners, starts the program, and then (`supervise.rs`) stays with it.
//! It is the spawner's fork and never runs a stranger's code; when it ends, the kernel ends everything in its process
//! namespace.
//!
//! Without isolation the same code is the program's *supervisor*: no walls, and it ends all descendants itself.
//!
//! Order matters: cgroup and mount sources need the host's view; the walls need capabilities; the host user changes after
//! the last bind (a source may lie where only we may go, as a home folder's pyenv); the program starts in a user namespace
//! below; then PID 1 too gives up every capability.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Gid, Pid, PidfdFlags, Signal, Uid};

use crate::cgroup::{Group, Groups};
use crate::child::{self, Program};
use crate::filter::Filters;
use crate::gate;
use crate::privilege::{self, Privilege};
use crate::resident::Watch;
use crate::root;
use crate::socket::Socket;
use crate::supervise::{self, Running};
use crate::sys::{self, flag};
use crate::wire::{self, At, Failure, Memory, Report, Request, Step};

/// What every sandbox of one spawner has in common.
pub(crate) struct Common {
    pub(crate) privilege: Privilege,
    /// The spawner's own user and group as the host knows them.
    pub(crate) ids: (Uid, Gid),
    pub(crate) groups: Groups,
    pub(crate) filters: Filters,
    /// A pipe whose other end only the spawner holds: at its end everything ends.
    pub(crate) life: OwnedFd,
}

/// One sandbox to be started.
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) request: Request,
    /// Standard input, output and error of the program.
    pub(crate) streams: [OwnedFd; 3],
}

/// The namespaces that PID 1 is forked into; the others it enters itself, so that the spawner is not held up.
pub(crate) fn namespaces(isolated: bool, privilege: Privilege) -> i32 {
    match (isolated, privilege) {
        (false, _) => 0,
        (true, Privilege::Root { .. }) => flag::PID,
        (true, Privilege::User) => flag::PID | flag::USER,
    }
}

/// Runs as PID 1.
pub(crate) fn run(control: &OwnedFd, job: Job, common: &Common) -> ! {
    match put_up(control, job, common) {
        Ok(running) => supervise::run(control, running, common),
        Err(failure) => {
            report(control, &Report::Failed(failure), &[]);
            sys::exit(1)
        }
    }
}

/// Tells the platform something.
pub(crate) fn report(control: &OwnedFd, report: &Report, fds: &[BorrowedFd<'_>]) {
    if let Some(message) = wire::encode(report) {
        // If nobody listens any more, the platform is gone, and we shall see that next.
        let _ = wire::send(control, &message, fds);
    }
}

/// Everything up to the running program and the report that it runs.
fn put_up(control: &OwnedFd, job: Job, common: &Common) -> Result<Running, Failure> {
    let Job {
        number,
        request,
        streams,
    } = job;
    let signals = leave_the_spawner(control, &streams, common)?;
    let proc = rustix::fs::open(
        "/proc",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .at(Step::Source, "/proc")?;
    let group = common
        .groups
        .make(number, request.memory_bytes, request.processes);
    let group = group.at(Step::Cgroup, common.groups.describe())?;
    let (inside, gate, watchable) = if request.isolated {
        isolate(number, &request, common, &proc)?
    } else {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .at(Step::Fork, "a subreaper")?;
        (Vec::new(), 0, true)
    };
    // After the last change of user, which clears it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .at(Step::Fork, "the death signal")?;

    let memory = match (&group, watchable) {
        (Some(_), _) => Memory::Cgroup,
        (None, true) => Memory::Watch,
        (None, false) => Memory::DataLimit,
    };
    let main = start_program(&request, group.as_ref(), memory, &proc, streams, common)?;
    if request.isolated {
        privilege::drop_capabilities()?;
    }
    let (kills, peak) = match group {
        Some(Group { kills, peak, .. }) => (Some(kills), peak),
        None => (
            None,
            rustix::fs::memfd_create("peak", MemfdFlags::CLOEXEC).at(Step::Limit, "a counter")?,
        ),
    };
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .at(Step::Fork, "a descriptor of PID 1")?;
    let mut fds = vec![own.as_fd(), peak.as_fd()];
    fds.extend(inside.iter().map(AsFd::as_fd));
    report(control, &Report::Started { memory, gate }, &fds);
    let watch = (memory == Memory::Watch).then(|| Watch::new(request.memory_bytes));
    Ok(Running {
        number,
        isolated: request.isolated,
        main,
        signals,
        kills,
        watch,
        peak,
    })
}

/// Lets go of what the spawner had open; holds signals back. Gives the descriptor that reads them.
fn leave_the_spawner(
    control: &OwnedFd,
    [input, output, error]: &[OwnedFd; 3],
    common: &Common,
) -> Result<OwnedFd, Failure> {
    let keep = [control, input, output, error, &common.life];
    sys::close_all_but(&mut keep.map(AsRawFd::as_raw_fd)).at(Step::Fork, "inherited descriptors")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    rustix::stdio::dup2_stdin(null.at(Step::Source, "/dev/null")?).at(Step::Fork, "standard input")?;
    rustix::process::setsid().at(Step::Fork, "a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    sys::signals(&supervise::SIGNALS).at(Step::Fork, "signals")
}

/// Puts up the walls. Gives the listeners, the way out and then the sockets; how many are of the way out; and whether there is a /proc to
/// watch memory by.
fn isolate(
    number: u64,
    request: &Request,
    common: &Common,
    proc: &OwnedFd,
) -> Result<(Vec<OwnedFd>, usize, bool), Failure> {
    if common.privilege == Privilege::User {
        privilege::map_self(proc, common.ids.0, common.ids.1)?;
    }
    sys::unshare(flag::MOUNT | flag::IPC | flag::UTS | flag::NET)
        .at(Step::Namespaces, "mount, ipc, uts and net")?;
    sys::raise_loopback().at(Step::Network, "the loopback")?;
    rustix::system::sethostname(b"sandbox").at(Step::Namespaces, "the host name")?;
    let listen =
        |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).at(Step::Listen, format!("port {port}"));
    let listeners = request
        .ports
        .iter()
        .map(listen)
        .map(|listener| listener.map(OwnedFd::from));
    let sockets = (0..request.sockets).map(|_| Socket::new().at(Step::Network, "a socket"));
    let sockets = sockets.map(|socket| socket.map(Socket::into_fd));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let out = gate::open(request.reach)?;
    let gate = out.len();
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let inside = [listeners, out, sockets].into_iter().flatten().collect();
    let watchable = root::enter(&request.mounts, request.scratch_bytes)?;
    if let Some(id) = common.privilege.host_id(number) {
        privilege::become_host_user(id)?;
    }
    // From here on nobody inside can look into this process, which is a copy of the spawner.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::Identity, "dumpable")?;
    Ok((inside, gate, watchable))
}

/// Forks the program and waits until it runs or has said why it does not.
fn start_program(
    request: &Request,
    group: Option<&Group>,
    memory: Memory,
    proc: &OwnedFd,
    streams: [OwnedFd; 3],
    common: &Common,
) -> Result<Pid, Failure> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at(Step::Fork, "a pipe")?;
    let ids = (rustix::process::geteuid(), rustix::process::getegid());
    let namespaces = if request.isolated { flag::USER } else { 0 };
    let Some(main) = sys::fork(namespaces).at(Step::Namespaces, "the program's user namespace")? else {
        let program = Program {
            request,
            group,
            memory,
            proc,
            streams: &streams,
            ids,
            filters: &common.filters,
        };
        child::run(&program, &write)
    };
    // The program's own copies are the last ones: when it has ended, readers see the end.
    drop((write, streams));
    let mut buffer = [0_u8; 4096];
    let length =
        rustix::io::retry_on_intr(|| rustix::io::read(&read, &mut buffer[..])).at(Step::Fork, "a pipe")?;
    match buffer.get(..length) {
        None | Some([]) => Ok(main),
        Some(bytes) => Err(serde_json::from_slice(bytes).unwrap_or(Failure {
            step: Step::Run,
            subject: "the program".into(),
            errno: libc::EIO,
        })),
    }
}
