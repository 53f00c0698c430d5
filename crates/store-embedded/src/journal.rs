//! The end of fjall's journal, as a power cut may leave it.
//!
//! A group is written to the journal as one batch and synced. When the power fails in between, any pages of it may be on the
//! disk and any others not: the file has its full length beforehand, so what is missing reads as zeros. fjall 3.1.13 drops a
//! batch whose end is missing, but refuses to open when the end is there and the middle is not ("`ChecksumMismatch`"). Nobody
//! was answered for that batch, so it is cut off before fjall looks.
//!
//! Only the newest journal can end so, because fjall syncs a journal before it begins the next, and only its last batch can be
//! torn, because a group is synced before the next is written. A whole batch behind a torn one therefore means that the disk
//! lost what it had confirmed. That is told, and nothing is cut: fjall itself would mostly drop both without a word.
//!
//! What lies behind a torn place may be what users stored, and what users store may look like a batch. So each group begins
//! with an item that nobody outside can make: its value is the folder's mark, 128 bits of chance that never leave it. Nothing
//! else is taken for a batch there.
//!
//! The format is private to fjall (`src/journal/entry.rs` there), so the workspace pins its exact version. A batch is:
//!
//! | entry | bytes, little-endian |
//! |---|---|
//! | start | 1, count of items `u32`, sequence number `u64` |
//! | item | 2, kind `u8`, compression `u8`, keyspace `u64`, bytes of the key `u16`, of the value `u32`, of the value here `u32`, key, value |
//! | clear | 4, keyspace `u64` |
//! | end | 3, XXH3 of all items and clears `u64`, "FJL", 3 |

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use aloft_store::Error;
use aloft_store::folder::io;
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;
const TRAILER: &[u8] = b"FJL\x03";

/// What lies at a place in a journal.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// A batch with all of its bytes.
    Whole,
    /// The beginning of a batch, but not all of it.
    Torn,
    /// No beginning of a batch, or the end of the file.
    Nothing,
}

/// The key of the item that begins each group: among the store's facts.
pub(crate) const MARK_KEY: &[u8] = &[0, b'm'];
/// What stands under it; see the file's head.
pub(crate) type Mark = [u8; 16];

/// Cuts a torn batch off the newest journal in fjall's folder.
pub(crate) fn cut_torn_end(tree: &Path, mark: &Mark) -> Result<(), Error> {
    let Some(path) = newest(tree)? else {
        return Ok(());
    };
    let mut journal = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io("open the journal", &path))?;
    let (at, found) = end(&mut journal).map_err(io("read the journal", &path))?;
    let next = whole_after(&mut journal, at, mark).map_err(io("read the journal", &path))?;
    if let Some(next) = next {
        return Err(Error::Io {
            what: format!("cannot open the journal {}", path.display()),
            reason: format!(
                "it is damaged at byte {at} and goes on whole at byte {next}: the disk has lost what it had confirmed; \
                 restore the data folder from a copy"
            ),
        });
    }
    if found == Found::Torn {
        let name = path.display();
        tracing::info!(journal = %name, at, "the last group is not wholly on the disk, as a power cut leaves it; nobody was answered for it");
        let cut = journal.set_len(at).and_then(|()| journal.sync_all());
        cut.map_err(io("cut the torn end off the journal", &path))?;
    }
    Ok(())
}

/// The journal with the highest number.
fn newest(tree: &Path) -> Result<Option<PathBuf>, Error> {
    let mut newest = None;
    for entry in std::fs::read_dir(tree).map_err(io("read the folder", tree))? {
        let path = entry.map_err(io("read the folder", tree))?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the whole batches end, and what lies there.
fn end(journal: &mut File) -> std::io::Result<(u64, Found)> {
    let mut reader = BufReader::with_capacity(CHUNK, journal);
    loop {
        let at = reader.stream_position()?;
        let found = batch(&mut reader)?;
        if found != Found::Whole {
            return Ok((at, found));
        }
    }
}

/// Where a whole batch begins behind a place where none does.
fn whole_after(journal: &mut File, at: u64, mark: &Mark) -> std::io::Result<Option<u64>> {
    let mut begin = journal.seek(SeekFrom::Start(at))?;
    let mut rest = Vec::new();
    // The length is there beforehand, so mostly nothing but zeros follows: they are not kept.
    while rest.iter().all(|byte| *byte == 0) {
        begin += rest.len() as u64;
        rest.clear();
        if Read::take(&mut *journal, CHUNK as u64).read_to_end(&mut rest)? == 0 {
            return Ok(None);
        }
    }
    journal.read_to_end(&mut rest)?;
    for skipped in 0..rest.len() {
        let mut here = rest.get(skipped..).unwrap_or_default();
        if is_marked(here, mark) && batch(&mut here)? == Found::Whole {
            return Ok(Some(begin + skipped as u64));
        }
    }
    Ok(None)
}

/// Whether a batch that begins here begins with the mark. What does not is not looked at further, so the search takes time in
/// proportion to what it searches.
fn is_marked(mut here: &[u8], mark: &Mark) -> bool {
    let mut read = || -> std::io::Result<bool> {
        let here = &mut here;
        let ([tag], count, _sequence) = (take::<1>(here)?, take::<4>(here)?, take::<8>(here)?);
        let [item, .., k0, k1, _, _, _, _, v0, v1, v2, v3] = take::<21>(here)?;
        let key = usize::from(u16::from_le_bytes([k0, k1]));
        let value = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        Ok(tag == START
            && item == ITEM
            && count != [0; 4]
            && (key, value) == (MARK_KEY.len(), mark.len())
            && take::<2>(here)? == MARK_KEY
            && take::<16>(here)? == *mark)
    };
    // Too short for it.
    read().unwrap_or(false)
}

/// Reads one batch. After [`Found::Whole`] the reader stands behind it, otherwise anywhere.
fn batch(reader: &mut impl Read) -> std::io::Result<Found> {
    let is_start = |tag: [u8; 1]| tag == [START];
    match take::<1>(reader).map(is_start) {
        Ok(true) => {}
        Ok(false) => return Ok(Found::Nothing),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    match is_whole(reader) {
        Ok(true) => Ok(Found::Whole),
        Ok(false) => Ok(Found::Torn),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Found::Torn),
        Err(error) => Err(error),
    }
}

/// Whether what follows the start's first byte is the rest of a batch.
fn is_whole(reader: &mut impl Read) -> std::io::Result<bool> {
    let count = u32::from_le_bytes(take(reader)?);
    let _sequence = take::<8>(reader)?;
    let mut sum = Xxh3::new();
    for _ in 0..count {
        let tag = take::<1>(reader)?;
        sum.update(&tag);
        match tag {
            [ITEM] => {
                let head @ [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = take::<20>(reader)?;
                sum.update(&head);
                let key = u64::from(u16::from_le_bytes([k0, k1]));
                let value = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
                hash(reader, key + value, &mut sum)?;
            }
            [CLEAR] => sum.update(&take::<8>(reader)?),
            _ => return Ok(false),
        }
    }
    Ok(take::<1>(reader)? == [END]
        && take::<8>(reader)? == sum.digest().to_le_bytes()
        && take::<4>(reader)? == TRAILER)
}

/// Adds the next bytes to a sum.
fn hash(reader: &mut impl Read, mut bytes: u64, sum: &mut Xxh3) -> std::io::Result<()> {
    let mut buffer = [0; 8 << 10];
    while bytes > 0 {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..most).unwrap_or_default();
        reader.read_exact(part)?;
        sum.update(part);
        bytes -= most as u64;
    }
    Ok(())
}

fn take<const N: usize>(reader: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
