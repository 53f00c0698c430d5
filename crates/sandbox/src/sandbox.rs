//! A running sandbox: waiting for its end, ending it, and what it uses.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use aloft_base::Size;
use rustix::net::Shutdown;
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::OnceCell;

use crate::wire::{Memory, Report};
use crate::{Isolation, cgroup, spawner, sys};

/// A running sandbox. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Sandbox {
    control: AsyncFd<OwnedFd>,
    /// PID 1 (without isolation: the supervisor); readable when it has ended, and with it everything.
    process: AsyncFd<OwnedFd>,
    peak: OwnedFd,
    memory: Memory,
    isolation: Isolation,
    exit: OnceCell<Exit>,
}

/// How a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The program's exit status, if it exited.
    pub status: Option<i32>,
    /// The signal that ended it, if one did; 9 also after [`Sandbox::kill`].
    pub signal: Option<i32>,
    /// Whether it was ended for using more memory than it may.
    pub oom: bool,
    /// The most memory that it used. Without a memory cgroup this is a sampled figure.
    pub memory_peak: Size,
    /// Processor time of all its processes that were waited for; `None` when it was killed.
    pub cpu: Option<Duration>,
}

/// What a sandbox uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The most memory so far.
    pub memory_peak: Size,
    /// Whether the memory limit is exact (a cgroup) or watched from outside.
    pub memory_exact: bool,
}

impl Sandbox {
    pub(crate) fn new(
        control: AsyncFd<OwnedFd>,
        process: OwnedFd,
        peak: OwnedFd,
        memory: Memory,
        isolation: Isolation,
    ) -> io::Result<Self> {
        let process = sys::watch(process, Interest::READABLE)?;
        Ok(Self {
            control,
            process,
            peak,
            memory,
            isolation,
            exit: OnceCell::new(),
        })
    }

    /// Waits for its end: when this returns, no process of it exists any more. Any number may wait, and again later. Safe to
    /// cancel.
    pub async fn exited(&self) -> &Exit {
        let exit = self.exit.get_or_init(|| self.reported()).await;
        // If the descriptor cannot be watched any more, the runtime is going down and everything with it.
        let _ = self.process.readable().await;
        exit
    }

    /// Safe to cancel: there is nothing to wait for after the one report has been taken.
    async fn reported(&self) -> Exit {
        match spawner::receive(&self.control).await {
            Ok(Some((
                Report::Ended {
                    status,
                    signal,
                    oom,
                    memory_peak_bytes,
                    cpu_us,
                },
                _,
            ))) => Exit {
                status,
                signal,
                oom,
                memory_peak: Size::from_bytes(memory_peak_bytes),
                cpu: Some(Duration::from_micros(cpu_us)),
            },
            // Closed without a word: PID 1 was killed.
            Ok(_) | Err(_) => Exit {
                status: None,
                signal: Some(Signal::KILL.as_raw()),
                oom: false,
                memory_peak: self.usage().memory_peak,
                cpu: None,
            },
        }
    }

    /// Ends everything in it, at once. Await [`exited`](Self::exited) to know that it is over.
    pub fn kill(&self) {
        // Both fail only when it has ended already.
        let _ = match self.isolation {
            Isolation::Full => rustix::process::pidfd_send_signal(self.process.get_ref(), Signal::KILL),
            // A killed supervisor could not end its descendants any more: it is told by the end of this direction.
            Isolation::None => rustix::net::shutdown(self.control.get_ref(), Shutdown::Write),
        };
    }

    /// Asks the program to end itself (SIGTERM).
    pub fn terminate(&self) {
        let _ = rustix::process::pidfd_send_signal(self.process.get_ref(), Signal::TERM);
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        Usage {
            memory_peak: Size::from_bytes(cgroup::number(&self.peak)),
            memory_exact: self.memory == Memory::Cgroup,
        }
    }
}
