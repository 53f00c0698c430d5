//! A small disk that can be filled: a tmpfs in a mount namespace of this run, so that nobody else sees it and it goes with it.
//!
//! Root may mount by itself. A normal user gets a user namespace for it, in which they keep their id and have the right to mount;
//! that right is given up before anything else starts. The namespaces come from `unshare`, since entering them takes a process
//! with one thread.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Set for the process inside.
pub(crate) const INSIDE: &str = "ALOFT_TORTURE_INSIDE";

/// Runs this program again in a mount namespace of its own, and ends as it does. The process inside has a pipe from this one as
/// its input: when it closes, however that happens, it ends too (see `main`).
pub(crate) fn enter() -> Result<ExitCode> {
    let itself = std::env::current_exe().context("cannot find this program")?;
    let is_root = std::fs::metadata("/proc/self")?.uid() == 0;
    let mut command = Command::new("unshare");
    if !is_root {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--mount", "--"]).arg(itself);
    let mut inside = command
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start `unshare` of util-linux")?;
    // Waiting would close it otherwise.
    let _open = inside.stdin.take();
    let status = inside.wait()?;
    Ok(ExitCode::from(
        u8::try_from(status.code().unwrap_or(1)).unwrap_or(1),
    ))
}

/// The small disk.
pub(crate) struct Disk {
    folder: PathBuf,
    bytes: u64,
}

impl Disk {
    /// Mounts it at `folder`, which is made, and gives up the right to mount.
    pub(crate) fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let options = std::ffi::CString::new(format!("size={bytes},mode=755"))?;
        mount(
            "none",
            folder,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )
        .context("cannot mount a tmpfs in a namespace of this run")?;
        rustix::thread::clear_ambient_capability_set().context("cannot give up the right to mount")?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        Ok(Self {
            folder: folder.into(),
            bytes,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How much of it is taken.
    pub(crate) fn used(&self) -> Result<u64> {
        let now = statvfs(&self.folder)?;
        Ok(self.bytes.saturating_sub(now.f_bavail * now.f_frsize))
    }

    /// Takes all that is left, to the last page; once more, what has become free since.
    pub(crate) fn fill(&self) -> Result<()> {
        let file = File::options().create(true).append(true).open(self.filler())?;
        let mut at = file.metadata()?.len();
        let mut piece = self.bytes;
        while piece >= 4_096 {
            match fallocate(&file, FallocateFlags::empty(), at, piece) {
                Ok(()) => at += piece,
                Err(rustix::io::Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("cannot fill the small disk"),
            }
        }
        Ok(())
    }

    /// Gives it back.
    pub(crate) fn free(&self) -> Result<()> {
        std::fs::remove_file(self.filler()).context("cannot free the small disk")
    }

    /// Where the room goes.
    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Else the folder around it could not be removed.
        if let Err(error) = unmount(&self.folder, UnmountFlags::DETACH) {
            eprintln!("torture: cannot unmount {}: {error}", self.folder.display());
        }
    }
}
