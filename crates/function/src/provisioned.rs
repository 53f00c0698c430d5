//! Instances that are kept loaded for a version or an alias: Lambda's provisioned concurrency.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::{FunctionId, FunctionName, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::layout::{Id, Namespace};

use crate::functions::{MAX_ALIASES, MAX_VERSIONS};
use crate::stored::{self, Sort, read_provisioned, write_provisioned};
use crate::{Alias, Error, Functions, Places};

/// How many instances are kept loaded for one of a function's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// So many.
    pub instances: u32,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// How a version does of which instances are kept loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warmth {
    /// Instances that are loaded.
    pub loaded: usize,
    /// Why the last one could not be.
    pub fault: Option<String>,
}

/// Tells how versions do.
pub trait Warm: Send + Sync + 'static {
    /// How the version of a function does that has this number.
    fn warmth(&self, function: &FunctionId, number: u64) -> Warmth;
}

impl Alias {
    /// Its versions, each with its part of so many instances: by their shares, rounded up.
    pub fn parts(&self, instances: u32) -> BTreeMap<u64, u32> {
        let of_other = |share: f64| (f64::from(instances) * share).ceil() as u32;
        let mut parts = BTreeMap::new();
        let mut rest = instances;
        if let Some((other, share)) = self.other {
            let part = of_other(share).min(instances);
            parts.insert(other, part);
            rest = of_other(1.0 - share).min(instances);
        }
        parts.insert(self.version, rest);
        parts
    }
}

impl Functions {
    /// What is kept loaded for one of a function's names, if somebody has said so.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn provisioned(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<Provisioned>, Error> {
        let sort = (Sort::Provisioned, qualifier);
        self.said(namespace, function, sort, read_provisioned).await
    }

    /// Keeps so many instances loaded for one of a function's names, or none any more.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function, version or alias; [`Error::TooManyProvisioned`] and
    /// [`Error::AlreadyProvisioned`] when they could never be loaded, or would be twice.
    pub async fn provision(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        instances: Option<u32>,
        places: Places,
    ) -> Result<Option<Provisioned>, Error> {
        // What others have is nobody's row.
        let _turn = self.reserving().lock().await;
        let change = |_, former: Option<Provisioned>| {
            Ok(instances.map(|instances| Provisioned {
                instances,
                modified: self.now(),
                unknown: former.map(|former| former.unknown).unwrap_or_default(),
            }))
        };
        let (change, sort) = (&change, (Sort::Provisioned, qualifier));
        let provisioned = self.again(namespace, function, |attempt| async move {
            let found = self.find(namespace, function).await?;
            self.is_there(function, found.id, qualifier).await?;
            if let Some(instances) = instances {
                self.check_places(
                    &namespace.function(function),
                    found.id,
                    qualifier,
                    instances,
                    places,
                )
                .await?;
                let mine = self.parts(function, found.id, qualifier, instances).await?;
                self.check_versions(function, found.id, qualifier, &mine).await?;
            }
            let said = self.saying(&found, sort, read_provisioned, write_provisioned, change);
            let (batch, provisioned) = said.await?;
            Ok(self.committed(batch, attempt).await?.then_some(provisioned))
        });
        let provisioned = provisioned.await?;
        // It is done; whoever follows what is changed counts again.
        let _ = self.count(namespace, function).await;
        Ok(provisioned)
    }

    /// Refuses more instances than calls of the function can run at once.
    async fn check_places(
        &self,
        function: &FunctionId,
        id: Id,
        qualifier: &Qualifier,
        instances: u32,
        places: Places,
    ) -> Result<(), Error> {
        let all = self.provisioned_at(id).await?;
        // A node may have been started anew with fewer calls: only more than before can be too many.
        let mut former = all.iter().filter(|(other, _)| other == qualifier);
        if former.any(|(_, former)| instances <= former.instances) {
            return Ok(());
        }
        let others = all.iter().filter(|(other, _)| other != qualifier);
        let of_function = others
            .map(|(_, provisioned)| provisioned.instances as usize)
            .sum();
        let reserved = self.catalogue().reserved();
        // Who has calls reserved shares them with nobody.
        let (most, of_others) = match reserved.get(function) {
            Some(calls) => (calls, 0),
            None => (
                places.all.saturating_sub(reserved.total(&function.tenant)),
                self.shared_instances(function),
            ),
        };
        let instances = instances as usize;
        let fits = instances.saturating_add(of_function).saturating_add(of_others) <= most;
        fits.then_some(()).ok_or(Error::TooManyProvisioned {
            instances,
            most,
            of_function,
            of_others,
        })
    }

    /// Refuses to keep instances loaded of versions for which another name of the function has some.
    async fn check_versions(
        &self,
        function: &FunctionName,
        id: Id,
        qualifier: &Qualifier,
        mine: &BTreeMap<u64, u32>,
    ) -> Result<(), Error> {
        for (other, provisioned) in self.provisioned_at(id).await? {
            if other == *qualifier {
                continue;
            }
            let theirs = self.parts(function, id, &other, provisioned.instances).await?;
            if mine.keys().any(|number| theirs.contains_key(number)) {
                return Err(Error::AlreadyProvisioned {
                    qualifier: qualifier.clone(),
                    other,
                });
            }
        }
        Ok(())
    }

    /// Refuses to move an alias for which instances are kept loaded to a version for which another name has some.
    pub(crate) async fn check_moved(
        &self,
        function: &FunctionName,
        id: Id,
        former: &Alias,
        alias: &Alias,
    ) -> Result<(), Error> {
        let qualifier = Qualifier::Alias(alias.name.clone());
        let key = stored::said_key(id, Sort::Provisioned, alias.name.as_str())?;
        if self.store().get(&key).await?.is_none() {
            return Ok(());
        }
        let mut added = alias.parts(1);
        added.retain(|number, _| !former.points_to(*number));
        self.check_versions(function, id, &qualifier, &added).await
    }

    /// The instances that are kept loaded of functions that share what is not reserved, besides those of one function.
    pub(crate) fn shared_instances(&self, besides: &FunctionId) -> usize {
        let (reserved, provisioned) = (self.catalogue().reserved(), self.catalogue().provisioned());
        let is_shared = |function: &FunctionId| {
            function.tenant == besides.tenant && function != besides && reserved.get(function).is_none()
        };
        let shared = provisioned.iter().filter(|(function, _)| is_shared(function));
        shared.map(|(_, instances)| instances).sum()
    }

    /// Tells the catalogue how many instances of a function are kept loaded. For whoever has the turn.
    pub(crate) async fn count(&self, namespace: &Namespace, function: &FunctionName) -> Result<(), Error> {
        let all = match self.find(namespace, function).await {
            Ok(found) => self.provisioned_at(found.id).await?,
            Err(Error::Missing { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let instances = all.iter().map(|(_, provisioned)| provisioned.instances as usize);
        self.catalogue()
            .provision(&namespace.function(function), instances.sum());
        Ok(())
    }

    /// The same after a name of the function is gone. Where the store fails, whoever follows what is changed counts again.
    pub(crate) async fn recount(&self, namespace: &Namespace, function: &FunctionName) {
        let _turn = self.reserving().lock().await;
        let _ = self.count(namespace, function).await;
    }

    async fn provisioned_at(&self, id: Id) -> Result<Vec<(Qualifier, Provisioned)>, Error> {
        let bounds = (None, MAX_VERSIONS + MAX_ALIASES);
        let all = self.all_said(id, Sort::Provisioned, bounds, read_provisioned);
        Ok(all.await?.0)
    }

    /// Which versions are meant by a name, each with its part of the instances.
    async fn parts(
        &self,
        function: &FunctionName,
        id: Id,
        qualifier: &Qualifier,
        instances: u32,
    ) -> Result<BTreeMap<u64, u32>, Error> {
        match qualifier {
            Qualifier::Latest => Ok(BTreeMap::new()),
            Qualifier::Version(number) => Ok(BTreeMap::from([(*number, instances)])),
            Qualifier::Alias(name) => Ok(self.alias_at(function, id, name).await?.parts(instances)),
        }
    }

    /// What is kept loaded for a function's names, in their order, after `after`: at most `limit`, and whether there is more.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn all_provisioned(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&Qualifier>,
        limit: usize,
    ) -> Result<(Vec<(Qualifier, Provisioned)>, bool), Error> {
        let id = self.find(namespace, function).await?.id;
        self.all_said(id, Sort::Provisioned, (after, limit), read_provisioned)
            .await
    }

    /// How many instances of which versions are to be kept loaded, all names of the function together. Of a version that has it by
    /// several, the most.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn kept(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<BTreeMap<u64, u32>, Error> {
        let mut kept = BTreeMap::new();
        let id = self.find(namespace, function).await?.id;
        for (qualifier, provisioned) in self.provisioned_at(id).await? {
            let parts = self.parts(function, id, &qualifier, provisioned.instances);
            for (number, instances) in parts.await? {
                let most = kept.entry(number).or_insert(0_u32);
                *most = instances.max(*most);
            }
        }
        Ok(kept)
    }
}

/// Nothing is loaded: where no functions run.
impl Warm for () {
    fn warmth(&self, _: &FunctionId, _: u64) -> Warmth {
        Warmth::default()
    }
}

impl<W: Warm> Warm for Arc<W> {
    fn warmth(&self, function: &FunctionId, number: u64) -> Warmth {
        W::warmth(self, function, number)
    }
}
