//! Where rows lie: the table's id, a tag, the partition key's keyed hash, the sort key in its order.
//!
//! The partition key itself may have 2,048 bytes, the sort key 1,024, and a store key ends at 2,400: so the partition key is
//! hashed (SipHash-2-4 with 128 bits and a secret key of the store's own, so that nobody can make two collide) and compared
//! in the row. The sort key is last and needs no end mark: text and bytes as they are, numbers in their sorted form.

use std::hash::Hasher as _;
use std::ops::Bound;

use aloft_codec::{KeyWriter, prefix_end};
use aloft_item::{Item, Value};
use aloft_store::layout::Id;
use aloft_store::{Key, KeyRange};
use bytes::Bytes;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::expression::Range;
use crate::{Error, Schema};

/// The table's own description.
pub(crate) const DESCRIPTION: u8 = 0;
/// Its rows.
const ROWS: u8 = 1;

/// The store's secret for hashing partition keys.
#[derive(Clone, Copy)]
pub(crate) struct Secret(pub(crate) [u8; 16]);

impl Secret {
    pub(crate) fn hash(&self, value: &Value) -> u128 {
        let mut bytes = Vec::new();
        append(&mut bytes, value);
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&bytes);
        hasher.finish128().as_u128()
    }
}

/// A key attribute's value in its order: bytes that sort as the values do.
fn append(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::S(text) => to.extend(text.as_bytes()),
        Value::B(bytes) => to.extend(bytes),
        Value::N(number) => number.append_sorted(to),
        // Keys were checked against the schema, which knows only these three.
        Value::Bool(_)
        | Value::Null
        | Value::M(_)
        | Value::L(_)
        | Value::Ss(_)
        | Value::Ns(_)
        | Value::Bs(_) => {}
    }
}

/// The part of the key that all rows of a partition share.
fn partition(id: Id, hash: u128) -> KeyWriter {
    KeyWriter::new().u64(id.to_u64()).u8(ROWS).u128(hash)
}

fn sorted(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, value);
    bytes
}

/// The store key of a row, by an item that has its key attributes.
pub(crate) fn row(id: Id, secret: Secret, schema: &Schema, item: &Item) -> Result<Key, Error> {
    let missing = || Error::Invalid("The provided key element does not match the schema".to_owned());
    let hash = secret.hash(item.get(&schema.hash.name).ok_or_else(missing)?);
    let mut key = partition(id, hash);
    if let Some(range) = &schema.range {
        key = key.raw(&sorted(item.get(&range.name).ok_or_else(missing)?));
    }
    Ok(Key::new(key.finish())?)
}

/// The rows of a partition whose sort keys lie in `range`.
pub(crate) fn query(id: Id, hash: u128, range: &Range) -> KeyRange {
    let prefix = partition(id, hash);
    let all = KeyRange::prefix(&prefix.clone().finish());
    let at = |value: &Value| prefix.clone().raw(&sorted(value)).finish();
    let (from, to) = match range {
        Range::All => return all,
        Range::BeginsWith(start) => return KeyRange::prefix(&at(start)),
        Range::Equal(value) => (Bound::Included(at(value)), Bound::Included(at(value))),
        Range::Less(value) => (all.from, Bound::Excluded(at(value))),
        Range::AtMost(value) => (all.from, Bound::Included(at(value))),
        Range::Greater(value) => (Bound::Excluded(at(value)), all.to),
        Range::AtLeast(value) => (Bound::Included(at(value)), all.to),
        Range::Between(low, high) => (Bound::Included(at(low)), Bound::Included(at(high))),
    };
    KeyRange { from, to }
}

/// A segment of all rows: hashes are spread evenly, so equal parts of their space are equal parts of the table.
pub(crate) fn segment(id: Id, segment: u32, of: u32) -> KeyRange {
    let rows = KeyWriter::new().u64(id.to_u64()).u8(ROWS);
    // Rounded to the upper 64 bits, which cuts a million segments finely enough.
    let bound = |n: u32| {
        rows.clone()
            .u64(((u128::from(n) << 64) / u128::from(of.max(1))) as u64)
            .finish()
    };
    let end = prefix_end(&rows.clone().finish()).map_or(Bound::Unbounded, Bound::Excluded);
    let from: Bound<Bytes> = Bound::Included(if segment == 0 {
        rows.clone().finish()
    } else {
        bound(segment)
    });
    KeyRange {
        from,
        to: if segment + 1 >= of {
            end
        } else {
            Bound::Excluded(bound(segment + 1))
        },
    }
}
