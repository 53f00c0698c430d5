//! Whether the node can do its work, and why not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What stands in the way of readiness, by who says so.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<&'static str, String>>);

impl Readiness {
    /// Says that something is not ready, and why.
    pub fn hinder(&self, who: &'static str, why: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(who, why.into());
    }

    /// Says that it is ready again.
    pub fn clear(&self, who: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }

    /// What stands in the way, in words; nothing if the node is ready.
    pub fn reasons(&self) -> Vec<String> {
        let hindrances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hindrances
            .iter()
            .map(|(who, why)| format!("{who}: {why}"))
            .collect()
    }
}
