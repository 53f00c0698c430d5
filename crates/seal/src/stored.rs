//! How keys lie in the store, below the platform's id 8:
//!
//! | key after the id | value |
//! |---|---|
//! | 1 | the root key: the id of the master key that seals it, and it, sealed |
//! | 2, tenant, kind | a data key, sealed under the root key |

use aloft_base::Tenant;
use aloft_codec::{KeyWriter, Reader, Unknown, Writer};
use aloft_store::layout::Id;
use aloft_store::{Entry, Error, Key};
use bytes::Bytes;

use crate::KeyId;

const SEAL: Id = Id::platform(8);
const FORMAT: u8 = 1;
const ROOT: u8 = 1;
const DATA: u8 = 2;

/// The root key as it lies in the store.
pub(crate) struct Root {
    pub(crate) master: KeyId,
    pub(crate) sealed: Bytes,
    pub(crate) unknown: Unknown,
}

pub(crate) fn root_key() -> Result<Key, Error> {
    SEAL.key(&[ROOT])
}

pub(crate) fn write_root(root: &Root) -> Bytes {
    Writer::new(FORMAT)
        .text(1, root.master.as_str())
        .bytes(2, &root.sealed)
        .unknown(&root.unknown)
        .finish()
}

pub(crate) fn read_root(entry: &Entry) -> Result<Root, Error> {
    let read = || {
        let (mut master, mut sealed, mut unknown) = (None, None, Unknown::default());
        let mut fields = Reader::new(&entry.value, FORMAT)?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => master = Some(KeyId::from_stored(field.text()?)),
                2 => sealed = Some(field.bytes()),
                _ => unknown.keep(&field),
            }
        }
        Ok((master, sealed, unknown))
    };
    let corrupt = |reason: String| Error::corrupt("the root key's row", reason);
    let (master, sealed, unknown) = read().map_err(|error: aloft_codec::Error| corrupt(error.to_string()))?;
    match (master, sealed) {
        (Some(master), Some(sealed)) => Ok(Root {
            master,
            sealed,
            unknown,
        }),
        _ => Err(corrupt("a field is missing".to_owned())),
    }
}

pub(crate) fn data_key(tenant: &Tenant, kind: &str) -> Result<Key, Error> {
    SEAL.key(
        &KeyWriter::new()
            .u8(DATA)
            .text(tenant.as_str())
            .text(kind)
            .finish(),
    )
}
