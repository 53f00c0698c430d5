//! The root that a sandboxed program sees: a small tmpfs with read-only mounts of what the specification names, a /dev of
//! six devices, a /proc of its own, a private /tmp, and the six files of /etc without which libraries stumble.
//!
//! Made with the mount calls that work on descriptors (Linux 5.12 and later): all sources are opened first, by the host's
//! paths, so a source below /tmp or behind links works, and no path is looked up after the host's root has gone. The older
//! `mount` was rejected: making a bind mount read-only takes a second call per submount and leaves a moment without it.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::privilege::INSIDE;
use crate::sys::{self, attribute};
use crate::wire::{At, Bind, Failure, Step};

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Shared memory between a sandbox's own processes; Docker's default.
const SHARED_BYTES: u64 = 64 << 20;
/// An empty file or folder costs about a kilobyte of the kernel's memory.
const SCRATCH_FILES: u64 = 65_536;
/// What of /proc tells about the host and nobody needs: the boot line (it may hold secrets), kernel symbols, hardware. What
/// changes the kernel is writable for the real root only, and stays so.
const HIDDEN_FILES: [&str; 9] = [
    "cmdline",
    "config.gz",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "modules",
    "sysrq-trigger",
    "timer_list",
];
const HIDDEN_FOLDERS: [&str; 5] = ["acpi", "bus", "driver", "fs", "irq"];

const ETC: [(&str, &str); 5] = [
    ("hostname", "sandbox\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"),
    // Where there is no name server the answer is an error at once, not a wait. Ours looks a name up for five seconds.
    (
        "resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:6 attempts:1\n",
    ),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"),
];

/// Builds the root and enters it. Says whether there is a /proc: some containers do not allow one.
pub(crate) fn enter(binds: &[Bind], scratch_bytes: u64) -> Result<bool, Failure> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at(Step::Mount, "/ as private")?;
    let mut sources = open_sources(binds)?;
    let devices = DEVICES.iter().map(|name| open_tree(format!("/dev/{name}")));
    let devices = devices.collect::<Result<Vec<_>, _>>().at(Step::Source, "/dev")?;

    let root = tmpfs("755", 1 << 20, 4096)?;
    attach(&root, CWD, Path::new("/"))?;
    make_scratch(&root, scratch_bytes)?;
    // Shorter targets first, so that one mount may lie inside another.
    sources.sort_by_key(|(bind, _)| bind.target.0.len());
    for (bind, tree) in &sources {
        place(&root, bind, tree.as_ref())?;
    }
    make_dev(&root, &devices)?;
    make_etc(&root)?;
    make_folders(&root, Path::new("proc"))?;
    let proc = make_proc()?;
    pivot(&root)?;
    if let Some(proc) = &proc {
        attach(proc, &root, Path::new("proc"))?;
        hide(&root)?;
    }
    sys::set_mount(&root, false, attribute::READ_ONLY).at(Step::Mount, "/ as read-only")?;
    Ok(proc.is_some())
}

/// Clones each source as a detached, read-only tree.
fn open_sources(binds: &[Bind]) -> Result<Vec<(&Bind, Option<OwnedFd>)>, Failure> {
    let open = |bind: &'_ Bind| {
        let Some(source) = &bind.source else {
            return Ok(None);
        };
        let name = || source.0.to_string_lossy().into_owned();
        let tree = open_tree(Path::new(&source.0)).at(Step::Source, name())?;
        sys::set_mount(
            &tree,
            true,
            attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV,
        )
        .at(Step::Mount, format!("{} as read-only", name()))?;
        Ok(Some(tree))
    };
    binds.iter().map(|bind| Ok((bind, open(bind)?))).collect()
}

/// Recursive, because a user namespace may not show what a submount covers.
fn open_tree(path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags)
}

fn tmpfs(mode: &str, bytes: u64, files: u64) -> Result<OwnedFd, Failure> {
    let make = || {
        let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&fs, "mode", mode)?;
        rustix::mount::fsconfig_set_string(&fs, "size", bytes.to_string())?;
        rustix::mount::fsconfig_set_string(&fs, "nr_inodes", files.to_string())?;
        rustix::mount::fsconfig_create(&fs)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().at(Step::Mount, "a tmpfs")
}

fn attach(tree: &OwnedFd, at: impl std::os::fd::AsFd, path: &Path) -> Result<(), Failure> {
    rustix::mount::move_mount(tree, "", at, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .at(Step::Mount, path.to_string_lossy())
}

/// Puts one of the specification's mounts into place.
fn place(root: &OwnedFd, bind: &Bind, tree: Option<&OwnedFd>) -> Result<(), Failure> {
    let target = relative(Path::new(&bind.target.0));
    let name = || bind.target.0.to_string_lossy();
    if let Some(parent) = target.parent() {
        make_folders(root, parent)?;
    }
    if let Some(to) = &bind.link {
        return rustix::fs::symlinkat(to.0.as_bytes(), root, target).at(Step::Mount, name());
    }
    let Some(tree) = tree else { return Ok(()) };
    let kind = rustix::fs::fstat(tree).at(Step::Source, name())?.st_mode;
    if rustix::fs::FileType::from_raw_mode(kind).is_dir() {
        make_folders(root, target)?;
    } else {
        make_file(root, target, b"")?;
    }
    attach(tree, root, target)
}

fn make_scratch(root: &OwnedFd, bytes: u64) -> Result<(), Failure> {
    make_folders(root, Path::new("tmp"))?;
    attach(&tmpfs("1777", bytes, SCRATCH_FILES)?, root, Path::new("tmp"))
}

fn make_dev(root: &OwnedFd, devices: &[OwnedFd]) -> Result<(), Failure> {
    make_folders(root, Path::new("dev/shm"))?;
    for (name, device) in DEVICES.iter().zip(devices) {
        let path = Path::new("dev").join(name);
        make_file(root, &path, b"")?;
        attach(device, root, &path)?;
    }
    attach(&tmpfs("1777", SHARED_BYTES, 1024)?, root, Path::new("dev/shm"))?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ];
    for (name, to) in links {
        rustix::fs::symlinkat(to, root, Path::new("dev").join(name)).at(Step::Mount, "/dev")?;
    }
    Ok(())
}

fn make_etc(root: &OwnedFd) -> Result<(), Failure> {
    make_folders(root, Path::new("etc"))?;
    for (name, text) in ETC {
        make_file(root, &Path::new("etc").join(name), text.as_bytes())?;
    }
    let passwd = format!(
        "root:x:0:0:root:/:/bin/false\nsandbox:x:{INSIDE}:{INSIDE}:sandbox:/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    );
    make_file(root, Path::new("etc/passwd"), passwd.as_bytes())
}

/// Makes `root` the root, and lets go of the host's.
fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    let step = || {
        rustix::process::fchdir(root)?;
        rustix::process::pivot_root(".", ".")?;
        // Both lie at "." now, the host's on top.
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    step().at(Step::Mount, "the new root")
}

/// A /proc of the own process namespace, not yet attached. An ordinary user gets one only while the host's whole /proc is in
/// sight, so it is made before the host's root goes; where the host's is partly covered (in containers) there is none.
fn make_proc() -> Result<Option<OwnedFd>, Failure> {
    let make = || {
        let fs = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&fs)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    match make() {
        Err(Errno::PERM | Errno::ACCESS) => Ok(None),
        other => other.map(Some).at(Step::Mount, "/proc"),
    }
}

/// Covers what of /proc is the host's own business.
fn hide(root: &OwnedFd) -> Result<(), Failure> {
    let exists = |path: &Path| {
        rustix::fs::accessat(
            root,
            path,
            rustix::fs::Access::EXISTS,
            rustix::fs::AtFlags::empty(),
        )
        .is_ok()
    };
    for name in HIDDEN_FILES {
        let path = Path::new("proc").join(name);
        if exists(&path) {
            attach(
                &open_tree("/dev/null").at(Step::Source, "/dev/null")?,
                root,
                &path,
            )?;
        }
    }
    let mut empty = None;
    for name in HIDDEN_FOLDERS {
        let path = Path::new("proc").join(name);
        if !exists(&path) {
            continue;
        }
        let tree = match &empty {
            None => {
                let tree = tmpfs("555", 4096, 1)?;
                sys::set_mount(&tree, false, attribute::READ_ONLY).at(Step::Mount, "an empty folder")?;
                tree
            }
            Some(first) => open_tree(first).at(Step::Source, "an empty folder")?,
        };
        attach(&tree, root, &path)?;
        empty.get_or_insert_with(|| format!("/proc/{name}"));
    }
    Ok(())
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn make_folders(root: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let mut so_far = std::path::PathBuf::new();
    for part in path.components() {
        if let Component::Normal(part) = part {
            so_far.push(part);
            match rustix::fs::mkdirat(root, &so_far, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                other => other.at(Step::Mount, format!("/{}", so_far.display()))?,
            }
        }
    }
    Ok(())
}

/// Makes a file, unless it exists (a mount point inside another mount).
fn make_file(root: &OwnedFd, path: &Path, content: &[u8]) -> Result<(), Failure> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let name = || format!("/{}", path.display());
    match rustix::fs::openat(root, path, flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => std::fs::File::from(file)
            .write_all(content)
            .at(Step::Mount, name()),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).at(Step::Mount, name()),
    }
}
