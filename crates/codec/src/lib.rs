//! How things look in the store: keys whose bytes sort as their values do, and values that outlive the release that wrote
//! them.
//!
//! - [`KeyWriter`] and [`KeyReader`]: a tuple of numbers, byte strings and text becomes bytes that sort as the tuple does,
//!   so that a range of keys is a range of the store.
//! - [`Writer`] and [`Reader`]: a value is a format byte and numbered fields. What a reader does not know is kept
//!   ([`Unknown`]) and written back, so that an older node may change a value of a newer one without harm. Prost and the
//!   serde formats were looked at: they drop what they do not know, or need a schema compiler.
//!
//! Limits: a value is at most 16 MiB ([`MAX_VALUE_BYTES`]), nests at most 64 deep ([`MAX_DEPTH`]), and field numbers end at
//! 65,535. Reading never panics and never allocates more than the input is long: a wrong byte is an [`Error`] that says
//! where.
//!
//! ```
//! use aloft_codec::{KeyReader, KeyWriter, Reader, Unknown, Writer};
//!
//! let key = KeyWriter::new().u64(7).text("ada").finish();
//! let mut parts = KeyReader::new(&key);
//! assert_eq!((parts.u64()?, parts.text()?), (7, "ada".to_owned()));
//! parts.end()?;
//!
//! let value = Writer::new(1).u64(1, 42).text(2, "nine").finish();
//! let (mut count, mut name, mut unknown) = (0, String::new(), Unknown::default());
//! let mut fields = Reader::new(&value, 1)?;
//! while let Some(field) = fields.next()? {
//!     match field.number() {
//!         1 => count = field.u64()?,
//!         2 => name = field.text()?.to_owned(),
//!         _ => unknown.keep(&field),
//!     }
//! }
//! assert_eq!((count, name.as_str(), unknown.is_empty()), (42, "nine", true));
//! # Ok::<(), aloft_codec::Error>(())
//! ```

mod error;
mod key;
mod value;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use key::{KeyReader, KeyWriter, prefix_end};
pub use value::{Field, MAX_DEPTH, MAX_VALUE_BYTES, Reader, Unknown, Writer};
