//! The system call filter: what a sandboxed program may not even ask the kernel.
//!
//! A list of what is denied, not of what is allowed: any language's runtime must work, and the walls do not rest on this
//! filter. It takes away the parts of the kernel that have been the way out most often and that no function needs.
//!
//! Written as classic BPF by hand: `seccompiler` gives one errno per filter and no check of the x32 numbers, so the same
//! would take three filters, each run on every call. The kernel remembers (since 5.11) which calls are always allowed,
//! so those cost nothing.

use libc::{c_long, sock_filter};

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Answered with EPERM. Namespaces and mounts, other processes' memory, the kernel's own programs and keys, the clock,
/// modules, the machine.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_vhangup,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Answered with ENOSYS, as by an older kernel, so that libraries take their older way: `clone3` hides its flags from a
/// filter (glibc falls back to `clone`), and io_uring goes around filters (libuv falls back to threads).
const UNKNOWN: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Answered with ENOSYS as well where memory is watched from outside: memory that no process has mapped is seen by nobody there.
/// A memory cgroup counts it.
const UNSEEN_MEMORY: &[c_long] = &[libc::SYS_memfd_create, libc::SYS_memfd_secret, libc::SYS_shmget];

/// What a program may do to itself only (first argument 0), else EPERM: to the kernel PID 1, which guards the sandbox, is a process
/// of the same user. Its limits would blind it, its priority slow it down.
const OF_ITSELF: &[c_long] = &[
    libc::SYS_prlimit64,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];

/// The kinds of sockets that may be made. Netlink is how libc lists addresses. Not vsock, which would reach a virtual
/// machine's host around the network namespace.
const FAMILIES: &[i32] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// On x86_64, the numbers from here on are the x32 calls: the same functions under other numbers.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

// Offsets in the kernel's `struct seccomp_data` on a little-endian machine.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
#[cfg(target_arch = "x86_64")]
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The filter for either way in which memory is bounded. Built once, by the spawner; every sandbox inherits the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    /// A cgroup counts all memory.
    pub(crate) counted: Vec<sock_filter>,
    /// The watch looks at what processes hold.
    pub(crate) watched: Vec<sock_filter>,
}

impl Filters {
    pub(crate) fn build() -> Self {
        Self {
            counted: build(&[]),
            watched: build(UNSEEN_MEMORY),
        }
    }
}

/// Builds a filter that knows nothing of these calls besides.
fn build(unknown: &[c_long]) -> Vec<sock_filter> {
    let mut program = vec![
        step(LOAD, MACHINE),
        jump(EQUAL, ARCHITECTURE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, NUMBER),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([jump(AT_LEAST, X32, 0, 1), refuse(libc::ENOSYS)]);
    for call in FORBIDDEN {
        program.extend([jump(EQUAL, number(*call), 0, 1), refuse(libc::EPERM)]);
    }
    for call in UNKNOWN.iter().chain(unknown) {
        program.extend([jump(EQUAL, number(*call), 0, 1), refuse(libc::ENOSYS)]);
    }
    for call in OF_ITSELF {
        program.extend([
            jump(EQUAL, number(*call), 0, 4),
            step(LOAD, FIRST_ARGUMENT),
            jump(EQUAL, 0, 1, 0),
            refuse(libc::EPERM),
            step(RETURN, libc::SECCOMP_RET_ALLOW),
        ]);
    }
    // Which (0: a process) and who (0: itself).
    program.extend([
        jump(EQUAL, number(libc::SYS_setpriority), 0, 6),
        step(LOAD, FIRST_ARGUMENT),
        jump(EQUAL, 0, 0, 2),
        step(LOAD, SECOND_ARGUMENT),
        jump(EQUAL, 0, 1, 0),
        refuse(libc::EPERM),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
    ]);
    program.extend([
        jump(EQUAL, number(libc::SYS_clone), 0, 4),
        step(LOAD, FIRST_ARGUMENT),
        jump(ANY_BIT, NAMESPACES.cast_unsigned(), 0, 1),
        refuse(libc::EPERM),
        step(RETURN, libc::SECCOMP_RET_ALLOW),
    ]);
    let socket = [number(libc::SYS_socket), number(libc::SYS_socketpair)];
    program.extend([
        jump(EQUAL, socket[0], 1, 0),
        jump(EQUAL, socket[1], 0, 2 + 2 * FAMILIES.len() as u8),
        step(LOAD, FIRST_ARGUMENT),
    ]);
    for family in FAMILIES {
        program.extend([
            jump(EQUAL, family.cast_unsigned(), 0, 1),
            step(RETURN, libc::SECCOMP_RET_ALLOW),
        ]);
    }
    program.extend([refuse(libc::EAFNOSUPPORT), step(RETURN, libc::SECCOMP_RET_ALLOW)]);
    program
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(code: u16, k: u32, if_true: u8, if_false: u8) -> sock_filter {
    sock_filter {
        code,
        jt: if_true,
        jf: if_false,
        k,
    }
}

fn refuse(errno: i32) -> sock_filter {
    step(RETURN, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

/// Call numbers are small and positive; one that is not would never match, which the tests below would show.
fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}
