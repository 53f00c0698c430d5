//! What is stored of one delivery while it waits: the event in the form in which its source keeps it, and what has become of
//! it so far.
//!
//! The body is opaque here. A table's event is stored as the log's record (both images, exact types) and made into a CloudEvent
//! again when it is needed: as JSON it may be several times as large, and a store's value is at most 1 MiB + 64 KiB.

use aloft_base::{InvocationId, Timestamp};
use aloft_codec::{Reader, Unknown, Writer};
use bytes::Bytes;

use crate::{Attempts, Error, Failure};

const FORMAT: u8 = 1;

/// A delivery that waits, or was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The event's id. It stays the same in every attempt, so that the target recognises repeats.
    pub event: String,
    /// The hash of the ordering key: parcels of one rule and key are delivered one after the other.
    pub key: KeyHash,
    /// The event's own time, from which its age counts.
    pub born: Timestamp,
    /// The event in its source's form.
    pub body: Bytes,
    /// Where the event came from, if a function caused it: the first invocation of the chain, and the event's depth.
    pub lineage: Option<(InvocationId, u8)>,
    /// The attempts so far.
    pub attempts: Attempts,
    /// Whether it is being tried alone, since its attempts ended with the platform too often. Found so, the last one did again.
    pub is_alone: bool,
    /// The failures so far, if there were any.
    pub failures: Option<Failures>,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// What is kept of a delivery's failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// When it failed first.
    pub first: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// The last failure's word, such as `raised`.
    pub word: String,
    /// The last failure's message.
    pub message: String,
    /// What the target answered last, if it was kept: see [`Failure::answer`].
    pub answer: Option<Bytes>,
}

/// A 128-bit hash of an ordering key. Keys whose hashes are equal share an order, which harms nobody: so no more is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// FNV-1a in 128 bits (draft-eastlake-fnv): it never changes between releases, as `std`'s hashers may, and needs no
    /// library. It is not collision-resistant, and need not be: see above.
    pub fn of(key: &[u8]) -> Self {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        Self(key.iter().fold(OFFSET, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
        }))
    }
}

impl Parcel {
    /// A parcel that was not tried yet.
    pub fn new(event: impl Into<String>, key: KeyHash, born: Timestamp, body: Bytes) -> Self {
        Self {
            event: event.into(),
            key,
            born,
            body,
            lineage: None,
            attempts: Attempts::default(),
            is_alone: false,
            failures: None,
            unknown: Unknown::default(),
        }
    }

    /// Notes an attempt that failed.
    pub fn failed(mut self, attempts: Attempts, failure: &Failure, now: Timestamp) -> Self {
        let first = self.failures.as_ref().map_or(now, |failures| failures.first);
        let (word, message) = (failure.word.clone(), failure.message.clone());
        let answer = failure.answer.clone();
        self.failures = Some(Failures {
            first,
            last: now,
            word,
            message,
            answer,
        });
        self.attempts = attempts;
        self.is_alone = false;
        self
    }

    /// As it is stored.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new(FORMAT)
            .text(1, &self.event)
            .u128(2, self.key.0)
            .u64(3, self.born.as_millis())
            .bytes(4, &self.body)
            .u64(5, self.attempts.failed.into())
            .u64(6, self.attempts.tried.into())
            .u64(7, self.attempts.crashed.into());
        if let Some(failures) = &self.failures {
            writer = writer
                .u64(8, failures.first.as_millis())
                .u64(9, failures.last.as_millis())
                .text(10, &failures.word)
                .text(11, &failures.message);
            if let Some(answer) = &failures.answer {
                writer = writer.bytes(15, answer);
            }
        }
        if let Some((root, depth)) = self.lineage {
            writer = writer.u128(12, root.to_u128()).u64(13, depth.into());
        }
        if self.is_alone {
            writer = writer.u64(14, 1);
        }
        writer.unknown(&self.unknown).finish()
    }

    /// From what is stored.
    pub fn decode(value: &Bytes) -> Result<Self, Error> {
        Self::read(value).map_err(Error::unreadable("a delivery that waits"))
    }

    fn read(value: &Bytes) -> Result<Self, aloft_codec::Error> {
        let mut parcel = Self::new(String::new(), KeyHash(0), Timestamp::default(), Bytes::new());
        let (mut first, mut last, mut word, mut message) = (None, None, String::new(), String::new());
        let (mut answer, mut root, mut depth) = (None, None, 0);
        let mut fields = Reader::new(value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => parcel.event = field.text()?.to_owned(),
                2 => parcel.key = KeyHash(field.u128()?),
                3 => parcel.born = Timestamp::from_millis(field.u64()?),
                4 => parcel.body = field.bytes(),
                5 => parcel.attempts.failed = field.u32()?,
                6 => parcel.attempts.tried = field.u32()?,
                7 => parcel.attempts.crashed = field.u32()?,
                8 => first = Some(Timestamp::from_millis(field.u64()?)),
                9 => last = Some(Timestamp::from_millis(field.u64()?)),
                10 => word = field.text()?.to_owned(),
                11 => message = field.text()?.to_owned(),
                12 => root = Some(InvocationId::from_u128(field.u128()?)),
                13 => depth = u8::try_from(field.u64()?).unwrap_or(u8::MAX),
                14 => parcel.is_alone = field.u64()? != 0,
                15 => answer = Some(field.bytes()),
                _ => parcel.unknown.keep(&field),
            }
        }
        parcel.failures = first.zip(last).map(|(first, last)| Failures {
            first,
            last,
            word,
            message,
            answer,
        });
        parcel.lineage = root.map(|root| (root, depth));
        Ok(parcel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Effect;

    #[test]
    fn a_parcel_reads_back_with_what_it_does_not_know() {
        let mut parcel = Parcel::new(
            "7.0",
            KeyHash::of(b"a"),
            Timestamp::from_millis(5),
            Bytes::from_static(b"body"),
        );
        assert_eq!(Parcel::decode(&parcel.encode()).unwrap(), parcel);
        parcel.lineage = Some((InvocationId::from_u128(9), 3));
        let attempts = Attempts {
            failed: 1,
            tried: 2,
            crashed: 3,
        };
        let parcel = parcel.failed(
            attempts,
            &Failure::new(Effect::Counts, "raised", "boom"),
            Timestamp::from_millis(8),
        );
        let newer = Writer::new(1).text(99, "later").finish();
        let value: Bytes = [parcel.encode(), newer.slice(1..)].concat().into();
        let read = Parcel::decode(&value).unwrap();
        assert!(!read.unknown.is_empty());
        assert_eq!(read.encode(), value);
        assert_eq!(
            Parcel {
                unknown: Unknown::default(),
                ..read
            },
            parcel
        );
    }

    #[test]
    fn the_first_failure_is_remembered() {
        let parcel = Parcel::new("1", KeyHash(1), Timestamp::default(), Bytes::new());
        let failure = |word| Failure::new(Effect::Counts, word, "x");
        let (one, two) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let parcel = parcel.failed(Attempts::default(), &failure("a"), one).failed(
            Attempts::default(),
            &failure("b"),
            two,
        );
        let failures = parcel.failures.unwrap();
        assert_eq!(
            (failures.first, failures.last, failures.word.as_str()),
            (one, two, "b")
        );
    }

    #[test]
    fn bytes_that_are_no_parcel_are_an_error() {
        for bad in [&b""[..], b"\x02", b"\x01\x01", b"\x01\x02\x01x"] {
            assert!(Parcel::decode(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_hash_of_a_key_never_changes() {
        // Vectors of the draft's reference code.
        assert_eq!(KeyHash::of(b"").0, 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(KeyHash::of(b"a").0, 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
        assert_ne!(KeyHash::of(b"ab"), KeyHash::of(b"ba"));
    }
}
