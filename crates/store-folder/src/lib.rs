//! Blobs in a local folder: the engine of [`aloft_store::blobs`] for one machine, and the one place in the house where bytes get a name that
//! is trusted later ([`place()`]).
//!
//! # How a blob is stored
//! An upload is written to `new/`, synced, renamed to its place, and the folder that holds the name is synced: two syncs a blob,
//! whatever its size, and a third when the folder is new. So a name stands for whole bytes or does not exist, whenever the power fails.
//! The places are `cab/cab0…` and so on: 16 × 16 folders for each kind of id, so that a list reads a small part at a time. The time of a
//! file is when its blob was last renewed. A file is the content and behind it a checksum of each chunk; see `form.rs`.
//!
//! # Promises
//! Those of the contract, on a local file system that keeps the promises of `fsync`. After a failed sync of a folder nothing more is
//! taken until the folder is opened anew, since nobody knows whether a name is on the disk; what is there can be read. A full
//! disk is an error of the upload and leaves nothing. What a dead process was writing is removed when the folder is opened.
//!
//! # Limits
//! One process at a time. A blob has at most 5 GiB, 64 uploads run at a time and hold at most two chunks of 256 KiB each.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! use std::sync::Arc;
//! use aloft_base::{SystemChance, SystemClock};
//! use aloft_store::blobs::{Blobs, Naming};
//! use aloft_store_folder::Folder;
//!
//! let blobs = Folder::open(folder.path(), Arc::new(SystemClock), Arc::new(SystemChance))?;
//! let mut upload = blobs.begin().await?;
//! upload.write("hello".into()).await?;
//! let stored = upload.finish(Naming::Content).await?;
//! let blob = blobs.open(stored.id).await?;
//! assert_eq!(blob.read(1, 3).await?, "ell");
//! # Ok::<(), aloft_store::Error>(())
//! # }).unwrap();
//! ```

mod folder;
mod form;
mod metrics;
mod place;
mod read;
mod upload;

#[cfg(test)]
mod tests;

pub use folder::{Counters, Folder};
pub use place::{PlaceError, place};
