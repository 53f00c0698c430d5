//! The spawner process: one thread, one loop. It forks each sandbox's PID 1, which does the rest by itself, so a request
//! costs the spawner one fork (about 100 µs) and many sandboxes start side by side. It ends when the platform does, after
//! everything that it started has ended.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitOptions};

use crate::cgroup::Groups;
use crate::filter::Filters;
use crate::init::{self, Common, Job};
use crate::privilege::Privilege;
use crate::wire::{self, At, Failure, MESSAGE_BYTES, Report, Request, Step};
use crate::{doctor, sys};

/// The word that makes the program the spawner. The first user id follows.
pub(crate) const WORD: &str = "__spawner";
/// After [`WORD`]: makes it look at the host's walls instead.
pub(crate) const DOCTOR: &str = "doctor";
/// How long to wait before a cgroup that was still busy is removed again.
const AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Becomes the spawner if this process was started as one, and then never returns. To be called first thing in `main`,
/// before any thread is started: a process with threads cannot enter a user namespace.
pub fn spawner_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(WORD) {
        return;
    }
    let mut arguments = arguments.peekable();
    let look = arguments.next_if(|word| word == DOCTOR).is_some();
    let first_uid = arguments.next().and_then(|id| id.parse().ok());
    let status = match first_uid {
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is started by the platform, not by hand",
        )),
        Some(first_uid) if look => doctor::print(first_uid),
        Some(first_uid) => serve(first_uid),
    };
    sys::exit(match status {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("aloft: the sandbox spawner stops: {error}");
            1
        }
    })
}

struct Spawner {
    common: Common,
    /// Sandbox numbers by their PID 1.
    running: HashMap<Pid, u64>,
    /// Sandboxes that have ended and whose cgroup could not be removed yet.
    remains: Vec<u64>,
    next: u64,
}

fn serve(first_uid: u32) -> io::Result<()> {
    // Its own session: Ctrl-C in a terminal goes to the platform, which then drains.
    rustix::process::setsid()?;
    let (life, held) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let mut spawner = Spawner {
        common: Common {
            privilege: Privilege::detect(first_uid),
            ids: (rustix::process::geteuid(), rustix::process::getegid()),
            groups: Groups::open(),
            filters: Filters::build(),
            life,
        },
        running: HashMap::new(),
        remains: Vec::new(),
        next: 0,
    };
    let signals = sys::signals(&[libc::SIGCHLD, libc::SIGINT, libc::SIGTERM, libc::SIGHUP])?;
    let platform = rustix::stdio::stdin();
    let mut buffer = vec![0_u8; MESSAGE_BYTES];
    let result = spawner.run(platform, &signals, &mut buffer);
    drop(held);
    spawner.end();
    result
}

impl Spawner {
    /// Until the platform closes its side.
    fn run(&mut self, platform: BorrowedFd<'_>, signals: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let timeout = (!self.remains.is_empty()).then_some(&AGAIN);
            let mut fds = [
                PollFd::from_borrowed_fd(platform, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, timeout) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [request_ready, signals_ready] = fds.map(|fd| !fd.revents().is_empty());
            if signals_ready {
                // One read takes several; what they were does not matter.
                let mut infos = [0_u8; 16 * size_of::<libc::signalfd_siginfo>()];
                let _ = rustix::io::read(signals, &mut infos[..]);
            }
            self.reap();
            if request_ready {
                let Some((request, fds)) = wire::receive::<Request>(platform, buffer)? else {
                    return Ok(());
                };
                self.start(request, fds);
            }
        }
    }

    /// Forks one sandbox.
    fn start(&mut self, request: Request, fds: Vec<OwnedFd>) {
        let Ok([control, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(fds) else {
            return;
        };
        let number = self.next;
        self.next += 1;
        let namespaces = init::namespaces(request.isolated, self.common.privilege);
        match sys::fork(namespaces) {
            Ok(None) => {
                let job = Job {
                    number,
                    request,
                    streams: [stdin, stdout, stderr],
                };
                init::run(&control, job, &self.common)
            }
            Ok(Some(pid)) => {
                self.running.insert(pid, number);
            }
            Err(error) => {
                let failed: Result<(), Failure> = Err(error).at(Step::Namespaces, "user and pid");
                if let Err(failure) = failed {
                    init::report(&control, &Report::Failed(failure), &[]);
                }
            }
        }
    }

    /// Takes in each PID 1 that has ended, and removes what its sandbox had.
    fn reap(&mut self) {
        while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
            self.remains.extend(self.running.remove(&pid));
        }
        let groups = &self.common.groups;
        self.remains.retain(|number| !groups.remove(*number));
    }

    /// The platform has gone, or wants no more: each PID 1 has seen the end of the pipe. Behind walls the kernel ends the rest
    /// at once, a supervisor without walls needs a moment. Waits for all, and leaves nothing.
    fn end(&mut self) {
        while !self.running.is_empty() {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, _))) => self.remains.extend(self.running.remove(&pid)),
                Ok(None) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        self.common.groups.close();
    }
}
