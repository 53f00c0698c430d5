//! What this process may do, and under which host user sandboxes run.
//!
//! - *Root with its capabilities*: the walls are put up with them, then each sandbox goes to a host user id of its own that
//!   owns nothing, so that limits counted per user do not mix and code that broke out would be nobody.
//! - *Anybody else*: the walls are put up inside a user namespace in which we hold all capabilities. The sandbox's host
//!   user is then our own, there is no other, and our further groups stay (the kernel lets nobody drop them there); both
//!   count only for what the specification mounts.
//!
//! In both cases the program runs in one more user namespace, below the one that owns the walls, as user 1000 and with no
//! capabilities: even all capabilities of its own namespace could not move a wall.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::wire::{At, Failure, Step};

/// The user and group that a sandboxed program sees itself as.
pub(crate) const INSIDE: u32 = 1000;
/// How many host ids are used in turn.
const RANGE: u32 = 65_536;
/// `nobody`, where a namespace does not map our range (a container with remapped users).
const NOBODY: u32 = 65_534;

/// How the walls are put up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// With root's capabilities; sandboxes run as host users from `first` on, `count` in turn.
    Root { first: u32, count: u32 },
    /// Inside a user namespace; sandboxes run as this user.
    User,
}

impl Privilege {
    /// Looks at who we are.
    pub(crate) fn detect(first_uid: u32) -> Self {
        let needed = CapabilitySet::SYS_ADMIN
            | CapabilitySet::SETUID
            | CapabilitySet::SETGID
            | CapabilitySet::NET_ADMIN;
        let able = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
        if !rustix::process::geteuid().is_root() || !able {
            return Self::User;
        }
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        if maps(&map, first_uid, RANGE) {
            Self::Root {
                first: first_uid,
                count: RANGE,
            }
        } else if maps(&map, NOBODY, 1) {
            Self::Root {
                first: NOBODY,
                count: 1,
            }
        } else {
            Self::User
        }
    }

    /// The host id of sandbox `number`, if it gets one of its own.
    pub(crate) fn host_id(self, number: u64) -> Option<u32> {
        match self {
            Self::Root { first, count } => {
                Some(first.saturating_add(u32::try_from(number % u64::from(count)).unwrap_or(0)))
            }
            Self::User => None,
        }
    }
}

/// Whether a user namespace's map knows all of `first..first + count`.
fn maps(map: &str, first: u32, count: u32) -> bool {
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(|f| f.parse::<u64>().unwrap_or(0));
        let (Some(start), Some(_), Some(length)) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        u64::from(first) >= start && u64::from(first) + u64::from(count) <= start + length
    })
}

/// In a new user namespace: makes the own user and group [`INSIDE`]. `proc` is a descriptor of any /proc that shows us.
pub(crate) fn map_self(proc: &OwnedFd, uid: Uid, gid: Gid) -> Result<(), Failure> {
    // The files of a process that is not dumpable belong to root. Nobody else is in this namespace yet.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).at(Step::Identity, "dumpable")?;
    write_own(proc, "self/setgroups", "deny")?;
    write_own(proc, "self/uid_map", &format!("{INSIDE} {} 1", uid.as_raw()))?;
    write_own(proc, "self/gid_map", &format!("{INSIDE} {} 1", gid.as_raw()))
}

fn write_own(proc: &OwnedFd, path: &str, text: &str) -> Result<(), Failure> {
    let write = || {
        let file = rustix::fs::openat(
            proc.as_fd(),
            path,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::io::write(&file, text.as_bytes()).map(drop)
    };
    write().at(Step::Identity, format!("/proc/{path}"))
}

/// As root: becomes the host user `id`, keeping the capabilities for what is still to be done.
pub(crate) fn become_host_user(id: u32) -> Result<(), Failure> {
    let step = || {
        rustix::thread::set_keep_capabilities(true)?;
        let sets = rustix::thread::capabilities(None)?;
        rustix::thread::set_thread_groups(&[])?;
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        rustix::thread::set_capabilities(None, sets)
    };
    step().at(Step::Identity, format!("user {id}"))
}

/// Gives up every capability, for ever.
pub(crate) fn drop_capabilities() -> Result<(), Failure> {
    let step = || {
        for bit in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                // Past the last capability that this kernel knows; or without isolation, an ordinary user: what they do not
                // have they cannot give up, and no-new-privileges keeps it so.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => break,
                Err(error) => return Err(error),
            }
        }
        rustix::thread::clear_ambient_capability_set()?;
        let none = CapabilitySet::empty();
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            },
        )?;
        rustix::thread::set_no_new_privs(true)
    };
    step().at(Step::Limit, "capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_must_hold_the_whole_range() {
        let whole = "         0          0 4294967295\n";
        assert!(maps(whole, 2_000_000_000, RANGE));
        let container = "0 100000 65536\n";
        assert!(!maps(container, 2_000_000_000, RANGE));
        assert!(maps(container, NOBODY, 1));
        assert!(!maps("0 1000 1\n", NOBODY, 1));
        assert!(!maps("", 0, 1));
        assert!(!maps("garbage", 0, 1));
    }

    #[test]
    fn host_ids_come_round() {
        let root = Privilege::Root { first: 100, count: 3 };
        let ids: Vec<_> = (0..5).map(|n| root.host_id(n).unwrap()).collect();
        assert_eq!(ids, [100, 101, 102, 100, 101]);
        assert_eq!(Privilege::User.host_id(7), None);
    }
}
