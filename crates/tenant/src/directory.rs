//! What is known in memory: all accounts and keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::Tenant;
use arc_swap::{ArcSwap, Guard};

use crate::keys::AccessKey;
use crate::rate::Rate;
use crate::tenants::Account;

/// All accounts and keys. A look-up takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    known: ArcSwap<Known>,
    changing: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) accounts: BTreeMap<Tenant, Arc<Account>>,
    pub(crate) names: BTreeMap<String, Tenant>,
    pub(crate) keys: BTreeMap<String, Arc<AccessKey>>,
    pub(crate) rates: BTreeMap<Tenant, Arc<Rate>>,
}

impl Directory {
    pub(crate) fn load(&self) -> Guard<Arc<Known>> {
        self.known.load()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Known::clone(&self.known.load());
        let changed = change(&mut known);
        self.known.store(Arc::new(known));
        changed
    }
}

impl Known {
    pub(crate) fn keep_account(&mut self, account: Account, rate: impl FnOnce() -> Rate) {
        let rate = self
            .rates
            .entry(account.id.clone())
            .or_insert_with(|| Arc::new(rate()));
        rate.set(account.quotas.requests);
        self.names.insert(account.name.clone(), account.id.clone());
        self.accounts.insert(account.id.clone(), Arc::new(account));
    }

    pub(crate) fn forget_account(&mut self, account: &Account) {
        self.names.remove(&account.name);
        self.accounts.remove(&account.id);
        self.rates.remove(&account.id);
        let is_its = |key: &AccessKey| key.owner == crate::Owner::Tenant(account.id.clone());
        self.keys.retain(|_, key| !is_its(key));
    }

    pub(crate) fn keep_key(&mut self, key: AccessKey) {
        self.keys.insert(key.id.clone(), Arc::new(key));
    }
}
