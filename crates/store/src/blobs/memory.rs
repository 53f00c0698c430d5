//! Blobs in memory, for tests and the simulation. What is finished survives everything; what is not is gone with its upload, as
//! after a crash.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Chance, Clock, Timestamp};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Blob, BlobId, Blobs, CHUNK_BYTES, Listed, MAX_BLOB_BYTES, MAX_UPLOADS, Naming, Stored, Upload};
use crate::Error;

/// Blobs in memory. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct MemoryBlobs(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    blobs: Mutex<BTreeMap<BlobId, Held>>,
    uploads: Arc<Semaphore>,
}

#[derive(Clone)]
struct Held {
    bytes: Bytes,
    digest: [u8; 32],
    renewed: Timestamp,
}

impl MemoryBlobs {
    /// No blobs.
    pub fn new(clock: Arc<dyn Clock>, chance: Arc<dyn Chance>) -> Self {
        Self(Arc::new(Inner {
            clock,
            chance,
            blobs: Mutex::default(),
            uploads: Arc::new(Semaphore::new(MAX_UPLOADS)),
        }))
    }
}

impl Inner {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobId, Held>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn begin(&self) -> Result<Box<dyn Upload>, Error> {
        let place = self.0.uploads.clone().acquire_owned().await;
        Ok(Box::new(Writing {
            blobs: self.0.clone(),
            bytes: BytesMut::new(),
            _place: place.map_err(|_| Error::Closed)?,
        }))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn Blob>, Error> {
        let held = self.0.blobs().get(&id).cloned();
        let held = held.ok_or(Error::NoBlob(id))?;
        Ok(Box::new(Reading { id, held }))
    }

    async fn renew(&self, id: BlobId) -> Result<bool, Error> {
        let now = self.0.clock.now();
        let mut blobs = self.0.blobs();
        Ok(blobs.get_mut(&id).map(|held| held.renewed = now).is_some())
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let blobs = self.0.blobs();
        let listed = blobs.range((from, Bound::Unbounded)).take(limit);
        Ok(listed
            .map(|(id, held)| Listed {
                id: *id,
                bytes: held.bytes.len() as u64,
                renewed: held.renewed,
            })
            .collect())
    }

    async fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error> {
        let mut blobs = self.0.blobs();
        let is_old = blobs.get(&id).is_some_and(|held| held.renewed < unless_since);
        Ok(is_old && blobs.remove(&id).is_some())
    }
}

struct Writing {
    blobs: Arc<Inner>,
    bytes: BytesMut,
    _place: OwnedSemaphorePermit,
}

#[async_trait]
impl Upload for Writing {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if (self.bytes.len() + bytes.len()) as u64 > MAX_BLOB_BYTES {
            return Err(Error::BlobTooLarge);
        }
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>, naming: Naming) -> Result<Stored, Error> {
        let bytes = self.bytes.freeze();
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let id = match naming {
            Naming::Content => BlobId::Content(digest),
            Naming::Random => BlobId::draw(&*self.blobs.chance),
        };
        let held = Held {
            bytes,
            digest,
            renewed: self.blobs.clock.now(),
        };
        let stored = stored(id, &held);
        self.blobs.blobs().insert(id, held);
        Ok(stored)
    }
}

struct Reading {
    id: BlobId,
    held: Held,
}

#[async_trait]
impl Blob for Reading {
    fn stored(&self) -> Stored {
        stored(self.id, &self.held)
    }

    async fn read(&self, at: u64, most: usize) -> Result<Bytes, Error> {
        let length = self.held.bytes.len();
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(length);
        let end = (at / CHUNK_BYTES + 1) * CHUNK_BYTES;
        Ok(self
            .held
            .bytes
            .slice(at..end.min(length).min(at.saturating_add(most))))
    }
}

fn stored(id: BlobId, held: &Held) -> Stored {
    Stored {
        id,
        bytes: held.bytes.len() as u64,
        digest: held.digest,
    }
}
