//! PID 1 while the program runs: reaps, relays signals, watches memory where no cgroup does, reports the end, and ends when
//! the platform or the spawner does.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::cgroup;
use crate::init::{self, Common};
use crate::resident::{self, Watch};
use crate::sys;
use crate::wire::Report;

/// What is held back and read from a descriptor. All but the first are passed on to the program.
pub(crate) const SIGNALS: [i32; 7] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
];
/// How often a supervisor without a process namespace looks for descendants to end, with a millisecond between.
const ROUNDS: u32 = 5_000;

/// A running program.
pub(crate) struct Running {
    pub(crate) number: u64,
    pub(crate) isolated: bool,
    pub(crate) main: Pid,
    /// Reads the signals that are held back.
    pub(crate) signals: OwnedFd,
    /// Counts what the kernel killed for memory.
    pub(crate) kills: Option<OwnedFd>,
    pub(crate) watch: Option<Watch>,
    /// The largest memory use as decimal digits: the cgroup's file, or one that we keep.
    pub(crate) peak: OwnedFd,
}

/// Stays until the program, the platform or the spawner has ended.
pub(crate) fn run(control: &OwnedFd, mut running: Running, common: &Common) -> ! {
    let mut over = false;
    loop {
        let timeout = running
            .watch
            .as_ref()
            .and_then(|watch| Timespec::try_from(watch.interval).ok());
        let mut fds = [
            PollFd::new(control, PollFlags::IN),
            PollFd::new(&common.life, PollFlags::IN),
            PollFd::new(&running.signals, PollFlags::IN),
        ];
        // An interrupted wait is a turn in which nothing is ready.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let [control_ready, life_ended, signals_ready] = fds.map(|fd| !fd.revents().is_empty());
        if control_ready || life_ended {
            end_all(&running, common);
            sys::exit(0)
        }
        if signals_ready {
            relay(&running);
            if let Some(status) = reap(running.main) {
                end_all(&running, common);
                init::report(control, &ended(&running, status, over), &[]);
                sys::exit(0)
            }
        }
        if look(&mut running) {
            over = true;
            // Its end comes back as a signal; ours ends the rest.
            let _ = rustix::process::kill_process(running.main, Signal::KILL);
        }
    }
}

/// Passes signals on to the program.
fn relay(running: &Running) {
    let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
    while rustix::io::read(&running.signals, &mut buffer[..]).is_ok_and(|length| length == buffer.len()) {
        let number = buffer
            .first_chunk()
            .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
            .cast_signed();
        if number != libc::SIGCHLD
            && let Some(signal) = Signal::from_named_raw(number)
        {
            let _ = rustix::process::kill_process(running.main, signal);
        }
    }
}

/// Takes in every child that has ended. Gives the program's own end, if it was among them.
fn reap(main: Pid) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == main {
            found = Some(status);
        }
    }
    found
}

/// Looks at the memory, if that is our task. Whether it is over the limit.
fn look(running: &mut Running) -> bool {
    let Some(watch) = &mut running.watch else {
        return false;
    };
    let processes = if running.isolated {
        resident::all_inside()
    } else {
        Ok(resident::descendants())
    };
    let over = processes.and_then(|processes| watch.look(&processes));
    keep_peak(&running.peak, watch.peak);
    // What cannot be looked at cannot be bounded.
    over.unwrap_or(true)
}

/// Writes the peak where the platform reads it: digits of constant width, so that no read sees half of a number.
fn keep_peak(peak: &OwnedFd, bytes: u64) {
    let _ = rustix::io::pwrite(peak, format!("{bytes:020}").as_bytes(), 0);
}

fn ended(running: &Running, status: WaitStatus, over: bool) -> Report {
    let (cpu, largest) = sys::children_usage();
    if let Some(watch) = &running.watch {
        keep_peak(&running.peak, watch.peak.max(largest));
    }
    let killed = running.kills.as_ref().is_some_and(|file| cgroup::kills(file) > 0);
    let memory_peak_bytes = match cgroup::number(&running.peak) {
        0 => largest,
        peak => peak,
    };
    Report::Ended {
        status: status.exit_status(),
        signal: status.terminating_signal(),
        // A program that lives on although one of its processes was killed for memory ends with 0, as it likes.
        oom: over || (killed && status.exit_status() != Some(0)),
        memory_peak_bytes,
        cpu_us: u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX),
    }
}

/// Ends every other process. In a process namespace the kernel does that when PID 1 ends.
fn end_all(running: &Running, common: &Common) {
    if running.isolated {
        return;
    }
    let own = rustix::process::getpid();
    for _ in 0..ROUNDS {
        let mut left: Vec<Pid> = resident::descendants()
            .into_iter()
            .filter_map(Pid::from_raw)
            .collect();
        left.extend(common.groups.members(running.number));
        left.retain(|pid| *pid != own);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let _ = reap(running.main);
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000,
        };
        let _ = rustix::event::poll(&mut [], Some(&pause));
    }
}
