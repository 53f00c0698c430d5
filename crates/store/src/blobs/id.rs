//! Names of blobs.

use std::fmt;
use std::str::FromStr;

use aloft_base::{Chance, hex};

/// The name of a blob: the SHA-256 of its content, or 128 bits of chance. As text a letter for the kind and lower-case
/// hexadecimal digits, which is also the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobId {
    /// The hash of its content.
    Content([u8; 32]),
    /// Chance.
    Random([u8; 16]),
}

impl BlobId {
    /// A name by chance.
    pub fn draw(chance: &dyn Chance) -> Self {
        Self::Random(chance.next_u128().to_be_bytes())
    }

    /// As it stands in keys: no id is the beginning of another, and they sort as ids do.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Content(hash) => [&b"c"[..], &hash].concat(),
            Self::Random(chance) => [&b"r"[..], &chance].concat(),
        }
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(hash) => write!(f, "c{}", hex(hash)),
            Self::Random(chance) => write!(f, "r{}", hex(chance)),
        }
    }
}

/// What is not the name of a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the name of a blob: c and 64 lower-case hexadecimal digits, or r and 32")]
pub struct NoBlobId(String);

impl FromStr for BlobId {
    type Err = NoBlobId;

    fn from_str(text: &str) -> Result<Self, NoBlobId> {
        let id = match text.split_at_checked(1) {
            Some(("c", digits)) => bytes(digits).map(Self::Content),
            Some(("r", digits)) => bytes(digits).map(Self::Random),
            _ => None,
        };
        id.ok_or_else(|| NoBlobId(text.chars().take(100).collect()))
    }
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * N || !digits.bytes().all(|digit| is_digit(&digit)) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::SeededChance;

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        let chance = SeededChance::new(1);
        for id in [BlobId::draw(&chance), BlobId::Content([0xa5; 32])] {
            let text = id.to_string();
            assert_eq!(text.parse(), Ok(id));
            for bad in [
                &text[1..],
                &text[..text.len() - 1],
                &text.to_uppercase(),
                &format!("{text}0"),
            ] {
                assert!(bad.parse::<BlobId>().is_err(), "{bad}");
            }
        }
        for bad in [
            "",
            "c",
            "x00",
            "cé",
            "../../etc/passwd",
            &format!("r{}", "+1".repeat(16)),
        ] {
            assert!(bad.parse::<BlobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_sort_as_their_keys_do() {
        let chance = SeededChance::new(2);
        let mut ids: Vec<BlobId> = (0..50).map(|_| BlobId::draw(&chance)).collect();
        ids.extend((0..50u8).map(|n| BlobId::Content([n.wrapping_mul(37); 32])));
        ids.sort_unstable();
        assert!(ids.iter().map(|id| id.to_bytes()).is_sorted());
        assert!(ids.iter().map(ToString::to_string).is_sorted());
    }
}
