//! An upload: a file in `new/` that gets its name at the end. What is written, hashed and synced is so on threads that may block; the
//! state goes there and comes back, and wherever it is dropped its file goes with it.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use aloft_store::Error;
use aloft_store::blobs::{BlobId, CHUNK_BYTES, MAX_BLOB_BYTES, Naming, Stored, Upload};
use aloft_store::folder::io;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use crate::folder::{Inner, blocking};
use crate::form::{Tail, sum};

/// See the file's head. `None` after something failed.
pub(crate) struct Writing {
    part: Option<Part>,
    /// What does not fill a chunk yet.
    rest: BytesMut,
    bytes: u64,
}

/// The file.
struct Part {
    folder: Arc<Inner>,
    path: PathBuf,
    file: File,
    sums: Vec<u64>,
    hash: Sha256,
    bytes: u64,
    /// Whether it has got its name.
    is_named: bool,
    _place: OwnedSemaphorePermit,
}

impl Writing {
    pub(crate) async fn begin(folder: Arc<Inner>, place: OwnedSemaphorePermit) -> Result<Self, Error> {
        let part = blocking(move || Part::create(folder, place)).await?;
        Ok(Self {
            part: Some(part),
            rest: BytesMut::with_capacity(CHUNK_BYTES),
            bytes: 0,
        })
    }

    /// Writes chunks, the last of which alone may be short.
    async fn append(&mut self, chunk: Bytes) -> Result<(), Error> {
        let mut part = self.part.take().ok_or(Error::Closed)?;
        let part = blocking(move || part.append(&chunk).map(|()| part)).await?;
        self.part = Some(part);
        Ok(())
    }
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MAX_BLOB_BYTES {
            self.part = None;
            return Err(Error::BlobTooLarge);
        }
        while !bytes.is_empty() {
            let room = CHUNK_BYTES - self.rest.len();
            self.rest
                .extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.rest.len() == CHUNK_BYTES {
                let chunk = std::mem::replace(&mut self.rest, BytesMut::with_capacity(CHUNK_BYTES));
                self.append(chunk.freeze()).await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, naming: Naming) -> Result<Stored, Error> {
        let rest = std::mem::take(&mut self.rest).freeze();
        if !rest.is_empty() {
            self.append(rest).await?;
        }
        let part = self.part.take().ok_or(Error::Closed)?;
        blocking(move || part.finish(naming)).await
    }
}

impl Part {
    fn create(folder: Arc<Inner>, place: OwnedSemaphorePermit) -> Result<Self, Error> {
        folder.check()?;
        let path = folder.new_name();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(io("create", &path))?;
        Ok(Self {
            folder,
            path,
            file,
            sums: Vec::new(),
            hash: Sha256::new(),
            bytes: 0,
            is_named: false,
            _place: place,
        })
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.sums.push(sum(chunk));
        self.hash.update(chunk);
        self.bytes += chunk.len() as u64;
        self.file.write_all(chunk).map_err(io("write", &self.path))
    }

    fn finish(mut self, naming: Naming) -> Result<Stored, Error> {
        let tail = Tail {
            bytes: self.bytes,
            digest: std::mem::take(&mut self.hash).finalize().into(),
            sums: std::mem::take(&mut self.sums),
        };
        let id = match naming {
            Naming::Content => BlobId::Content(tail.digest),
            Naming::Random => BlobId::draw(&*self.folder.chance),
        };
        let written = self.file.write_all(&tail.encode());
        written.map_err(io("write", &self.path))?;
        let dated = self.file.set_modified(self.folder.now());
        dated.map_err(io("set the time of", &self.path))?;
        self.file.sync_all().map_err(io("sync", &self.path))?;
        self.folder.counters.syncs(1);
        self.folder.name(&self.path, id)?;
        self.is_named = true;
        self.folder.counters.finished(tail.bytes);
        Ok(Stored {
            id,
            bytes: tail.bytes,
            digest: tail.digest,
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Should that fail, it is removed when the folder is opened the next time.
        if !self.is_named {
            let _ = fs::remove_file(&self.path);
        }
    }
}
