//! How accounts and keys lie in the store: rows under the platform's id 10.
//!
//! | key | value |
//! |---|---|
//! | 1, account | name, when it was made, quotas, whether it was removed |
//! | 2, name | account |
//! | 3, key's id | whose it is, when it was made, its sealed secret |
//!
//! The row of an account that was removed stays, so that its digits are never given to another.

use std::sync::LazyLock;

use aloft_base::{Size, Tenant, Timestamp};
use aloft_codec::{Error, KeyWriter, Reader, Writer};
use aloft_store::layout::Id;
use aloft_store::{Key, KeyRange};
use bytes::Bytes;

use crate::keys::{AccessKey, Owner};
use crate::quotas::Quotas;
use crate::tenants::Account;

const FORMAT: u8 = 1;
const TENANTS: Id = Id::platform(10);

const ACCOUNT: u8 = 1;
const NAME: u8 = 2;
const KEY: u8 = 3;

fn row(sort: u8, name: &str) -> Result<Key, aloft_store::Error> {
    TENANTS.key(&KeyWriter::new().raw(&[sort]).text(name).finish())
}

pub(crate) fn account_row(tenant: &Tenant) -> Result<Key, aloft_store::Error> {
    row(ACCOUNT, tenant.as_str())
}

pub(crate) fn name_row(name: &str) -> Result<Key, aloft_store::Error> {
    row(NAME, name)
}

pub(crate) fn key_row(id: &str) -> Result<Key, aloft_store::Error> {
    row(KEY, id)
}

pub(crate) fn accounts() -> KeyRange {
    TENANTS.prefix(&[ACCOUNT])
}

pub(crate) fn keys() -> KeyRange {
    TENANTS.prefix(&[KEY])
}

/// Under whose name the secrets of administrators' keys are sealed: the account that a node has by itself.
pub(crate) fn administrators() -> &'static Tenant {
    static LOCAL: LazyLock<Tenant> = LazyLock::new(Tenant::local);
    &LOCAL
}

pub(crate) fn write_account(account: &Account) -> Bytes {
    let Account {
        id,
        name,
        created,
        quotas,
        is_removed,
        unknown,
    } = account;
    let Quotas {
        functions,
        concurrency,
        storage,
        requests,
    } = quotas;
    let mut writer = Writer::new(FORMAT)
        .text(1, id.as_str())
        .text(2, name)
        .u64(3, created.as_millis())
        .u64(4, u64::from(*is_removed));
    for (number, value) in [
        (5, *functions),
        (6, *concurrency),
        (7, storage.map(Size::bytes)),
        (8, *requests),
    ] {
        if let Some(value) = value {
            writer = writer.u64(number, value);
        }
    }
    writer.unknown(unknown).finish()
}

pub(crate) fn read_account(value: &Bytes) -> Result<Account, Error> {
    let mut id = None;
    let mut account = Account {
        id: Tenant::local(),
        name: String::new(),
        created: Timestamp::default(),
        quotas: Quotas::default(),
        is_removed: false,
        unknown: aloft_codec::Unknown::default(),
    };
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => id = field.text()?.parse().ok(),
            2 => field.text()?.clone_into(&mut account.name),
            3 => account.created = Timestamp::from_millis(field.u64()?),
            4 => account.is_removed = field.u64()? == 1,
            5 => account.quotas.functions = Some(field.u64()?),
            6 => account.quotas.concurrency = Some(field.u64()?),
            7 => account.quotas.storage = Some(Size::from_bytes(field.u64()?)),
            8 => account.quotas.requests = Some(field.u64()?),
            _ => account.unknown.keep(&field),
        }
    }
    account.id = id.ok_or(malformed("an account's digits"))?;
    Ok(account)
}

pub(crate) fn write_key(key: &AccessKey) -> Bytes {
    let mut writer = Writer::new(FORMAT)
        .text(1, &key.id)
        .u64(2, key.created.as_millis())
        .bytes(3, &key.sealed);
    if let Owner::Tenant(tenant) = &key.owner {
        writer = writer.text(4, tenant.as_str());
    }
    writer.finish()
}

pub(crate) fn read_key(value: &Bytes) -> Result<AccessKey, Error> {
    let (mut id, mut owner) = (None, Owner::Administrator);
    let (mut created, mut sealed) = (Timestamp::default(), Bytes::new());
    let mut fields = Reader::new(value, FORMAT)?;
    while let Some(field) = fields.next()? {
        match field.number() {
            1 => id = Some(field.text()?.to_owned()),
            2 => created = Timestamp::from_millis(field.u64()?),
            3 => sealed = field.bytes(),
            4 => {
                let tenant = field.text()?.parse();
                owner = Owner::Tenant(tenant.map_err(|_| malformed("an account's digits"))?);
            }
            _ => {}
        }
    }
    Ok(AccessKey {
        id: id.ok_or(malformed("a key's id"))?,
        owner,
        created,
        sealed,
    })
}

fn malformed(expected: &'static str) -> Error {
    Error::Malformed { expected, at: 0 }
}
