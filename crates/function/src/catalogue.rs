//! Which version of a function runs now.

use std::collections::BTreeMap;
use std::sync::Arc;

use aloft_base::FunctionName;
use arc_swap::ArcSwap;

use crate::Version;

/// Which version of each function runs now.
#[derive(Debug, Default)]
pub struct Catalogue(ArcSwap<BTreeMap<FunctionName, Arc<Version>>>);

impl Catalogue {
    /// A catalogue without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version of a function that runs now.
    pub fn current(&self, function: &FunctionName) -> Option<Arc<Version>> {
        self.0.load().get(function).cloned()
    }

    /// Every function's current version, by name.
    pub fn all(&self) -> Vec<Arc<Version>> {
        self.0.load().values().cloned().collect()
    }

    /// Replaces all versions at once.
    pub fn replace<V: Into<Arc<Version>>>(&self, versions: impl IntoIterator<Item = V>) {
        let versions = versions.into_iter().map(Into::into);
        let by_name = versions.map(|version| (version.function.clone(), version));
        self.0.store(Arc::new(by_name.collect()));
    }
}
