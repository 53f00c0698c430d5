//! How secrets lie in the store. Below the id that a name is bound to:
//!
//! | key after the id | value |
//! |---|---|
//! | 1 | the secret, with its versions and labels |
//! | 2, version | a value, sealed: a byte that says whether it is text, and its bytes |
//!
//! Below the platform's id 9, what is to be removed when: 1, time, tenant, region, name.

use aloft_base::{Region, Tenant, Timestamp};
use aloft_codec::{Error, KeyReader, KeyWriter, Reader, Writer};
use aloft_store::layout::{Id, Namespace};
use aloft_store::{Key, KeyRange};
use bytes::Bytes;

use crate::{Secret, Version};

const DELETED: Id = Id::platform(9);
const FORMAT: u8 = 1;
const SECRET: u8 = 1;
const VALUE: u8 = 2;
const DUE: u8 = 1;

pub(crate) fn key(id: Id) -> Result<Key, aloft_store::Error> {
    id.key(&[SECRET])
}

pub(crate) fn value_key(id: Id, version: &str) -> Result<Key, aloft_store::Error> {
    id.key(&KeyWriter::new().u8(VALUE).text(version).finish())
}

pub(crate) fn deleted() -> KeyRange {
    DELETED.prefix(&[DUE])
}

pub(crate) fn due_key(at: Timestamp, namespace: &Namespace, name: &str) -> Result<Key, aloft_store::Error> {
    let writer = KeyWriter::new().u8(DUE).u64(at.as_millis());
    let writer = writer
        .text(namespace.tenant.as_str())
        .text(namespace.region.as_str());
    DELETED.key(&writer.text(name).finish())
}

/// When what is to be removed.
pub(crate) fn read_due(key: &Key) -> Result<(Timestamp, Namespace, String), aloft_store::Error> {
    let corrupt = |reason: String| aloft_store::Error::corrupt("the time of a secret's removal", reason);
    let rest = DELETED.rest(key).unwrap_or_default();
    let read = || {
        let mut parts = KeyReader::new(rest.get(1..).unwrap_or_default());
        let read = (parts.u64()?, parts.text()?, parts.text()?, parts.text()?);
        parts.end().map(|()| read)
    };
    let (at, tenant, region, name) = read().map_err(|error: Error| corrupt(error.to_string()))?;
    let tenant = tenant
        .parse::<Tenant>()
        .map_err(|error| corrupt(error.to_string()))?;
    let region = region
        .parse::<Region>()
        .map_err(|error| corrupt(error.to_string()))?;
    Ok((Timestamp::from_millis(at), Namespace { tenant, region }, name))
}

pub(crate) fn write(secret: &Secret) -> Bytes {
    let Secret {
        name: _,
        suffix,
        description,
        created,
        changed,
        deleted,
        tags,
        versions,
        unknown,
    } = secret;
    let mut writer = Writer::new(FORMAT)
        .text(1, suffix)
        .text(2, description)
        .u64(3, created.as_millis())
        .u64(4, changed.as_millis());
    if let Some((at, gone)) = deleted {
        writer = writer.u64(5, at.as_millis()).u64(6, gone.as_millis());
    }
    for (name, value) in tags {
        writer = writer.pair(7, name, value);
    }
    for version in versions {
        writer = writer.nested(8, |mut writer| {
            writer = writer.text(1, &version.id).u64(2, version.created.as_millis());
            for stage in &version.stages {
                writer = writer.text(3, stage);
            }
            writer
        });
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read(name: &str, value: &Bytes) -> Result<Secret, Error> {
    let mut secret = Secret {
        name: name.to_owned(),
        ..Secret::default()
    };
    let (mut at, mut gone) = (None, None);
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => field.text()?.clone_into(&mut secret.suffix),
            2 => field.text()?.clone_into(&mut secret.description),
            3 => secret.created = Timestamp::from_millis(field.u64()?),
            4 => secret.changed = Timestamp::from_millis(field.u64()?),
            5 => at = Some(Timestamp::from_millis(field.u64()?)),
            6 => gone = Some(Timestamp::from_millis(field.u64()?)),
            7 => secret.tags.extend([field.pair()?]),
            8 => secret.versions.push(read_version(field.nested()?)?),
            _ => secret.unknown.keep(&field),
        }
    }
    secret.deleted = at.zip(gone);
    Ok(secret)
}

fn read_version(mut fields: Reader) -> Result<Version, Error> {
    let mut version = Version::default();
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => field.text()?.clone_into(&mut version.id),
            2 => version.created = Timestamp::from_millis(field.u64()?),
            3 => version.stages.extend([field.text()?.to_owned()]),
            _ => {}
        }
    }
    Ok(version)
}
