//! Bytes that must not be shown.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes that no log shows and that are wiped when they are dropped. What copies them takes that over.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// From bytes that are nobody else's.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. The name is long on purpose: each use should be seen.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Nothing that a log could give away, not even the length.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
