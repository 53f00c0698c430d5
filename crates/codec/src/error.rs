//! What is wrong with bytes that cannot be read. The kind is always `Internal`: the platform wrote what it reads here, so
//! wrong bytes are a defect or a broken disk, never a user's mistake.

use aloft_base::ErrorKind;

/// Bytes that are not what a key or a value should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside something.
    #[error("the bytes end at {at} inside {what}")]
    Cut {
        /// What was being read.
        what: &'static str,
        /// Where, in bytes from the start of the key, value or field.
        at: usize,
    },
    /// The bytes are not what was expected.
    #[error("byte {at} is wrong: expected {expected}")]
    Malformed {
        /// What should stand there.
        expected: &'static str,
        /// Where, in bytes from the start of the key, value or field.
        at: usize,
    },
    /// The value has another format than its reader knows.
    #[error(
        "the value has format {found}, this release reads format {known}: a newer release wrote it; upgrade this one"
    )]
    Format {
        /// The format byte of the value.
        found: u8,
        /// The format that the reader knows.
        known: u8,
    },
    /// The value is larger than any that is written.
    #[error("the value has {bytes} bytes, at most {} are allowed", crate::MAX_VALUE_BYTES)]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// Values lie in values deeper than any that is written.
    #[error("values nest deeper than {}", crate::MAX_DEPTH)]
    TooDeep,
}

impl Error {
    /// The kind of failure, for the edges.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}
