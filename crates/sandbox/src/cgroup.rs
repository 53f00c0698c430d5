//! Memory and process limits by cgroup, version 1 or 2, where this process may make groups.
//!
//! The spawner makes one parent group per platform, `aloft.<pid>.<start time>`, below the group in which it runs (so that a
//! container's own limits hold), and each sandbox a group in it. The name says whose it is: groups of platforms that no
//! longer live are removed at the next start, those of another living platform are left alone.
//!
//! Version 2 allows no limits below a group that has processes of its own (but the real root). Then the top of what is
//! mounted is tried, which is what root has under systemd. A user gets a group of their own by
//! `systemd-run --user --scope -p Delegate=yes`, in which the platform's processes move aside into a leaf.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

const PREFIX: &str = "aloft.";

/// Where the limits of all sandboxes of this platform are kept.
#[derive(Debug)]
pub(crate) enum Groups {
    /// Version 1: one parent folder per controller.
    V1 { memory: PathBuf, pids: PathBuf },
    /// Version 2: one parent folder.
    V2 { parent: PathBuf },
    /// Nothing is writable; why.
    None { reason: String },
}

/// One sandbox's group.
pub(crate) struct Group {
    /// To be opened by whoever enters: writing `0` moves the writer.
    pub(crate) enter: Vec<OwnedFd>,
    /// Counts what the kernel killed for memory.
    pub(crate) kills: OwnedFd,
    /// Reads the largest memory use so far.
    pub(crate) peak: OwnedFd,
}

impl Groups {
    /// Finds what is writable and makes the parent group; sweeps what dead platforms left.
    pub(crate) fn open() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let name = format!("{PREFIX}{}", identity(rustix::process::getpid()));
        match open_v1(&mounts, &own, &name) {
            Ok(groups) => groups,
            Err(first) => open_v2(&mounts, &own, &name).unwrap_or_else(|second| Self::None {
                reason: format!("version 1: {first}; version 2: {second}"),
            }),
        }
    }

    /// Makes the group of sandbox `number` with its limits.
    pub(crate) fn make(&self, number: u64, memory: u64, processes: u32) -> io::Result<Option<Group>> {
        let number = number.to_string();
        match self {
            Self::V1 { memory: parent, pids } => {
                let (parent, pids) = (parent.join(&number), pids.join(&number));
                fs::create_dir(&parent)?;
                fs::create_dir(&pids)?;
                fs::write(parent.join("memory.limit_in_bytes"), memory.to_string())?;
                // Only with swap accounting; without it there is no such file.
                match fs::write(parent.join("memory.memsw.limit_in_bytes"), memory.to_string()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound && !is_denied(&error) => {
                        return Err(error);
                    }
                    _ => {}
                }
                fs::write(pids.join("pids.max"), processes.to_string())?;
                Ok(Some(Group {
                    enter: vec![
                        open(&parent.join("cgroup.procs"), OFlags::WRONLY)?,
                        open(&pids.join("cgroup.procs"), OFlags::WRONLY)?,
                    ],
                    kills: open(&parent.join("memory.oom_control"), OFlags::RDONLY)?,
                    peak: open(&parent.join("memory.max_usage_in_bytes"), OFlags::RDONLY)?,
                }))
            }
            Self::V2 { parent } => {
                let group = parent.join(&number);
                fs::create_dir(&group)?;
                fs::write(group.join("memory.max"), memory.to_string())?;
                fs::write(group.join("memory.oom.group"), "1")?;
                match fs::write(group.join("memory.swap.max"), "0") {
                    Err(error) if error.kind() != io::ErrorKind::NotFound && !is_denied(&error) => {
                        return Err(error);
                    }
                    _ => {}
                }
                fs::write(group.join("pids.max"), processes.to_string())?;
                // memory.peak came with 5.19; before it, the present use stands in.
                let peak = open(&group.join("memory.peak"), OFlags::RDONLY)
                    .or_else(|_| open(&group.join("memory.current"), OFlags::RDONLY))?;
                Ok(Some(Group {
                    enter: vec![open(&group.join("cgroup.procs"), OFlags::WRONLY)?],
                    kills: open(&group.join("memory.events"), OFlags::RDONLY)?,
                    peak,
                }))
            }
            Self::None { .. } => Ok(None),
        }
    }

    /// Removes the group of a sandbox whose processes have all ended. Says whether nothing is left of it.
    pub(crate) fn remove(&self, number: u64) -> bool {
        let gone = |parent: &Path| match fs::remove_dir(parent.join(number.to_string())) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let left = self.parents().into_iter().filter(|parent| !gone(parent)).count();
        left == 0
    }

    /// Removes the parent group, at the end.
    pub(crate) fn close(&self) {
        for parent in self.parents() {
            remove_tree(parent);
        }
    }

    /// Process ids of everything in a group, as this process sees them.
    pub(crate) fn members(&self, number: u64) -> Vec<Pid> {
        let Some(parent) = self.parents().first().copied() else {
            return Vec::new();
        };
        members(&parent.join(number.to_string()))
    }

    /// Says what it is and where, for a person.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::V1 { memory, .. } => format!("cgroup version 1 at {}", memory.display()),
            Self::V2 { parent } => format!("cgroup version 2 at {}", parent.display()),
            Self::None { reason } => reason.clone(),
        }
    }

    fn parents(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids } => vec![memory, pids],
            Self::V2 { parent } => vec![parent],
            Self::None { .. } => vec![],
        }
    }
}

/// How many processes the kernel has killed in a group, from its `oom_kill` line.
pub(crate) fn kills(file: &OwnedFd) -> u64 {
    let text = read(file);
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == "oom_kill")
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or(0)
}

/// The number that a small file holds, read from its start.
pub(crate) fn number(file: &OwnedFd) -> u64 {
    read(file).trim().parse().unwrap_or(0)
}

fn read(file: &OwnedFd) -> String {
    let mut buffer = [0_u8; 4096];
    let length = rustix::io::pread(file, &mut buffer[..], 0).unwrap_or(0);
    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned()
}

fn open(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

/// The least of the limits of memory that lie on the platform itself, in bytes, if there is one.
pub(crate) fn memory_limit() -> Option<u64> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let v1 = v1_folder(&mounts, &own, "memory").map(|folder| (folder, "memory.limit_in_bytes"));
    let v2 = v2_folder(&mounts, &own).map(|(_, folder)| (folder, "memory.max"));
    let limits = [v1, v2].into_iter().flatten().flat_map(|(folder, file)| {
        // A group above may have less. Above the top there is no such file.
        let groups: Vec<PathBuf> = folder.ancestors().map(|group| group.join(file)).collect();
        groups
            .into_iter()
            .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
    });
    limits.min()
}

fn is_denied(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EACCES | libc::EPERM | libc::EOPNOTSUPP)
    )
}

fn open_v1(mounts: &str, own: &str, name: &str) -> Result<Groups, String> {
    let parent = |controller: &str| {
        let folder =
            v1_folder(mounts, own, controller).ok_or(format!("no {controller} controller is mounted"))?;
        sweep(&folder);
        let parent = folder.join(name);
        make(&parent).map_err(|error| format!("{} cannot be made: {error}", parent.display()))?;
        Ok::<_, String>(parent)
    };
    let memory = parent("memory")?;
    let pids = parent("pids").inspect_err(|_| remove_tree(&memory))?;
    Ok(Groups::V1 { memory, pids })
}

fn open_v2(mounts: &str, own: &str, name: &str) -> Result<Groups, String> {
    let (top, folder) = v2_folder(mounts, own).ok_or("it is not mounted")?;
    let mut reason = String::new();
    for folder in [&folder, &top] {
        let controllers = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        if !["memory", "pids"]
            .iter()
            .all(|wanted| controllers.split_whitespace().any(|c| c == *wanted))
        {
            reason = format!("{} has no memory and pids controllers", folder.display());
            continue;
        }
        sweep(folder);
        match prepare_v2(folder, name) {
            Ok(parent) => return Ok(Groups::V2 { parent }),
            Err(error) => reason = format!("{} cannot be used: {error}", folder.display()),
        }
    }
    Err(reason)
}

/// Makes the parent group below `folder` and turns the controllers on, down to its children.
fn prepare_v2(folder: &Path, name: &str) -> io::Result<PathBuf> {
    const ON: &str = "+memory +pids";
    let parent = folder.join(name);
    make(&parent)?;
    let turn_on = || {
        let enabled = fs::read_to_string(folder.join("cgroup.subtree_control"))?;
        if !["memory", "pids"]
            .iter()
            .all(|wanted| enabled.split_whitespace().any(|c| c == *wanted))
        {
            step_aside(folder)?;
            fs::write(folder.join("cgroup.subtree_control"), ON)?;
        }
        fs::write(parent.join("cgroup.subtree_control"), ON)
    };
    turn_on().inspect_err(|_| remove_tree(&parent))?;
    Ok(parent)
}

/// Moves the platform and this spawner into a leaf, if nobody else is in the group: then it was made for us.
fn step_aside(folder: &Path) -> io::Result<()> {
    let ours = [Some(rustix::process::getpid()), rustix::process::getppid()];
    let members = members(folder);
    if members.iter().all(|pid| ours.contains(&Some(*pid))) {
        let leaf = folder.join(format!("{PREFIX}platform"));
        make(&leaf)?;
        for pid in members {
            fs::write(leaf.join("cgroup.procs"), pid.as_raw_nonzero().to_string())?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Removes the groups of platforms that no longer live.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let pid = owner
            .split_once('.')
            .and_then(|(pid, _)| pid.parse().ok())
            .and_then(Pid::from_raw);
        if pid.is_some_and(|pid| identity(pid) != owner) {
            remove_tree(&entry.path());
        }
    }
}

/// Ends what still runs in a group and its children, and removes them.
fn remove_tree(folder: &Path) {
    let children = fs::read_dir(folder).into_iter().flatten().flatten();
    for child in children.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())) {
        remove_tree(&child.path());
    }
    for pid in members(folder) {
        // It may have ended by itself in the meantime.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    // What cannot be removed yet is tried again at the next start.
    let _ = fs::remove_dir(folder);
}

fn members(folder: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect()
}

/// A process's id and start time, which together are never reused: `<pid>.<ticks>`; the time is missing if it is dead.
fn identity(pid: Pid) -> String {
    let pid = pid.as_raw_nonzero();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, field 2, is in brackets and may hold anything; the start time is field 22.
    let ticks = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19))
        .unwrap_or("");
    format!("{pid}.{ticks}")
}

/// The folder of the own group in a version 1 hierarchy.
fn v1_folder(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields
            .next()?
            .split(',')
            .any(|c| c == controller)
            .then(|| fields.next())
            .flatten()
    })?;
    let mount = mounts.lines().filter_map(parse_mount).find(|mount| {
        mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller)
    })?;
    Some(below(&mount, path))
}

/// The top of the version 2 hierarchy as it is mounted, and the folder of the own group.
fn v2_folder(mounts: &str, own: &str) -> Option<(PathBuf, PathBuf)> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts
        .lines()
        .filter_map(parse_mount)
        .find(|mount| mount.kind == "cgroup2")?;
    Some((PathBuf::from(mount.point), below(&mount, path)))
}

struct MountLine<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

/// A line of mountinfo: `36 35 98:0 /root /point rw,… shared:1 - kind source options`.
fn parse_mount(line: &str) -> Option<MountLine<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let mut right = right.split(' ');
    Some(MountLine {
        root: left.next()?,
        point: left.next()?,
        kind: right.next()?,
        options: right.nth(1)?,
    })
}

/// Where a group lies under a mount that may show only a part of the hierarchy (as in a container).
fn below(mount: &MountLine<'_>, path: &str) -> PathBuf {
    let relative = Path::new(path).strip_prefix(mount.root).unwrap_or(Path::new(""));
    let relative = relative.strip_prefix("/").unwrap_or(relative);
    Path::new(mount.point).join(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
36 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 32 0:34 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 32 0:35 /docker/abc /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
42 32 0:36 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
    const OWN: &str = "9:pids:/docker/abc/job\n4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/user.slice/a.scope\n";

    #[test]
    fn the_own_group_is_found_in_each_version() {
        assert_eq!(
            v1_folder(MOUNTS, OWN, "memory").unwrap(),
            Path::new("/sys/fs/cgroup/memory/jobs/7")
        );
        assert_eq!(
            v1_folder(MOUNTS, OWN, "cpuacct").unwrap(),
            Path::new("/sys/fs/cgroup/cpu,cpuacct")
        );
        assert_eq!(
            v1_folder(MOUNTS, OWN, "pids").unwrap(),
            Path::new("/sys/fs/cgroup/pids/job")
        );
        assert_eq!(v1_folder(MOUNTS, OWN, "freezer"), None);
        let (top, own) = v2_folder(MOUNTS, OWN).unwrap();
        assert_eq!(top, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(own, Path::new("/sys/fs/cgroup/unified/user.slice/a.scope"));
        assert_eq!(v2_folder("", ""), None);
    }

    #[test]
    fn a_process_is_known_by_its_start_time_too() {
        let own = identity(rustix::process::getpid());
        let (pid, ticks) = own.split_once('.').unwrap();
        assert_eq!(pid, std::process::id().to_string());
        assert!(ticks.parse::<u64>().unwrap() > 0);
        // No process has the largest number (the kernel's bound is 2^22).
        assert_eq!(
            identity(Pid::from_raw(i32::MAX).unwrap()),
            format!("{}.", i32::MAX)
        );
    }
}
