//! Strong entity tags: half a SHA-256 of the content. Not size and time, as servers often take: two edits within one tick of
//! the kernel's clock would look the same, and a copy with the same content would look new.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aloft_base::{Timestamp, hex};
use sha2::{Digest, Sha256};

/// Tags that are remembered; then all are forgotten and made anew.
const MOST: usize = 4_096;
/// A file changed less than this long ago may change again without its times telling.
const SETTLED: Duration = Duration::from_secs(2);

/// The tags of large files.
#[derive(Debug, Default)]
pub(crate) struct Tags(Mutex<HashMap<(u64, u64), (Stamp, String)>>);

/// Changes when the content does, once it has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Tags {
    /// The tag of an open file, which is read unless it is known. Leaves the file at its beginning.
    pub(crate) fn of_file(&self, file: &mut File, metadata: &Metadata, now: Timestamp) -> io::Result<String> {
        let key = (metadata.dev(), metadata.ino());
        let stamp = Stamp {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        if let Some((known, tag)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && *known == stamp
        {
            return Ok(tag.clone());
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = file.read(&mut buffer)?;
            match buffer.get(..count) {
                None | Some([]) => break,
                Some(piece) => hash.update(piece),
            }
        }
        file.rewind()?;
        let tag = quoted(&hash.finalize());
        let changed = u64::try_from(metadata.ctime().max(metadata.mtime()))
            .unwrap_or(0)
            .saturating_mul(1_000);
        if now.since(Timestamp::from_millis(changed)) >= SETTLED {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(key, (stamp, tag.clone()));
        }
        Ok(tag)
    }
}

/// The tag of these bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    quoted(&Sha256::digest(bytes))
}

fn quoted(hash: &[u8]) -> String {
    let hex: String = hex(hash).chars().take(32).collect();
    format!("\"{hex}\"")
}
