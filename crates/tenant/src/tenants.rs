//! Accounts: made, listed, bounded and removed.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, Region, Tenant, Timestamp};
use aloft_codec::Unknown;
use aloft_seal::Seal;
use aloft_store::layout::{self, Namespace};
use aloft_store::{ATTEMPTS, Batch, BatchId, Direction, Entry, Expect, KeyRange, Store, commit_decided};

use crate::directory::{Directory, Known};
use crate::quotas::{Change, Quotas};
use crate::rate::Rate;
use crate::{Error, stored};

/// Rows that are read at a time.
const PAGE: usize = 1_000;
/// What an account's owner makes, by the layout's names of kinds. Logs are deleted by whoever removes an account; what deliveries and queues
/// have kept of it stays as rows that nobody reaches.
const KINDS: [&str; 5] = ["function", "layer", "table", "secret", "role"];
/// The longest name.
const NAME: usize = 40;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its twelve digits.
    pub id: Tenant,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it may have.
    pub quotas: Quotas,
    /// Whether it is only remembered.
    pub(crate) is_removed: bool,
    /// Fields that a newer release wrote.
    pub(crate) unknown: Unknown,
}

/// The accounts of a store. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Tenants(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) seal: Seal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) directory: Directory,
    /// Held by whoever changes anything: what is known follows what is stored.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Tenants {
    /// Reads the accounts and keys of a store.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(
        store: Arc<dyn Store>,
        seal: Seal,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, Error> {
        let tenants = Self(Arc::new(Inner {
            store,
            seal,
            clock,
            chance,
            directory: Directory::default(),
            changing: tokio::sync::Mutex::default(),
        }));
        tenants.read().await?;
        Ok(tenants)
    }

    /// Knows what is stored, and nothing else.
    async fn read(&self) -> Result<(), Error> {
        let inner = &self.0;
        let mut known = Known {
            // Whoever has used up his share has it used up still.
            rates: inner.directory.load().rates.clone(),
            ..Known::default()
        };
        for entry in rows(&*inner.store, stored::accounts()).await? {
            let account = stored::read_account(&entry.value).map_err(|error| corrupt(&entry, error))?;
            if !account.is_removed {
                let rate = Rate::new(account.quotas.requests, inner.clock.instant());
                known.keep_account(account, || rate);
            }
        }
        for entry in rows(&*inner.store, stored::keys()).await? {
            known.keep_key(stored::read_key(&entry.value).map_err(|error| corrupt(&entry, error))?);
        }
        inner.directory.change(|all| *all = known);
        Ok(())
    }

    /// What became of a change. Where nobody knows, what is stored is read again; where that fails, too, the next change does.
    pub(crate) async fn settled<T>(&self, changed: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Store(_) | Error::Contended) = &changed
            && let Err(error) = self.read().await
        {
            tracing::warn!(%error, "what became of a change of accounts is not known yet");
        }
        changed
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Exists`].
    pub async fn add(&self, name: &str) -> Result<Arc<Account>, Error> {
        let inner = &self.0;
        if !is_name(name) {
            return Err(Error::Name(name.chars().take(100).collect()));
        }
        let _turn = inner.changing.lock().await;
        let made = self.add_one(name).await;
        self.settled(made).await
    }

    async fn add_one(&self, name: &str) -> Result<Arc<Account>, Error> {
        let inner = &self.0;
        if self.named(name).is_some() {
            return Err(Error::Exists(name.to_owned()));
        }
        for attempt in 1..=ATTEMPTS {
            let Some(id) = digits(&*inner.chance) else {
                continue;
            };
            let account = Account {
                id,
                name: name.to_owned(),
                created: inner.clock.now(),
                quotas: Quotas::default(),
                is_removed: false,
                unknown: Unknown::default(),
            };
            let (row, bound) = (stored::account_row(&account.id)?, stored::name_row(name)?);
            let batch = Batch::new(BatchId::draw(&*inner.chance))
                .expect(row.clone(), Expect::Absent)
                .expect(bound.clone(), Expect::Absent)
                .put(row, stored::write_account(&account))
                .put(
                    bound,
                    bytes::Bytes::copy_from_slice(account.id.as_str().as_bytes()),
                );
            // A conflict means that these digits were given before: others are drawn.
            if commit_decided(&*inner.store, batch, attempt, &*inner.chance).await? {
                let rate = Rate::new(None, inner.clock.instant());
                let id = account.id.clone();
                inner.directory.change(|all| all.keep_account(account, || rate));
                return self.account(&id).ok_or(Error::Contended);
            }
        }
        Err(Error::Contended)
    }

    /// All accounts, by their digits.
    pub fn list(&self) -> Vec<Arc<Account>> {
        self.0.directory.load().accounts.values().cloned().collect()
    }

    /// The account with these digits.
    pub fn account(&self, tenant: &Tenant) -> Option<Arc<Account>> {
        self.0.directory.load().accounts.get(tenant).cloned()
    }

    /// The account of this name, or with these digits.
    pub fn named(&self, name: &str) -> Option<Arc<Account>> {
        let directory = self.0.directory.load();
        let by_digits = name
            .parse()
            .ok()
            .and_then(|id: Tenant| directory.accounts.get(&id));
        let by_name = || {
            directory
                .names
                .get(name)
                .and_then(|id| directory.accounts.get(id))
        };
        by_digits.or_else(by_name).cloned()
    }

    /// Takes a request of an account's share. Of an account that is not there it is nobody's matter how many come.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub fn take(&self, tenant: &Tenant) -> Result<(), Duration> {
        let directory = self.0.directory.load();
        let rate = directory.rates.get(tenant);
        rate.map_or(Ok(()), |rate| rate.take(self.0.clock.instant()))
    }

    /// Changes what an account may have.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn set_quotas(&self, name: &str, change: Change) -> Result<Arc<Account>, Error> {
        let _turn = self.0.changing.lock().await;
        let account = self.named(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        let changed = Account {
            quotas: account.quotas.with(change),
            ..Account::clone(&account)
        };
        let written = self.write(&changed, Ok).await;
        self.settled(written).await?;
        self.0
            .directory
            .change(|all| all.keep_account(changed, || Rate::new(None, self.0.clock.instant())));
        self.account(&account.id).ok_or(Error::Contended)
    }

    /// Removes an account with its keys. What it has by name must be gone: nothing drops a table that somebody still fills.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::InUse`].
    pub async fn remove(&self, name: &str, region: &Region) -> Result<Arc<Account>, Error> {
        let _turn = self.0.changing.lock().await;
        let account = self.named(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        let namespace = Namespace::new(&account.id, region);
        for kind in KINDS {
            let (found, _) = layout::list(&*self.0.store, &namespace, kind, None, 1).await?;
            if let Some((thing, _)) = found.first() {
                return Err(Error::InUse {
                    name: account.name.clone(),
                    what: format!("the {kind} \"{thing}\""),
                });
            }
        }
        let keys = self.keys(Some(&crate::Owner::Tenant(account.id.clone())));
        let removed = Account {
            is_removed: true,
            ..Account::clone(&account)
        };
        // Its keys are good for nothing from here on, whatever becomes of the rest.
        self.0.directory.change(|all| {
            for key in &keys {
                all.keys.remove(&key.id);
            }
        });
        let written = self.write(&removed, |mut batch| {
            batch = batch.delete(stored::name_row(&account.name)?);
            for key in &keys {
                batch = batch.delete(stored::key_row(&key.id)?);
            }
            Ok(batch)
        });
        let written = written.await;
        self.settled(written).await?;
        self.0.directory.change(|all| all.forget_account(&account));
        Ok(account)
    }

    async fn write(
        &self,
        account: &Account,
        besides: impl Fn(Batch) -> Result<Batch, Error>,
    ) -> Result<(), Error> {
        let inner = &self.0;
        for attempt in 1..=ATTEMPTS {
            let row = stored::account_row(&account.id)?;
            let batch = Batch::new(BatchId::draw(&*inner.chance)).put(row, stored::write_account(account));
            if commit_decided(&*inner.store, besides(batch)?, attempt, &*inner.chance).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }
}

async fn rows(store: &dyn Store, mut range: KeyRange) -> Result<Vec<Entry>, Error> {
    let mut rows = Vec::<Entry>::new();
    loop {
        let snapshot = store.snapshot().await?;
        let page = snapshot.scan(&range, Direction::Forward, PAGE).await?;
        rows.extend(page.entries);
        match rows.last() {
            Some(last) if page.more => range = range.after(&last.key),
            _ => return Ok(rows),
        }
    }
}

fn corrupt(entry: &Entry, error: aloft_codec::Error) -> Error {
    let what = format!("an account's row \"{}\"", entry.key.as_ref().escape_ascii());
    aloft_store::Error::corrupt(what, error).into()
}

fn is_name(name: &str) -> bool {
    (1..=NAME).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Digits of an account. The first is none of those with which the account of a node by itself begins.
fn digits(chance: &dyn Chance) -> Option<Tenant> {
    let number = 100_000_000_000 + chance.next_u64() % 900_000_000_000;
    number.to_string().parse().ok()
}
