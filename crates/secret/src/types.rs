//! What a secret is.

use std::collections::{BTreeMap, BTreeSet};

use aloft_base::Timestamp;
use aloft_codec::Unknown;

/// A secret without its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// 1 to 512 characters of a-z, A-Z, 0-9 and `/_+=.@-`.
    pub name: String,
    /// The six letters and digits at the end of its ARN, by which a secret made later under the same name has another.
    pub suffix: String,
    /// At most 2,048 characters; empty if it has none.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// When anything of it was changed last.
    pub changed: Timestamp,
    /// When it was deleted, and when it will be gone.
    pub deleted: Option<(Timestamp, Timestamp)>,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
    /// In the order in which they were made, the newest last.
    pub versions: Vec<Version>,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// A version without its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// 32 to 64 characters, chosen by whoever made it.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The labels that point to it.
    pub stages: BTreeSet<String>,
}

impl Secret {
    /// The version that a label points to.
    pub fn staged(&self, stage: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.stages.contains(stage))
    }

    /// The version of this id.
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }
}

/// A version's value.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its bytes.
    pub bytes: aloft_seal::Secret,
    /// Whether they were given as text.
    pub is_text: bool,
}

impl Value {
    /// Text.
    pub fn text(text: String) -> Self {
        Self {
            bytes: aloft_seal::Secret::new(text.into_bytes()),
            is_text: true,
        }
    }

    /// Bytes.
    pub fn binary(bytes: Vec<u8>) -> Self {
        Self {
            bytes: aloft_seal::Secret::new(bytes),
            is_text: false,
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.is_text == other.is_text && self.bytes.expose() == other.bytes.expose()
    }
}
