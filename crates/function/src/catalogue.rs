//! Which version each call of a function gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aloft_base::{Chance, FunctionId, Tenant};
use aloft_call::{AliasName, Qualifier};
use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::{Alias, Allowance, FunctionUrl, OfCall, Reserved, UrlId, Version};

/// Which version each call of a function gets, as far as this node knows: those of the project, all at once; and of what users made by
/// the API, what was called since it last changed ([`Load`](crate::Load) finds the rest).
///
/// A look-up takes no lock. Memory only: the store is the truth.
#[derive(Debug, Default)]
pub struct Catalogue {
    project: ArcSwap<BTreeMap<FunctionId, Arc<Version>>>,
    made: ArcSwap<BTreeMap<FunctionId, Arc<Made>>>,
    urls: ArcSwap<BTreeMap<UrlId, Arc<FunctionUrl>>>,
    reserved: ArcSwap<Reserved>,
    provisioned: ArcSwap<BTreeMap<FunctionId, usize>>,
    changes: Mutex<Changes>,
    changed: Notify,
}

/// What is known of a function that was made by the API.
#[derive(Debug, Clone, Default)]
struct Made {
    /// By number; 0 is `$LATEST`.
    versions: BTreeMap<u64, Arc<Version>>,
    aliases: BTreeMap<AliasName, Alias>,
    /// What becomes of asynchronous calls, by the names that are known to be there.
    events: BTreeMap<Qualifier, Arc<OfCall>>,
}

#[derive(Debug, Default)]
struct Changes {
    /// How often something was forgotten.
    epoch: u64,
    /// Functions that were forgotten and that nobody has looked at since.
    functions: BTreeSet<FunctionId>,
}

/// What a look-up finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The version.
    Version(Arc<Version>),
    /// Nothing: what is to be loaded. For an alias that is known it is the version that was chosen for this call.
    Unknown(Qualifier),
}

impl Catalogue {
    /// A catalogue without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version for one call. An alias that splits calls is asked each time.
    pub fn find(&self, function: &FunctionId, qualifier: &Qualifier, chance: &dyn Chance) -> Found {
        let unknown = || Found::Unknown(qualifier.clone());
        if let Some(version) = self.project.load().get(function) {
            // A project has no other versions, and what is not there must be asked for where the error is made.
            return match qualifier {
                Qualifier::Latest => Found::Version(version.clone()),
                Qualifier::Version(_) | Qualifier::Alias(_) => unknown(),
            };
        }
        let made = self.made.load();
        let Some(made) = made.get(function) else {
            return unknown();
        };
        let number = match qualifier {
            Qualifier::Latest => 0,
            Qualifier::Version(number) => *number,
            Qualifier::Alias(name) => match made.aliases.get(name) {
                Some(alias) => alias.choose(chance),
                None => return unknown(),
            },
        };
        match made.versions.get(&number) {
            Some(version) => Found::Version(version.clone()),
            None => Found::Unknown(Qualifier::numbered(number)),
        }
    }

    /// The version with this number, 0 for `$LATEST`, if it is known.
    pub fn numbered(&self, function: &FunctionId, number: u64) -> Option<Arc<Version>> {
        if let Some(version) = self.project.load().get(function) {
            return (number == 0).then(|| version.clone());
        }
        self.made.load().get(function)?.versions.get(&number).cloned()
    }

    /// The version of the project's function.
    pub fn of_project(&self, function: &FunctionId) -> Option<Arc<Version>> {
        self.project.load().get(function).cloned()
    }

    /// The versions of all the project's functions of an account, by name.
    pub fn project(&self, tenant: &Tenant) -> Vec<Arc<Version>> {
        let project = self.project.load();
        let own = project
            .values()
            .filter(|version| version.function.tenant == *tenant);
        own.cloned().collect()
    }

    /// Replaces all of the project's versions at once: a call sees either the former set or the new one, never a mixture.
    pub fn replace<V: Into<Arc<Version>>>(&self, versions: impl IntoIterator<Item = V>) {
        let versions = versions.into_iter().map(Into::into);
        let by_name = versions.map(|version| (version.function.clone(), version));
        self.project.store(Arc::new(by_name.collect()));
    }

    /// What [`keep`](Self::keep) is told, taken before the store is read.
    pub fn epoch(&self) -> u64 {
        self.changes().epoch
    }

    /// Keeps a version that was made of what the store said, and the alias by which it was asked for. Not if something was forgotten
    /// since the `epoch` was taken: what was read may be old. Answers whether it is kept.
    pub fn keep(&self, epoch: u64, version: &Arc<Version>, alias: Option<Alias>) -> bool {
        let changes = self.changes();
        if changes.epoch != epoch {
            return false;
        }
        let mut all = BTreeMap::clone(&self.made.load());
        // Only this one is copied; of the others a pointer is.
        let made = Arc::make_mut(all.entry(version.function.clone()).or_default());
        made.versions.insert(version.number, version.clone());
        made.aliases
            .extend(alias.map(|alias| (alias.name.clone(), alias)));
        self.made.store(Arc::new(all));
        true
    }

    /// What becomes of asynchronous calls by a name, as it was kept; nothing if the name is not known.
    pub(crate) fn events(&self, function: &FunctionId, name: &Qualifier) -> Option<Arc<OfCall>> {
        self.made.load().get(function)?.events.get(name).cloned()
    }

    /// Keeps what becomes of asynchronous calls by a name that is there as [`keep`](Self::keep) does a version.
    pub(crate) fn keep_events(
        &self,
        epoch: u64,
        function: &FunctionId,
        name: Qualifier,
        events: Arc<OfCall>,
    ) {
        let changes = self.changes();
        if changes.epoch != epoch {
            return;
        }
        let mut all = BTreeMap::clone(&self.made.load());
        let made = Arc::make_mut(all.entry(function.clone()).or_default());
        made.events.insert(name, events);
        self.made.store(Arc::new(all));
    }

    /// The function's address with this id, if it is known.
    pub fn url(&self, id: UrlId) -> Option<Arc<FunctionUrl>> {
        self.urls.load().get(&id).cloned()
    }

    /// Keeps an address as [`keep`](Self::keep) does a version.
    pub fn keep_url(&self, epoch: u64, url: &Arc<FunctionUrl>) -> bool {
        let changes = self.changes();
        if changes.epoch != epoch {
            return false;
        }
        let mut all = BTreeMap::clone(&self.urls.load());
        all.insert(url.id, url.clone());
        self.urls.store(Arc::new(all));
        true
    }

    /// What is reserved for functions.
    pub fn reserved(&self) -> Arc<Reserved> {
        self.reserved.load_full()
    }

    /// Whether this is still what is reserved.
    pub fn is_reserved(&self, seen: &Arc<Reserved>) -> bool {
        Arc::ptr_eq(&self.reserved.load(), seen)
    }

    /// Takes down what is reserved for a function.
    pub fn reserve(&self, function: &FunctionId, calls: Option<usize>) {
        let _changes = self.changes();
        let mut reserved = Reserved::clone(&self.reserved.load());
        reserved.set(function, calls);
        self.reserved.store(Arc::new(reserved));
    }

    /// Takes down what an account may have.
    pub fn allow(&self, tenant: &Tenant, allowance: Allowance) {
        let _changes = self.changes();
        let mut reserved = Reserved::clone(&self.reserved.load());
        reserved.allow(tenant, allowance);
        self.reserved.store(Arc::new(reserved));
    }

    /// The instances that are kept loaded, all names of a function together; of a function that is not in it, none.
    pub fn provisioned(&self) -> Arc<BTreeMap<FunctionId, usize>> {
        self.provisioned.load_full()
    }

    /// Takes down how many instances of a function are kept loaded.
    pub fn provision(&self, function: &FunctionId, instances: usize) {
        let _changes = self.changes();
        let mut provisioned = BTreeMap::clone(&self.provisioned.load());
        match instances {
            0 => provisioned.remove(function),
            instances => provisioned.insert(function.clone(), instances),
        };
        self.provisioned.store(Arc::new(provisioned));
    }

    /// Forgets what is known of a function, because it was changed. Calls that come from now on read the store.
    pub fn forget(&self, function: &FunctionId) {
        let mut changes = self.changes();
        changes.epoch += 1;
        changes.functions.insert(function.clone());
        if self.made.load().contains_key(function) {
            let mut all = BTreeMap::clone(&self.made.load());
            all.remove(function);
            self.made.store(Arc::new(all));
        }
        let urls = self.urls.load();
        if urls.values().any(|url| url.function == *function) {
            let others = urls.iter().filter(|(_, url)| url.function != *function);
            let others = others.map(|(id, url)| (*id, url.clone()));
            self.urls.store(Arc::new(others.collect()));
        }
        drop(changes);
        self.changed.notify_one();
    }

    /// The functions that were forgotten since the last call, once there is one. For one listener.
    pub async fn changed(&self) -> BTreeSet<FunctionId> {
        loop {
            let functions = std::mem::take(&mut self.changes().functions);
            if !functions.is_empty() {
                return functions;
            }
            self.changed.notified().await;
        }
    }

    /// Held while any of it is replaced.
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
