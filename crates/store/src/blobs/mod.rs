//! Blobs: bytes that are too large for a value. One is written once, as a stream, and never changed; its name is a hash of its content or
//! chance; who needs it says so by a *reference*, a row that is committed like any other.
//!
//! The way of a blob:
//!
//! 1. *Upload.* [`Blobs::begin`], [`Upload::write`], [`Upload::finish`]: when that returns, the bytes and the name are durable. Nobody
//!    sees an upload before, and nothing is left of one that is dropped.
//! 2. *Reference.* [`refer`] adds the reference to the batch that commits what the blob is for, within [`GRACE`] of the upload. Who finds
//!    a blob of the same content already there calls [`Blobs::renew`] instead of uploading it again; that counts as an upload.
//! 3. *Release.* [`release`] takes the reference out, in the batch that commits what it was for no longer.
//! 4. *Collection.* The [`Collector`] removes what no reference names: what was released, and what a crash between 1 and 2 left. It
//!    waits for [`GRACE`] after it first saw that nothing names a blob and after the blob was last renewed, so that neither an uploader
//!    that is about to commit nor a reader that has just read a reference loses its blob. A reader that has opened one reads it to its end.
//!
//! Why the collector takes nothing that is needed: it looks at a blob only when its last renewal lies further back than the
//! grace. The reference of that renewal was then committed before the collector's snapshot, and is seen; and
//! should somebody renew the blob after the look, then [`Blobs::remove`], which compares the time of the renewal in the same step, leaves it.
//!
//! A count of references in a row was rejected: everybody who uses a layer would write that row, and one lost decrement is a
//! blob for ever. So was a row that says that a blob exists: one more commit for each upload, to know what the folder knows.
//!
//! Every chunk of 256 KiB is checked against its checksum when it is read, so a range costs the chunks that it touches. The
//! whole is hashed while it is written (SHA-256), whatever its name: the hash is what an ETag, a layer or a build cache is told by.
//!
//! The engines are [`MemoryBlobs`], for tests and the simulation, and the folder in `store-folder`. The crate `object_store` was not taken for
//! the folder: its own syncs only if told and has no checksums of parts, so most of what is promised here would be written around
//! it. Its S3 client fits behind the same trait when several nodes share blobs.

mod collector;
mod id;
mod memory;
mod references;

use std::time::Duration;

use aloft_base::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;

pub use collector::{Collected, Collector};
pub use id::BlobId;
pub use memory::MemoryBlobs;
pub use references::{is_referred, refer, release};

use crate::Error;

/// The largest blob: S3's bound of one upload.
pub const MAX_BLOB_BYTES: u64 = 5 << 30;
/// What is checked, and read, at once.
pub const CHUNK_BYTES: usize = 256 << 10;
/// How many uploads run at a time; further ones wait until there is room. Each holds at most two chunks.
pub const MAX_UPLOADS: usize = 64;
/// How long after its upload a blob is safe without a reference. Also how long one stays that was released.
pub const GRACE: Duration = Duration::from_secs(3_600);

/// Where blobs lie.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Begins an upload; waits as long as [`MAX_UPLOADS`] are under way.
    async fn begin(&self) -> Result<Box<dyn Upload>, Error>;

    /// Opens a blob to read it. Whoever has it open can read all of it, also when it is removed meanwhile.
    ///
    /// # Errors
    /// [`Error::NoBlob`] if there is none, [`Error::Corrupt`] if it is not what was written.
    async fn open(&self, id: BlobId) -> Result<Box<dyn Blob>, Error>;

    /// As if it had been uploaded now, if it is there.
    async fn renew(&self, id: BlobId) -> Result<bool, Error>;

    /// The blobs after `after` in the order of their ids, at most `limit`. Fewer than that does not mean that there are no
    /// more: none does.
    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error>;

    /// Removes a blob unless it was renewed at `unless_since` or later; answers whether it did. Only the collector calls this.
    async fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error>;
}

/// A blob that is being written. Dropping it leaves nothing.
#[async_trait]
pub trait Upload: Send {
    /// Adds bytes. After an error the upload can only be dropped.
    ///
    /// # Errors
    /// [`Error::BlobTooLarge`] beyond [`MAX_BLOB_BYTES`].
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error>;

    /// Makes the blob durable under a name.
    async fn finish(self: Box<Self>, naming: Naming) -> Result<Stored, Error>;
}

/// A blob that is read.
#[async_trait]
pub trait Blob: Send + Sync {
    /// What it is.
    fn stored(&self) -> Stored;

    /// Bytes from `at` on: at most `most`, and at most the rest of a chunk; none at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if they are not what was written.
    async fn read(&self, at: u64, most: usize) -> Result<Bytes, Error>;
}

/// How a blob is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// After its content: the same bytes are one blob.
    Content,
    /// By chance: each upload is a blob of its own.
    Random,
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub id: BlobId,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256.
    pub digest: [u8; 32],
}

/// A blob in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: BlobId,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was uploaded or last renewed.
    pub renewed: Timestamp,
}
