//! Secrets: named values with versions and staging labels, sealed in the store, as Secrets Manager has them.
//!
//! A secret has versions; labels point to them, each to one at most. `AWSCURRENT` is the one that readers get, `AWSPREVIOUS` the one
//! before it and moved by itself, others are their users'. What no label points to is deprecated and may be dropped. A secret that is
//! deleted waits 7 to 30 days, in which it can be restored and cannot be read; [`Secrets::sweep`] then removes it.
//!
//! # Promises
//! Every change of a secret is one commit that expects the secret as it was read. Values are sealed before they reach the store, bound
//! to tenant, secret and version; a secret that is made anew under an old name can not be given the old one's values.
//!
//! # Limits
//! A value has at most 65,536 bytes, a name 512 characters, a secret 100 versions, 20 labels a version and 50 tags. When a version has
//! been read is not kept: each read would be a write.

mod error;
mod secrets;
mod stages;
mod stored;
mod types;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use secrets::{Change, Put, Read, Secrets};
pub use types::{Secret, Value, Version};

/// The label of the version that readers get.
pub const CURRENT: &str = "AWSCURRENT";
/// The label of the version that was current before.
pub const PREVIOUS: &str = "AWSPREVIOUS";
/// The most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 65_536;
/// The most versions of a secret.
pub const MAX_VERSIONS: usize = 100;
/// The most labels of a version.
pub const MAX_STAGES: usize = 20;
/// The most tags of a secret.
pub const MAX_TAGS: usize = 50;
