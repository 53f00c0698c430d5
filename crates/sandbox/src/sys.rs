//! The system calls that neither std nor `rustix` offers as safe functions, each behind a small safe wrapper. The only
//! file of this crate with `unsafe`. Every wrapper passes memory that it owns and checks the result.
//!
//! `nix` was looked at: it would save three of these and adds a second vocabulary beside `rustix`.
#![allow(
    unsafe_code,
    reason = "the one file of wrappers over system calls; each block says why it is sound"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Namespaces and what else a new process starts with: the `CLONE_*` bits that this crate uses.
pub(crate) mod flag {
    pub(crate) const USER: i32 = libc::CLONE_NEWUSER;
    pub(crate) const MOUNT: i32 = libc::CLONE_NEWNS;
    pub(crate) const PID: i32 = libc::CLONE_NEWPID;
    pub(crate) const IPC: i32 = libc::CLONE_NEWIPC;
    pub(crate) const UTS: i32 = libc::CLONE_NEWUTS;
    pub(crate) const NET: i32 = libc::CLONE_NEWNET;
    pub(crate) const CGROUP: i32 = libc::CLONE_NEWCGROUP;
}

/// Attributes of a mount, as `mount_setattr` takes them.
pub(crate) mod attribute {
    pub(crate) const READ_ONLY: u64 = 0x1;
    pub(crate) const NO_SUID: u64 = 0x2;
    pub(crate) const NO_DEV: u64 = 0x4;
}

/// The kernel's `struct mount_attr`, version 0.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

fn check(result: i64) -> io::Result<i64> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Forks, the child in new namespaces. `None` is the child. Must be called from a process with one thread: the child
/// goes on in ordinary Rust code, and another thread's locks would stay taken there for ever.
pub(crate) fn fork(namespaces: i32) -> io::Result<Option<Pid>> {
    let flags = i64::from(namespaces) | i64::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child gets a copy of the memory and the same
    // stack. No pointer is passed, so the order of the further arguments, which differs by machine, does not matter.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0_i64, 0_i64, 0_i64, 0_i64) })?;
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw))
}

/// Moves this process into new namespaces.
pub(crate) fn unshare(namespaces: i32) -> io::Result<()> {
    // SAFETY: takes a number only; no namespace flag shares or unshares memory or file descriptors.
    check(i64::from(unsafe { libc::unshare(namespaces) })).map(drop)
}

/// Sets attributes of the mount behind `tree`, and with `recursive` of all below it.
pub(crate) fn set_mount(tree: impl AsFd, recursive: bool, set: u64) -> io::Result<()> {
    let attr = MountAttr {
        set,
        clear: 0,
        propagation: 0,
        userns: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant C string, `attr` lives over the call and its true size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}

/// Installs a system call filter for this process and all that it starts. Needs no-new-privileges.
pub(crate) fn set_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `program` points to `len` instructions that live over the call; the kernel copies and never writes them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0_i64,
            &raw const program,
        )
    };
    check(result).map(drop)
}

/// Brings the loopback of this process's network namespace up.
pub(crate) fn raise_loopback() -> io::Result<()> {
    // SAFETY: takes numbers only.
    let socket = check(i64::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    let socket = i32::try_from(socket).map_err(io::Error::other)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a valid `ifreq`: it is numbers and bytes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = (*from).cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives over the call.
    check(i64::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))
    .map(drop)
}

/// Holds the signals that a supervisor handles back, and gives a descriptor that reads them.
pub(crate) fn signals(numbers: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before any other use; all pointers are to locals.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for number in numbers {
            libc::sigaddset(&raw mut set, *number);
        }
        check(i64::from(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const set,
            std::ptr::null_mut(),
        )))?;
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(i64::from(fd))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Lets all signals through with their default actions, as a fresh program expects (Rust's runtime ignores SIGPIPE).
pub(crate) fn reset_signals() -> io::Result<()> {
    // SAFETY: `set` is initialised by sigemptyset; SIG_DFL runs no code of ours.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        check(i64::from(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const set,
            std::ptr::null_mut(),
        )))
        .map(drop)
    }
}

/// Closes every descriptor from 3 on but `keep`. For a forked child that never returns to its parent's code, so that
/// nobody there uses (or drops) what is closed here.
pub(crate) fn close_all_but(keep: &mut [RawFd]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 3_u32;
    for fd in keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .filter(|fd| *fd >= 3)
    {
        if fd > first {
            close_range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX, 0)
}

/// Marks every descriptor from 3 on to be closed by exec.
pub(crate) fn close_all_on_exec() -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes numbers only; that no owner uses a closed descriptor again is the promise of the two callers.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// Processor time and largest resident size (of one process) among the children that were waited for.
pub(crate) fn children_usage() -> (Duration, u64) {
    // SAFETY: all zeroes is a valid `rusage`, and getrusage fills one.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
            + Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
    };
    let largest = u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024);
    (time(usage.ru_utime) + time(usage.ru_stime), largest)
}

/// Lets the runtime watch a descriptor.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open until it is dropped, always gives the same descriptor, and nobody else can close it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// Ends this process at once: no destructors, no handlers. For forked children.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: does not return, touches no memory.
    unsafe { libc::_exit(status) }
}
