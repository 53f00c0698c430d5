//! What a blob's file holds, in little-endian numbers:
//!
//! | bytes | |
//! |---|---|
//! | n | the content |
//! | 8 for each 256 KiB of it | the XXH3 of the chunk |
//! | 8 | "ALOFTB", 0, the form: 1 |
//! | 8 | n |
//! | 32 | the SHA-256 of the content |
//! | 8 | the XXH3 of everything behind the content |
//!
//! The checksums stand behind and not before, so that a stream is written once from the beginning to the end. They find what a disk
//! does to bytes, not what a person does on purpose; the SHA-256 would find that, and costs reading the whole.

use aloft_store::blobs::CHUNK_BYTES;
use xxhash_rust::xxh3::xxh3_64;

const MARK: [u8; 8] = *b"ALOFTB\0\x01";
const CHUNK: u64 = CHUNK_BYTES as u64;
const SUM: u64 = 8;
/// Mark, length, hash and sum.
const END: u64 = 8 + 8 + 32 + 8;

/// What stands behind the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) bytes: u64,
    pub(crate) digest: [u8; 32],
    /// A checksum of each chunk.
    pub(crate) sums: Vec<u64>,
}

impl Tail {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut tail: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        tail.extend(MARK);
        tail.extend(self.bytes.to_le_bytes());
        tail.extend(self.digest);
        tail.extend(xxh3_64(&tail).to_le_bytes());
        tail
    }

    /// From what stands behind the content in a file of that length; an error says what is wrong.
    pub(crate) fn decode(tail: &[u8], file: u64) -> Result<Self, String> {
        let mut rest = tail.len();
        let mut back = |length: usize| {
            let end = rest;
            rest = rest.checked_sub(length)?;
            tail.get(rest..end)
        };
        let short = || "it is shorter than any blob".to_owned();
        let sum = back(8).and_then(number).ok_or_else(short)?;
        let digest = back(32)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(short)?;
        let bytes = back(8).and_then(number).ok_or_else(short)?;
        let mark = back(8).ok_or_else(short)?;
        if mark != MARK {
            return Err("its end is not that of a blob".to_owned());
        }
        let covered = tail.get(..tail.len().saturating_sub(8)).unwrap_or_default();
        if xxh3_64(covered) != sum {
            return Err("its checksums do not hold".to_owned());
        }
        if content_of(file) != Some(bytes) {
            return Err(format!(
                "it says that it holds {bytes} bytes, and is {file} bytes long"
            ));
        }
        let sums = tail.get(..rest).unwrap_or_default().chunks_exact(8);
        Ok(Self {
            bytes,
            digest,
            sums: sums.filter_map(number).collect(),
        })
    }
}

/// How long the content of a file is; `None` if the file is shorter than any blob.
pub(crate) fn content_of(file: u64) -> Option<u64> {
    let rest = file.checked_sub(END)?;
    rest.checked_sub(rest.div_ceil(CHUNK + SUM) * SUM)
}

/// The checksum of a chunk.
pub(crate) fn sum(chunk: &[u8]) -> u64 {
    xxh3_64(chunk)
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(bytes: u64) -> Tail {
        Tail {
            bytes,
            digest: [7; 32],
            sums: (0..bytes.div_ceil(CHUNK)).collect(),
        }
    }

    #[test]
    fn a_tail_reads_back_and_the_length_of_a_file_tells_the_content() {
        for bytes in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 5 << 30] {
            let (tail, encoded) = (tail(bytes), tail(bytes).encode());
            let file = bytes + encoded.len() as u64;
            assert_eq!(content_of(file), Some(bytes));
            assert_eq!(Tail::decode(&encoded, file), Ok(tail));
        }
        assert_eq!(content_of(END - 1), None);
    }

    #[test]
    fn each_changed_bit_is_found() {
        let encoded = tail(2 * CHUNK).encode();
        let file = 2 * CHUNK + encoded.len() as u64;
        for bit in 0..encoded.len() * 8 {
            let mut other = encoded.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(Tail::decode(&other, file).is_err(), "bit {bit}");
        }
        assert!(Tail::decode(&encoded[1..], file - 1).is_err());
        assert!(Tail::decode(&encoded, file + 1).is_err());
        assert!(Tail::decode(&[], 0).is_err());
    }
}
