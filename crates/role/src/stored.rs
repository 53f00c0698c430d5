//! How a role lies in the store: one row below the id that its name is bound to.

use aloft_base::Timestamp;
use aloft_codec::{Error, Reader, Writer};
use aloft_store::Key;
use aloft_store::layout::Id;
use bytes::Bytes;

use crate::Role;

const FORMAT: u8 = 1;
const ROW: u8 = 1;

pub(crate) fn key(id: Id) -> Result<Key, aloft_store::Error> {
    id.key(&[ROW])
}

pub(crate) fn write(role: &Role) -> Bytes {
    let Role {
        name: _,
        path,
        id,
        created,
        trust,
        description,
        session,
        policies,
        attached,
        tags,
        unknown,
    } = role;
    let mut writer = Writer::new(FORMAT)
        .text(1, path)
        .u64(2, *id)
        .u64(3, created.as_millis())
        .text(4, trust)
        .text(5, description)
        .u64(6, (*session).into());
    for (name, text) in policies {
        writer = writer.pair(7, name, text);
    }
    for arn in attached {
        writer = writer.text(8, arn);
    }
    for (name, value) in tags {
        writer = writer.pair(9, name, value);
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read(name: &str, value: &Bytes) -> Result<Role, Error> {
    let mut role = Role {
        name: name.to_owned(),
        ..Role::default()
    };
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => field.text()?.clone_into(&mut role.path),
            2 => role.id = field.u64()?,
            3 => role.created = Timestamp::from_millis(field.u64()?),
            4 => field.text()?.clone_into(&mut role.trust),
            5 => field.text()?.clone_into(&mut role.description),
            6 => role.session = field.u32()?,
            7 => role.policies.extend([field.pair()?]),
            8 => role.attached.extend([field.text()?.to_owned()]),
            9 => role.tags.extend([field.pair()?]),
            _ => role.unknown.keep(&field),
        }
    }
    Ok(role)
}
