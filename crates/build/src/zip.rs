//! Zips as they are handed in: looked through before one is kept, and unpacked for a node. Both go over it in the same way, so what
//! was taken in can be unpacked.
//!
//! A zip comes from outside, and every number in it may be a lie. What counts is what is read: at most 250 MiB of content, 20,000
//! entries, and a directory of 8 MiB, whatever sizes are declared. Names stay below the folder, by their parts and not by what
//! they resolve to; nothing lies below a link, so nothing is written through one; a link points to something below the folder and
//! not through another link, where `..` would mean something else to the kernel than to us.
//!
//! Of the mode counts whether a file may be executed, as in every artifact. A zip from Windows tells no modes, and its names may
//! have backslashes; then no file is executable, as on Lambda.
//!
//! Read by the crate `zip`, with deflate by `zlib-rs`. Its own `extract` checks against what lies on the disk already and
//! trusts declared sizes; we need the answer before there is a folder.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ::zip::read::ZipFile;
use ::zip::result::ZipError as Refusal;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::Error;
use crate::artifact::{BYTES, DEPTH, FILES, of_store, of_stream};

/// Bytes that the list of entries may have: 400 for each.
const DIRECTORY_BYTES: u64 = 8 << 20;
/// The longest name of an entry, in bytes.
const NAME_BYTES: usize = 1_024;
/// The longest name of one file or folder: what file systems take.
const PART_BYTES: usize = 255;

/// The longest target of a link: what Linux takes.
const TARGET_BYTES: u64 = 4_095;

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// Why a zip is refused.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// It cannot be read as a zip.
    #[error("the file is not a zip that can be read: {0}")]
    Unreadable(String),
    /// It holds nothing.
    #[error("the zip is empty")]
    Empty,
    /// It holds more than a function may.
    #[error("the zip holds more than {0}")]
    TooLarge(&'static str),
    /// An entry has a name that would leave the folder, or that no file can have.
    #[error("the zip's entry \"{name}\" {why}")]
    Entry {
        /// Its name, escaped.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry's content is damaged.
    #[error("the zip's entry \"{name}\" cannot be unpacked: {reason}")]
    Damaged {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
}

/// What lies in a zip that was looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Bytes of all files, unpacked.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: usize,
}

/// Where what is read goes.
trait Sink {
    fn folder(&mut self, name: &str) -> Result<(), Error>;
    fn file(&mut self, name: &str, is_executable: bool, content: &mut dyn Read) -> Result<(), Error>;
    fn link(&mut self, name: &str, target: &str) -> Result<(), Error>;
}

/// Reads all of a zip and keeps nothing. Blocks.
///
/// # Errors
/// [`Error::Zip`] if it is refused, else what reading it failed with.
pub(crate) fn look_through(zip: impl Read + Seek) -> Result<Looked, Error> {
    walk(zip, &mut Nowhere)
}

/// Unpacks a zip into a new folder. Blocks. On an error the folder may hold a part of it.
///
/// # Errors
/// As [`look_through`], and what writing failed with.
pub(crate) fn unpack(zip: impl Read + Seek, to: &Path) -> Result<Looked, Error> {
    fs::create_dir_all(to).map_err(Error::io("make the folder", to))?;
    walk(zip, &mut Under(to))
}

/// A zip with one file, stored as it is: the same bytes for the same content, whatever packs them.
pub(crate) fn of_one(name: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(content.len() + NAME_BYTES)));
    let written = zip
        .start_file(name, options)
        .and_then(|()| Ok(zip.write_all(content)?))
        .and_then(|()| zip.finish());
    let zip = written.map_err(|refusal| ZipError::Unreadable(refusal.to_string()))?;
    Ok(zip.into_inner())
}

struct Nowhere;

impl Sink for Nowhere {
    fn folder(&mut self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn file(&mut self, name: &str, _: bool, content: &mut dyn Read) -> Result<(), Error> {
        let read = io::copy(content, &mut io::sink());
        read.map(drop).map_err(Error::io("read", Path::new(name)))
    }

    fn link(&mut self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

struct Under<'a>(&'a Path);

impl Under<'_> {
    /// Makes the folders above a name.
    fn place(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.0.join(name);
        let above = path.parent().unwrap_or(self.0);
        fs::create_dir_all(above).map_err(Error::io("make the folder", above))?;
        Ok(path)
    }
}

impl Sink for Under<'_> {
    fn folder(&mut self, name: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(Error::io("make the folder", &path))
    }

    fn file(&mut self, name: &str, is_executable: bool, content: &mut dyn Read) -> Result<(), Error> {
        let path = self.place(name)?;
        let mut write = || {
            let mode = if is_executable { 0o755 } else { 0o644 };
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).mode(mode).open(&path)?;
            let mut file = BufWriter::with_capacity(64 << 10, file);
            io::copy(content, &mut file)?;
            file.flush()
        };
        write().map_err(Error::io("write", &path))
    }

    fn link(&mut self, name: &str, target: &str) -> Result<(), Error> {
        let path = self.place(name)?;
        symlink(target, &path).map_err(Error::io("make the link", &path))
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File { index: usize, is_executable: bool },
    Link(String),
}

/// What a zip holds by its directory, every name checked.
#[derive(Default)]
struct Listing(BTreeMap<String, Kind>);

fn walk<R: Read + Seek>(zip: R, sink: &mut dyn Sink) -> Result<Looked, Error> {
    let left = Rc::new(Cell::new(DIRECTORY_BYTES));
    let budget = Budget {
        inner: zip,
        left: left.clone(),
    };
    let mut archive = ZipArchive::new(budget).map_err(|refusal| match refusal {
        Refusal::Io(error) if of_store(&error).is_none() => ZipError::Unreadable(error.to_string()).into(),
        Refusal::Io(error) => of_stream(Error::io("read", Path::new("a zip")))(error),
        other => ZipError::Unreadable(other.to_string()).into(),
    })?;
    left.set(u64::MAX);
    let listing = Listing::read(&mut archive)?;
    let mut files = Vec::new();
    for (name, kind) in &listing.0 {
        match kind {
            Kind::Folder => sink.folder(name)?,
            Kind::Link(_) => {}
            Kind::File { index, is_executable } => files.push((*index, name, *is_executable)),
        }
    }
    // In the order in which they lie in the zip, which is read once from its beginning to its end.
    files.sort_unstable();
    let mut bytes = 0;
    for (index, name, is_executable) in files {
        let entry = archive.by_index(index).map_err(damaged(name))?;
        let mut content = Content {
            inner: entry,
            left: BYTES - bytes,
            failed: None,
        };
        let taken = sink.file(name, is_executable, &mut content);
        bytes = BYTES - content.left;
        match content.failed {
            Some(error) => return Err(failed(name, error)),
            None => taken?,
        }
    }
    // Links last: nothing is written through one.
    for (name, kind) in &listing.0 {
        if let Kind::Link(target) = kind {
            sink.link(name, target)?;
        }
    }
    Ok(Looked {
        bytes,
        entries: listing.0.len(),
    })
}

impl Listing {
    fn read<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Self, Error> {
        let mut listing = Self::default();
        if archive.is_empty() {
            return Err(ZipError::Empty.into());
        }
        // Of entries with one name the directory keeps the last, and a tool that unpacks another one sees another function.
        if archive.has_duplicate_names() {
            return Err(ZipError::Unreadable("two entries have the same name".to_owned()).into());
        }
        for index in 0..archive.len() {
            let number = format!("number {index}");
            let entry = archive.by_index_data(index).map_err(damaged(&number))?;
            let raw = entry.name().map_err(damaged(&number))?.into_owned();
            let mode = entry.unix_mode().unwrap_or(REGULAR);
            let name = plain(&raw)?;
            let kind = match mode & KIND {
                FOLDER => Kind::Folder,
                _ if raw.ends_with(['/', '\\']) => Kind::Folder,
                LINK => {
                    let mut entry = archive.by_index(index).map_err(damaged(&raw))?;
                    Kind::Link(target(&raw, &mut entry)?)
                }
                REGULAR | 0 => Kind::File {
                    index,
                    is_executable: mode & 0o111 != 0,
                },
                _ => return Err(wrong(&raw, "is neither a file nor a folder nor a link")),
            };
            listing.add(name, kind, &raw)?;
        }
        for (name, kind) in &listing.0 {
            if let Kind::Link(target) = kind {
                listing.check_link(name, target)?;
            }
        }
        Ok(listing)
    }

    fn add(&mut self, name: String, kind: Kind, raw: &str) -> Result<(), Error> {
        // The folder itself, which some tools list as `./`.
        if name.is_empty() {
            let is_folder = kind == Kind::Folder;
            return is_folder.then_some(()).ok_or_else(|| wrong(raw, "has no name"));
        }
        for (end, _) in name.match_indices('/') {
            let above = name.get(..end).unwrap_or_default();
            match self.0.get(above) {
                Some(Kind::Folder) => {}
                Some(_) => return Err(wrong(raw, "lies below what is no folder")),
                None => self.insert(above.to_owned(), Kind::Folder)?,
            }
        }
        match self.0.get(&name) {
            Some(Kind::Folder) if kind == Kind::Folder => Ok(()),
            Some(_) => Err(wrong(raw, "is there twice")),
            None => self.insert(name, kind),
        }
    }

    fn insert(&mut self, name: String, kind: Kind) -> Result<(), Error> {
        if self.0.len() == FILES {
            return Err(ZipError::TooLarge("20,000 files, folders and links").into());
        }
        self.0.insert(name, kind);
        Ok(())
    }

    fn check_link(&self, name: &str, target: &str) -> Result<(), Error> {
        check_link(name, target, |at| matches!(self.0.get(at), Some(Kind::Link(_))))
    }
}

/// Follows the target of the link `name` by its parts, below a folder of which `is_link` says what is a link: it stays there, and goes
/// through no other link, where `..` would mean something else to the kernel than to us.
pub(crate) fn check_link(name: &str, target: &str, is_link: impl Fn(&str) -> bool) -> Result<(), Error> {
    let mut at: Vec<&str> = name.split('/').collect();
    at.pop();
    if target.starts_with('/') {
        return Err(wrong(name, "is a link that leaves the function's folder"));
    }
    let mut is_through = false;
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if is_through {
            return Err(wrong(name, "is a link that goes through another link"));
        }
        if part == ".." {
            at.pop()
                .ok_or_else(|| wrong(name, "is a link that leaves the function's folder"))?;
        } else {
            at.push(part);
            is_through = is_link(&at.join("/"));
        }
    }
    Ok(())
}

/// A name by its parts, without empty ones and `.`; of the folder itself it is empty.
fn plain(raw: &str) -> Result<String, Error> {
    // Tools on Windows have written these for decades.
    let name = raw.replace('\\', "/");
    if name.starts_with('/') {
        return Err(wrong(raw, "has an absolute name"));
    }
    if name.len() > NAME_BYTES || name.contains('\0') {
        return Err(wrong(raw, "has a name that no file can have"));
    }
    let mut parts = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(wrong(raw, "leaves the function's folder")),
            _ if part.len() > PART_BYTES => return Err(wrong(raw, "has a name that no file can have")),
            _ => parts.push(part),
        }
    }
    if parts.len() > DEPTH {
        return Err(wrong(raw, "lies in more than 32 folders"));
    }
    Ok(parts.join("/"))
}

/// Where a link points to. Such an entry's content is the target.
fn target<R: Read + Seek>(name: &str, entry: &mut ZipFile<'_, R>) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let read = entry.take(TARGET_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(name, error))?;
    let target = String::from_utf8(bytes).ok();
    target
        .filter(|target| !target.is_empty() && target.len() as u64 <= TARGET_BYTES && !target.contains('\0'))
        .ok_or_else(|| wrong(name, "is a link to what can have no name"))
}

fn wrong(name: &str, why: &'static str) -> Error {
    let name = shown(name);
    ZipError::Entry { name, why }.into()
}

fn shown(name: &str) -> String {
    name.chars().take(200).flat_map(char::escape_default).collect()
}

fn damaged(name: &str) -> impl FnOnce(Refusal) -> Error {
    |refusal| match refusal {
        Refusal::Io(error) => failed(name, error),
        other => ZipError::Damaged {
            name: shown(name),
            reason: other.to_string(),
        }
        .into(),
    }
}

/// What it means that an entry could not be read.
fn failed(name: &str, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return ZipError::TooLarge("250 MiB").into();
    }
    let damaged = |error: io::Error| {
        ZipError::Damaged {
            name: shown(name),
            reason: error.to_string(),
        }
        .into()
    };
    of_stream(damaged)(error)
}

/// What the list of entries is read through: it ends when there is more than it may have.
struct Budget<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budget<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other("its list of entries is longer than 8 MiB"))?);
        Ok(read)
    }
}

impl<R: Seek> Seek for Budget<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// An entry's content, which counts what is read and keeps why it ended.
struct Content<R> {
    inner: R,
    left: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to).and_then(|read| {
            self.left = self
                .left
                .checked_sub(read as u64)
                .ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(read)
        });
        read.map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            self.failed = Some(error);
            io::Error::other("the zip cannot be read further")
        })
    }
}

#[cfg(test)]
mod tests;
