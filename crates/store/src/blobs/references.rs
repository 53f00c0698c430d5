//! References: rows under the platform's id 2, the blob's name and then the holder's. Whether anything names a blob is one short
//! scan, in every engine; nobody writes a row that another holder writes.

use aloft_codec::Writer;

use super::BlobId;
use crate::layout::Id;
use crate::{Batch, Direction, Error, Key, KeyRange, Snapshot};

/// Where references lie.
const REFERENCES: Id = Id::platform(2);
const FORMAT: u8 = 1;

/// Adds to a batch that `holder` needs the blob. A holder is whatever its service can find again: a function's version, an object's key.
/// To refer twice is to refer once.
///
/// # Errors
/// When the holder's name does not fit into a key.
pub fn refer(batch: Batch, id: BlobId, holder: &[u8]) -> Result<Batch, Error> {
    Ok(batch.put(key(id, holder)?, Writer::new(FORMAT).finish()))
}

/// Adds to a batch that `holder` needs the blob no longer.
///
/// # Errors
/// When the holder's name does not fit into a key.
pub fn release(batch: Batch, id: BlobId, holder: &[u8]) -> Result<Batch, Error> {
    Ok(batch.delete(key(id, holder)?))
}

/// Whether anything needs the blob.
///
/// # Errors
/// When the store cannot be read.
pub async fn is_referred(snapshot: &dyn Snapshot, id: BlobId) -> Result<bool, Error> {
    let page = snapshot.scan(&all(id), Direction::Forward, 1).await?;
    Ok(!page.entries.is_empty())
}

fn all(id: BlobId) -> KeyRange {
    REFERENCES.prefix(&id.to_bytes())
}

fn key(id: BlobId, holder: &[u8]) -> Result<Key, Error> {
    REFERENCES.key(&[&id.to_bytes(), holder].concat())
}
