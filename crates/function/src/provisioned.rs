//! Instances that are kept loaded for a version or an alias: Lambda's provisioned concurrency.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::{FunctionName, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::layout::Namespace;

use crate::functions::MAX_VERSIONS;
use crate::stored::{Sort, read_provisioned, write_provisioned};
use crate::{Alias, Error, Functions};

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
    fn warmth(&self, function: &FunctionName, number: u64) -> Warmth;

    /// How many instances are kept loaded, of those functions that are meant.
    fn kept(&self, is_meant: &dyn Fn(&FunctionName) -> bool) -> usize;
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
    /// [`Error::Missing`] when there is no such function, version or alias.
    pub async fn provision(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        instances: Option<u32>,
    ) -> Result<Option<Provisioned>, Error> {
        let change = |_, former: Option<Provisioned>| {
            Ok(instances.map(|instances| Provisioned {
                instances,
                modified: self.now(),
                unknown: former.map(|former| former.unknown).unwrap_or_default(),
            }))
        };
        let sort = (Sort::Provisioned, qualifier);
        self.say(
            namespace,
            function,
            sort,
            read_provisioned,
            write_provisioned,
            change,
        )
        .await
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
        let mut keep = |number: u64, instances: u32| {
            let most = kept.entry(number).or_insert(0_u32);
            *most = instances.max(*most);
        };
        let (all, _) = self
            .all_provisioned(namespace, function, None, MAX_VERSIONS)
            .await?;
        for (qualifier, provisioned) in all {
            match qualifier {
                Qualifier::Latest => {}
                Qualifier::Version(number) => keep(number, provisioned.instances),
                Qualifier::Alias(name) => {
                    let alias = self.alias(namespace, function, &name).await?;
                    for (number, instances) in alias.parts(provisioned.instances) {
                        keep(number, instances);
                    }
                }
            }
        }
        Ok(kept)
    }
}

/// Nothing is loaded: where no functions run.
impl Warm for () {
    fn warmth(&self, _: &FunctionName, _: u64) -> Warmth {
        Warmth::default()
    }

    fn kept(&self, _: &dyn Fn(&FunctionName) -> bool) -> usize {
        0
    }
}

impl<W: Warm> Warm for Arc<W> {
    fn warmth(&self, function: &FunctionName, number: u64) -> Warmth {
        W::warmth(self, function, number)
    }

    fn kept(&self, is_meant: &dyn Fn(&FunctionName) -> bool) -> usize {
        W::kept(self, is_meant)
    }
}
