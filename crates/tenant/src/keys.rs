//! Access keys: drawn, sealed, found and revoked.

use std::sync::Arc;

use aloft_base::{Chance, Tenant, Timestamp};
use aloft_seal::{Context, Secret};
use aloft_store::{ATTEMPTS, Batch, BatchId, Expect, commit_decided};
use bytes::Bytes;

use crate::{Error, Tenants, stored};

/// Whose an access key is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// An account's: it may do everything there.
    Tenant(Tenant),
    /// An administrator's, who makes accounts and keys, and has none of the accounts' things.
    Administrator,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA` and sixteen characters of A-Z and 2-7.
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// When it was made.
    pub created: Timestamp,
    /// Its secret, sealed.
    pub(crate) sealed: Bytes,
}

/// What an id is drawn from: RFC 4648's base32, as AWS's ids are.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// What a secret is drawn from: base64url's letters, which no shell and no URL changes.
const SECRETS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Tenants {
    /// The most keys of an account, and of administrators.
    pub const MAX_KEYS: usize = 100;

    /// Makes a key. Its secret is known to nobody else, and cannot be shown again.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such account, [`Error::TooManyKeys`].
    pub async fn create_key(&self, owner: Owner) -> Result<(AccessKey, Secret), Error> {
        let inner = &self.0;
        let _turn = inner.changing.lock().await;
        if let Owner::Tenant(tenant) = &owner {
            self.account(tenant)
                .ok_or_else(|| Error::Missing(tenant.to_string()))?;
        }
        if self.keys(Some(&owner)).len() >= Self::MAX_KEYS {
            return Err(Error::TooManyKeys {
                owner: self.called(&owner),
                most: Self::MAX_KEYS,
            });
        }
        let chance = &*inner.chance;
        let id = format!("AKIA{}", drawn(chance, LETTERS, 16));
        let secret = Secret::new(drawn(chance, SECRETS, 40).into_bytes());
        let sealed = inner.seal.seal(&context(&id, &owner), secret.expose()).await?;
        let key = AccessKey {
            created: inner.clock.now(),
            id,
            owner,
            sealed,
        };
        let kept = self.keep_key(&key).await;
        self.settled(kept).await?;
        Ok((key, secret))
    }

    async fn keep_key(&self, key: &AccessKey) -> Result<(), Error> {
        let inner = &self.0;
        for attempt in 1..=ATTEMPTS {
            let row = stored::key_row(&key.id)?;
            let batch = Batch::new(BatchId::draw(&*inner.chance))
                .expect(row.clone(), Expect::Absent)
                .put(row, stored::write_key(key));
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                inner.directory.change(|all| all.keep_key(key.clone()));
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// The key with this id, unless it was revoked. Reads nothing from the store.
    pub fn key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.0.directory.load().keys.get(id).cloned()
    }

    /// The keys of an owner, or all, by their ids.
    pub fn keys(&self, owner: Option<&Owner>) -> Vec<Arc<AccessKey>> {
        let directory = self.0.directory.load();
        let keys = directory.keys.values();
        keys.filter(|key| owner.is_none_or(|owner| key.owner == *owner))
            .cloned()
            .collect()
    }

    /// A key's secret, to check a signature.
    ///
    /// # Errors
    /// When what is stored of it was changed by others.
    pub async fn secret(&self, key: &AccessKey) -> Result<Secret, Error> {
        let context = context(&key.id, &key.owner);
        Ok(self.0.seal.unseal(&context, &key.sealed).await?)
    }

    /// Revokes a key: requests that are signed by it are refused from now on, also when this fails with the store. Then it may be revoked
    /// once more.
    ///
    /// # Errors
    /// [`Error::NoKey`].
    pub async fn revoke(&self, id: &str) -> Result<(), Error> {
        let inner = &self.0;
        let _turn = inner.changing.lock().await;
        let row = stored::key_row(id)?;
        let was_known = inner.directory.change(|all| all.keys.remove(id)).is_some();
        if !was_known && inner.store.get(&row).await?.is_none() {
            return Err(Error::NoKey(id.to_owned()));
        }
        for attempt in 1..=ATTEMPTS {
            let batch = Batch::new(BatchId::draw(&*inner.chance)).delete(row.clone());
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    fn called(&self, owner: &Owner) -> String {
        match owner {
            Owner::Administrator => "the administrator".to_owned(),
            Owner::Tenant(tenant) => {
                let account = self.account(tenant);
                let name = account.map_or_else(|| tenant.to_string(), |account| account.name.clone());
                format!("the tenant \"{name}\"")
            }
        }
    }
}

/// What a sealed secret is bound to. Whose it is belongs to it: a row in which another's account was written is worth nothing.
fn context<'a>(id: &'a str, owner: &'a Owner) -> Context<'a> {
    Context {
        tenant: match owner {
            Owner::Tenant(tenant) => tenant,
            Owner::Administrator => stored::administrators(),
        },
        kind: "access-key",
        name: id,
        version: "",
    }
}

/// So many letters. The alphabets have a power of two, so none is likelier.
fn drawn(chance: &dyn Chance, letters: &[u8], count: usize) -> String {
    let mut bytes = vec![0; count];
    chance.fill(&mut bytes);
    bytes
        .iter()
        .filter_map(|byte| letters.get(usize::from(*byte) % letters.len()))
        .map(|letter| char::from(*letter))
        .collect()
}
