//! A folder's content, packed into a blob, and a blob unpacked into a folder.
//!
//! The packed form is a tar archive of the files in the order of their names, with nothing in it that two machines could see
//! differently: no times, no owners, two modes. So one content has one archive and one name, and any tar unpacks it.

use std::fs;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aloft_base::hex;
use aloft_store::blobs::{Blob, BlobId, Blobs, CHUNK_BYTES, Naming, Upload};
use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType, Header};
use tokio::runtime::Handle;

use crate::Error;

/// Lambda's bound of an unpacked function.
pub(crate) const BYTES: u64 = 250 << 20;
pub(crate) const FILES: usize = 20_000;
/// How deep folders may lie in each other.
pub(crate) const DEPTH: usize = 32;

/// One file of a source folder.
struct File {
    /// Relative to the folder, with `/`.
    name: String,
    path: PathBuf,
    is_executable: bool,
}

/// A folder whose files are read.
pub(crate) struct Root<'a> {
    pub(crate) folder: &'a Path,
    /// Where they lie in the content; empty for the top.
    pub(crate) prefix: &'a str,
    /// Names at the top of the folder that are left out.
    pub(crate) without: &'a [&'a str],
    /// Whether files and folders count whose names begin with a dot; tools that build read such settings.
    pub(crate) dots: bool,
}

impl<'a> Root<'a> {
    /// A folder as it becomes code.
    pub(crate) fn code(folder: &'a Path) -> Self {
        Self {
            folder,
            prefix: "",
            without: &[],
            dots: false,
        }
    }
}

/// What is never part of a source: what belongs to version control and to the platform itself.
const NEVER: [&str; 5] = ["__pycache__", ".git", ".hg", ".svn", ".aloft"];

/// A folder's files, in the order of their names, read once.
pub(crate) struct Content {
    folder: PathBuf,
    files: Vec<File>,
    /// The name of the blob that it makes.
    pub(crate) id: BlobId,
}

impl Content {
    /// Reads a folder. What tools leave behind (`__pycache__`, dot files and folders) does not count as content. Blocks.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        Self::of(&[Root::code(folder)])
    }

    /// Reads folders, of which none has what another has. The first one is named in errors. Blocks.
    pub(crate) fn of(roots: &[Root<'_>]) -> Result<Self, Error> {
        let mut files = Vec::new();
        for root in roots {
            let real = fs::canonicalize(root.folder).map_err(Error::io("find", root.folder))?;
            walk(&real, &real, root, 0, &mut files)?;
        }
        let folder = roots.first().map_or(Path::new(""), |root| root.folder);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hash = Hashing(Sha256::new());
        pack(folder, &files, &mut hash)?;
        Ok(Self {
            folder: folder.to_owned(),
            files,
            id: BlobId::Content(hash.0.finalize().into()),
        })
    }

    /// Writes the archive into a new file. Blocks.
    pub(crate) fn write(&self, to: &Path) -> Result<(), Error> {
        let file = fs::File::create_new(to).map_err(Error::io("make", to))?;
        let mut file = BufWriter::with_capacity(CHUNK_BYTES, file);
        pack(&self.folder, &self.files, &mut file)?;
        file.flush().map_err(Error::io("write", to))
    }

    /// Makes the content a blob, whose bytes are what was read: a file that has changed since is an error. Blocks.
    pub(crate) fn upload(&self, blobs: &dyn Blobs, runtime: &Handle) -> Result<(), Error> {
        let upload = runtime.block_on(blobs.begin())?;
        let mut to = BufWriter::with_capacity(CHUNK_BYTES, Uploading { runtime, upload });
        pack(&self.folder, &self.files, &mut to)?;
        let to = to
            .into_inner()
            .map_err(|error| packing(&self.folder)(error.into_error()))?;
        let stored = runtime.block_on(to.upload.finish(Naming::Content))?;
        // Nothing refers to what was uploaded instead; the collector removes it.
        (stored.id == self.id).then_some(()).ok_or(Error::Changed {
            path: self.folder.clone(),
        })
    }
}

/// Unpacks a blob into a new folder. Blocks.
pub(crate) fn unpack(blob: Box<dyn Blob>, to: &Path, runtime: &Handle) -> Result<(), Error> {
    let mut archive = Archive::new(Opened::new(blob, runtime));
    archive.set_preserve_mtime(false);
    archive
        .unpack(to)
        .map_err(of_stream(Error::io("unpack a function's code to", to)))
}

/// Writes an archive of the files.
fn pack(folder: &Path, files: &[File], to: &mut dyn Write) -> Result<(), Error> {
    let mut archive = tar::Builder::new(to);
    let mut left = BYTES;
    for file in files {
        let bytes = read(&file.path, &mut left, folder)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(if file.is_executable { 0o755 } else { 0o644 });
        header.set_size(bytes.len() as u64);
        archive
            .append_data(&mut header, &file.name, bytes.as_slice())
            .map_err(packing(folder))?;
    }
    archive.finish().map_err(packing(folder))
}

fn packing(folder: &Path) -> impl FnOnce(io::Error) -> Error {
    of_stream(Error::io("pack", folder))
}

/// What went wrong with a stream: the store's own error if it comes from there.
pub(crate) fn of_stream(otherwise: impl FnOnce(io::Error) -> Error) -> impl FnOnce(io::Error) -> Error {
    move |error| match of_store(&error) {
        Some(of_store) => Error::Store(of_store.clone()),
        None => otherwise(error),
    }
}

/// The store's error within another; `tar` wraps what it is given.
pub(crate) fn of_store(error: &io::Error) -> Option<&aloft_store::Error> {
    let mut at: &(dyn std::error::Error + 'static) = error.get_ref()?;
    loop {
        if let Some(of_store) = at.downcast_ref() {
            return Some(of_store);
        }
        at = match at.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref()?,
            None => at.source()?,
        };
    }
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An upload as a stream for a thread that may block.
struct Uploading<'a> {
    runtime: &'a Handle,
    upload: Box<dyn Upload>,
}

impl Write for Uploading<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.upload.write(Bytes::copy_from_slice(bytes));
        self.runtime.block_on(written).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blob as a file for a thread that may block.
pub(crate) struct Opened<'a> {
    runtime: &'a Handle,
    blob: Box<dyn Blob>,
    /// Where what follows the chunk begins.
    at: u64,
    chunk: Bytes,
}

impl<'a> Opened<'a> {
    pub(crate) fn new(blob: Box<dyn Blob>, runtime: &'a Handle) -> Self {
        Self {
            runtime,
            blob,
            at: 0,
            chunk: Bytes::new(),
        }
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let chunk = self.runtime.block_on(self.blob.read(self.at, CHUNK_BYTES));
            self.chunk = chunk.map_err(io::Error::other)?;
            self.at += self.chunk.len() as u64;
        }
        let length = self.chunk.as_ref().read(to)?;
        self.chunk.advance(length);
        Ok(length)
    }
}

impl Seek for Opened<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let now = self.at - self.chunk.len() as u64;
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => now.checked_add_signed(by),
            SeekFrom::End(by) => self.blob.stored().bytes.checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        match to.checked_sub(now).and_then(|ahead| usize::try_from(ahead).ok()) {
            Some(ahead) if ahead <= self.chunk.len() => self.chunk.advance(ahead),
            _ => {
                self.chunk.clear();
                self.at = to;
            }
        }
        Ok(to)
    }
}

/// Lets everybody read what lies in a folder: a sandbox runs under another user, and the developer's umask may be strict.
pub(crate) fn open_to_all(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io("read the folder", folder))? {
        let entry = entry.map_err(Error::io("read the folder", folder))?;
        let (path, kind) = (
            entry.path(),
            entry.file_type().map_err(Error::io("look at", &entry.path()))?,
        );
        if kind.is_dir() {
            open_to_all(&path)?;
        } else if kind.is_file() {
            let mode = entry
                .metadata()
                .map_err(Error::io("look at", &path))?
                .permissions()
                .mode();
            let mode = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(Error::io("set the mode of", &path))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(Error::io("set the mode of", folder))
}

/// The hash of some texts, none of which can run into the next.
pub(crate) fn hash_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn walk(root: &Path, folder: &Path, of: &Root<'_>, depth: usize, files: &mut Vec<File>) -> Result<(), Error> {
    if depth > DEPTH {
        return Err(Error::TooLarge {
            path: root.to_owned(),
            bound: "32 folders in each other",
        });
    }
    for entry in fs::read_dir(folder).map_err(Error::io("read the folder", folder))? {
        let entry = entry.map_err(Error::io("read the folder", folder))?;
        let path = entry.path();
        let name = entry.file_name();
        let is_hidden = !of.dots && name.to_string_lossy().starts_with('.');
        let is_left_out = depth == 0 && of.without.iter().any(|left| name == *left);
        if is_hidden || is_left_out || NEVER.iter().any(|never| name == *never) {
            continue;
        }
        // A link counts as what it points to, as long as that lies within the folder.
        let real = fs::canonicalize(&path).map_err(Error::io("follow", &path))?;
        if !real.starts_with(root) {
            return Err(Error::Link { path });
        }
        let about = fs::metadata(&path).map_err(Error::io("look at", &path))?;
        if about.is_dir() {
            walk(root, &path, of, depth + 1, files)?;
        } else if about.is_file() {
            if files.len() == FILES {
                return Err(Error::TooLarge {
                    path: root.to_owned(),
                    bound: "20,000 files",
                });
            }
            let relative = path.strip_prefix(root).unwrap_or(&path);
            files.push(File {
                name: Path::new(of.prefix).join(relative).to_string_lossy().into_owned(),
                path,
                is_executable: about.permissions().mode() & 0o111 != 0,
            });
        }
    }
    Ok(())
}

fn read(path: &Path, left: &mut u64, folder: &Path) -> Result<Vec<u8>, Error> {
    let file = fs::File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    // One byte more than is left shows that there is too much.
    file.take(*left + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| Error::TooLarge {
            path: folder.to_owned(),
            bound: "250 MB",
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_names_bytes_and_modes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let id = || Content::read(folder.path()).unwrap().id;
        write("a.py", "1");
        let first = id();
        write(".hidden", "x");
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        write("__pycache__/a.pyc", "x");
        assert_eq!(id(), first);
        write("a.py", "2");
        let second = id();
        assert_ne!(second, first);
        fs::set_permissions(folder.path().join("a.py"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(id(), second);
    }

    #[test]
    fn links_that_leave_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link")).unwrap();
        assert!(matches!(Content::read(folder.path()), Err(Error::Link { .. })));
    }
}
