//! The accounts of a store: their names and quotas, and the keys by which requests are signed.
//!
//! An account has twelve digits, which no other has had before, and a name for people. It owns everything else; its names are its own.
//! An *access key* proves who asks: its id stands in the request, its secret signs it. The secret is drawn here, shown once, and lies in the
//! store sealed ([`aloft_seal`]). An account has [`Tenants::MAX_KEYS`] of them at most; an administrator's key is of no account, and may
//! make accounts and keys.
//!
//! One process owns a store, so what it knows in memory is what there is: a revoked key is refused by the next request, and nobody's request
//! reads the store to find who asks. What is changed is durable before it is known here.
//!
//! A quota bounds what an account may have ([`Quotas`]); whoever hands it out asks. Requests per second are counted here ([`Rate`]).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use aloft_base::{SystemChance, SystemClock};
//! use aloft_seal::{MasterKey, Seal};
//! use aloft_store::Memory;
//! use aloft_tenant::{Owner, Tenants};
//!
//! let (store, chance) = (Arc::new(Memory::new(Arc::new(SystemClock))), Arc::new(SystemChance));
//! let seal = Seal::open(store.clone(), &MasterKey::draw(&SystemChance), chance.clone()).await.unwrap();
//! let tenants = Tenants::open(store, seal, Arc::new(SystemClock), chance).await?;
//! let account = tenants.add("acme").await?;
//! let (key, secret) = tenants.create_key(Owner::Tenant(account.id.clone())).await?;
//! let found = tenants.key(&key.id).unwrap();
//! assert_eq!(tenants.secret(&found).await?.expose(), secret.expose());
//! tenants.revoke(&key.id).await?;
//! assert!(tenants.key(&key.id).is_none());
//! # Ok::<(), aloft_tenant::Error>(())
//! # }).unwrap();
//! ```

mod directory;
mod error;
mod keys;
mod quotas;
mod rate;
mod stored;
mod tenants;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use keys::{AccessKey, Owner};
pub use quotas::{Change, Quotas};
pub use rate::Rate;
pub use tenants::{Account, Tenants};
