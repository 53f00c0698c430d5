//! What an engine must bring: an ordered map of bytes that can be viewed at one point and written atomically and durably.

use std::ops::Bound;

use bytes::Bytes;

use crate::{Direction, Error};

/// Sees one pair of a scan; answers whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(Bytes, Bytes) -> Result<bool, Error>;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key's value.
    Put(Bytes, Bytes),
    /// Removes a key.
    Delete(Bytes),
}

/// An ordered map that outlives the process, or acts as if.
pub trait Ground: Send + Sync + 'static {
    /// The map at one point.
    type View: View;

    /// The map as it is now: everything that [`apply`](Self::apply) answered for, and nothing that is not durable.
    fn view(&self) -> Self::View;

    /// The newest durable value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Makes all changes at once, durably. After an error it is not known what is on disk, and nothing more is applied.
    /// Called by one thread at a time.
    fn apply(&self, writes: Vec<Write>) -> Result<(), Error>;
}

/// An ordered map that does not change any more.
pub trait View: Send + Sync + 'static {
    /// A key's value.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits the pairs of a range in the direction's order until the visitor has enough.
    fn scan(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), Error>;
}
