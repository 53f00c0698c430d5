//! Where deliveries lie in the store. A rule has a number of its own: its backlogs lie under it (so that they are reclaimed
//! with the rule), and its retries wait in the lane of that number, so that a slow rule never stands before another's. Dead
//! letters outlive their rules and lie under a number of the namespace.
//!
//! | under | key | value |
//! |---|---|---|
//! | rule | 1, key's hash | head of the key's backlog |
//! | rule | 2, key's hash, number | parcel |
//! | rule | 3 and up | free for the rule's own use, such as its cursors |
//! | space | 1, letter's id | dead letter |

use aloft_codec::{KeyReader, KeyWriter};
use aloft_store::layout::Id;
use aloft_store::{Key, KeyRange, Lane};

use crate::{Error, KeyHash, LetterId};

const HEAD: u8 = 1;
const ROW: u8 = 2;
const LETTER: u8 = 1;

/// A rule's number, from the store's layout: it is never used again, also not for a rule of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub Id);

/// A namespace's number for dead letters, from the store's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub Id);

impl RuleId {
    /// The lane in which the rule's retries wait.
    pub fn lane(self) -> Lane {
        self.0.lane()
    }

    /// What is known of a key's backlog.
    pub(crate) fn head(self, key: KeyHash) -> Result<Key, Error> {
        Ok(self.0.key(&KeyWriter::new().u8(HEAD).u128(key.0).finish())?)
    }

    /// All heads.
    pub(crate) fn heads(self) -> KeyRange {
        self.0.prefix(&[HEAD])
    }

    /// All parcels of a backlog.
    pub(crate) fn rows(self, key: KeyHash) -> KeyRange {
        self.0.prefix(&KeyWriter::new().u8(ROW).u128(key.0).finish())
    }

    /// The number of a parcel in its backlog.
    pub(crate) fn number(self, row: &Key) -> Result<u64, Error> {
        let rest = self.0.rest(row).unwrap_or_default();
        let mut parts = KeyReader::new(&rest);
        let mut read = || -> Result<u64, aloft_codec::Error> {
            parts.u8()?;
            parts.u128()?;
            let number = parts.u64()?;
            parts.end().map(|()| number)
        };
        read().map_err(Error::unreadable("a parcel's key"))
    }

    /// One parcel of a backlog.
    pub(crate) fn row(self, key: KeyHash, number: u64) -> Result<Key, Error> {
        Ok(self
            .0
            .key(&KeyWriter::new().u8(ROW).u128(key.0).u64(number).finish())?)
    }
}

impl Space {
    /// One dead letter.
    pub(crate) fn letter(self, id: LetterId) -> Result<Key, Error> {
        Ok(self.0.key(&KeyWriter::new().u8(LETTER).u128(id.0).finish())?)
    }

    /// All dead letters, the oldest first.
    pub(crate) fn letters(self) -> KeyRange {
        self.0.prefix(&[LETTER])
    }

    /// The id of a dead letter's key.
    pub(crate) fn letter_id(self, key: &Key) -> Result<LetterId, Error> {
        let rest = self.0.rest(key).unwrap_or_default();
        let mut parts = KeyReader::new(&rest);
        let mut read = || -> Result<u128, aloft_codec::Error> {
            parts.u8()?;
            let id = parts.u128()?;
            parts.end().map(|()| id)
        };
        read()
            .map(LetterId)
            .map_err(Error::unreadable("a dead letter's key"))
    }
}
