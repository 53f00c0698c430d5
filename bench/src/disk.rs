//! The physical limit of a durable write: an append and one `fdatasync`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// `f_type` of a file system in memory.
const TMPFS: u64 = 0x0102_1994;

/// A file that is appended to and synced.
pub struct Sync {
    file: File,
    bytes: Vec<u8>,
}

/// A file in `folder` to which `bytes` at a time will be appended.
///
/// # Errors
/// When it cannot be made.
pub fn write_and_sync(folder: &Path, bytes: usize) -> Result<Sync> {
    let path = folder.join("raw");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(Sync {
        file,
        bytes: vec![0x5a; bytes],
    })
}

impl Sync {
    /// Appends once and makes it durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn once(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.file.write_all(&self.bytes)?;
        self.file.sync_data()?;
        Ok(started.elapsed())
    }
}

/// Whether a folder lies on a disk or in memory: `fdatasync` costs nothing in memory, and figures of one are none of the other.
///
/// # Errors
/// When the folder is not there.
pub fn file_system(folder: &Path) -> Result<&'static str> {
    let found = rustix::fs::statfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let is_memory = u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS);
    Ok(if is_memory { "tmpfs" } else { "disk" })
}
