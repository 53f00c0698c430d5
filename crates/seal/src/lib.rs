//! Envelope encryption of what lies in the store.
//!
//! Three layers of keys, each 32 bytes:
//!
//! - The *master key* is the operator's: a file, a command's output, or a file that was made in the data folder ([`Source`]). It never
//!   lies in the store. A node reads it once, when it starts.
//! - The *root key* was drawn when the first thing was sealed. It lies there sealed under the master key, beside the master key's id, so
//!   that a wrong master key is told by name at the start. A change of the master key ([`rewrap`]) writes this one row.
//! - A *data key* for each tenant and kind of thing, drawn at its first use, sealed under the root key, and kept in memory.
//!
//! What is sealed is bound to its [`Context`]: tenant, kind, name and version. Whoever can write to the store can therefore neither
//! change it nor put it in another row's place; [`Seal::unseal`] fails. He can put an older value of the same context back, or remove
//! it: versions are for that. Names, sizes (41 bytes less) and times stay readable.
//!
//! # Limits
//! A sealed thing has at most 1 MiB. 16,384 data keys are kept in memory; others are read again. A master key's file or output has at most
//! 4 KiB, and a command 30 seconds.
//!
//! # What it does not protect from
//! Whoever can read the memory of the node, or the master key. A key file that lies in the data folder protects a copy of the database
//! or of the `store` folder alone, and no copy of the whole data folder.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use aloft_base::{SystemChance, SystemClock, Tenant};
//! use aloft_seal::{Context, MasterKey, Seal};
//! use aloft_store::Memory;
//!
//! let (store, chance) = (Arc::new(Memory::new(Arc::new(SystemClock))), Arc::new(SystemChance));
//! let seal = Seal::open(store, &MasterKey::draw(&SystemChance), chance).await?;
//! let tenant = Tenant::local();
//! let context = Context { tenant: &tenant, kind: "key", name: "AKIA1", version: "" };
//! let sealed = seal.seal(&context, b"secret").await?;
//! assert_eq!(seal.unseal(&context, &sealed).await?.expose(), b"secret");
//! assert!(seal.unseal(&Context { name: "AKIA2", ..context }, &sealed).await.is_err());
//! # Ok::<(), aloft_seal::Error>(())
//! # }).unwrap();
//! ```

mod cipher;
mod error;
mod master;
mod seal;
mod secret;
mod stored;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use master::{KeyId, MasterKey, Source};
pub use seal::{Context, Seal, rewrap};
pub use secret::Secret;

/// The largest thing that can be sealed: what fits in a value of the store with room for what wraps it.
pub const MAX_BYTES: usize = 1 << 20;
