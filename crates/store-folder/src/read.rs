//! A blob that is read. The open file stays whole when its name is removed.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aloft_store::Error;
use aloft_store::blobs::{Blob, BlobId, CHUNK_BYTES, Stored};
use aloft_store::folder::io;
use async_trait::async_trait;
use bytes::Bytes;

use crate::folder::blocking;
use crate::form::{Tail, content_of, sum};

const CHUNK: u64 = CHUNK_BYTES as u64;

pub(crate) struct Reading(Arc<Opened>);

struct Opened {
    id: BlobId,
    path: PathBuf,
    file: File,
    tail: Tail,
}

/// Opens a blob and checks what stands behind its content. Blocks.
pub(crate) fn open(id: BlobId, path: PathBuf) -> Result<Reading, Error> {
    let file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::NoBlob(id),
        _ => io("open", &path)(error),
    })?;
    let length = file.metadata().map_err(io("look at", &path))?.len();
    let content = content_of(length).ok_or_else(|| wrong(&path, "it is shorter than any blob"))?;
    let mut bytes = vec![0; usize::try_from(length - content).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, content)
        .map_err(io("read", &path))?;
    let tail = Tail::decode(&bytes, length).map_err(|reason| wrong(&path, reason))?;
    if matches!(id, BlobId::Content(hash) if hash != tail.digest) {
        return Err(wrong(&path, "it holds another content than its name says"));
    }
    Ok(Reading(Arc::new(Opened { id, path, file, tail })))
}

#[async_trait]
impl Blob for Reading {
    fn stored(&self) -> Stored {
        let Tail { bytes, digest, .. } = self.0.tail;
        Stored {
            id: self.0.id,
            bytes,
            digest,
        }
    }

    async fn read(&self, at: u64, most: usize) -> Result<Bytes, Error> {
        if at >= self.0.tail.bytes || most == 0 {
            return Ok(Bytes::new());
        }
        let opened = self.0.clone();
        let chunk = blocking(move || opened.chunk(at / CHUNK)).await?;
        let from = usize::try_from(at % CHUNK).unwrap_or(usize::MAX).min(chunk.len());
        Ok(chunk.slice(from..chunk.len().min(from.saturating_add(most))))
    }
}

impl Opened {
    /// A whole chunk, checked.
    fn chunk(&self, number: u64) -> Result<Bytes, Error> {
        let begin = number * CHUNK;
        let length = self.tail.bytes.saturating_sub(begin).min(CHUNK);
        let mut chunk = vec![0; usize::try_from(length).unwrap_or(CHUNK_BYTES)];
        let read = self.file.read_exact_at(&mut chunk, begin);
        read.map_err(io("read", &self.path))?;
        let expected = usize::try_from(number).ok().and_then(|at| self.tail.sums.get(at));
        if expected != Some(&sum(&chunk)) {
            return Err(wrong(
                &self.path,
                format!(
                    "its bytes {begin} to {} are not those that were written",
                    begin + length
                ),
            ));
        }
        Ok(chunk.into())
    }
}

fn wrong(path: &Path, reason: impl ToString) -> Error {
    Error::corrupt(format!("the blob {}", path.display()), reason)
}
