//! From a request's path to an opened file, and never outside the folder.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

const INDEX: &str = "index.html";

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found {
    File {
        file: File,
        metadata: Box<Metadata>,
        name: String,
    },
    NeedsSlash,
    Nothing,
}

/// The parts of a path within the folder, if all of them may be names of files; a trailing slash adds none.
pub(crate) fn names(path: &[Cow<'_, str>]) -> Option<Vec<String>> {
    let path = match path.split_last() {
        Some((last, rest)) if last.is_empty() => rest,
        _ => path,
    };
    path.iter()
        .map(|name| may_be_served(name).then(|| name.to_string()))
        .collect()
}

fn may_be_served(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(|c: char| c.is_control() || c == '/' || c == '\\')
}

/// Opens the file, or the index of the folder when the path ends with a slash.
pub(crate) fn find(root: &Path, names: &[String], is_folder: bool) -> io::Result<Found> {
    let path: PathBuf = root.iter().chain(names.iter().map(AsRef::as_ref)).collect();
    let Some((file, metadata)) = open(root, &path)? else {
        return Ok(Found::Nothing);
    };
    if metadata.is_dir() {
        return Ok(match open(root, &path.join(INDEX))? {
            Some((_, metadata)) if !metadata.is_file() => Found::Nothing,
            Some((file, metadata)) if is_folder => Found::File {
                file,
                metadata,
                name: INDEX.to_owned(),
            },
            Some(_) => Found::NeedsSlash,
            None => Found::Nothing,
        });
    }
    match names.last() {
        Some(name) if metadata.is_file() && !is_folder => Ok(Found::File {
            file,
            metadata,
            name: name.clone(),
        }),
        _ => Ok(Found::Nothing),
    }
}

/// Opens what lies in the folder; nothing when it is not there, lies elsewhere, is hidden or may not be read.
fn open(root: &Path, path: &Path) -> io::Result<Option<(File, Box<Metadata>)>> {
    // Without NONBLOCK a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO) => {
            return Ok(None);
        }
        Err(error @ (Errno::ACCESS | Errno::PERM)) => {
            tracing::warn!(path = %path.display(), %error, "a file is not served");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let Ok(inner) = real.strip_prefix(root) else {
        return Ok(None);
    };
    let is_hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    if inner.components().any(is_hidden) {
        return Ok(None);
    }
    let metadata = file.metadata()?;
    Ok(Some((file, Box::new(metadata))))
}

/// Reads a file, at most `limit` bytes of it.
pub(crate) fn read(file: &mut File, limit: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
