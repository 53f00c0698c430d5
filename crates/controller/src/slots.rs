//! Which calls share a bound: those of a function for which some are reserved have one of their own, all others share what is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::FunctionName;
use aloft_call::Bound;
use aloft_function::{Catalogue, Reserved};
use arc_swap::ArcSwap;

use crate::gate::Gate;

/// The bounds of all functions. They follow what the catalogue says is reserved.
pub(crate) struct Slots {
    catalogue: Arc<Catalogue>,
    /// What all functions together may have.
    account: usize,
    shared: Arc<Gate>,
    own: ArcSwap<Own>,
    /// Held while `own` is replaced.
    following: Mutex<()>,
}

/// What was made of what is reserved.
struct Own {
    seen: Arc<Reserved>,
    gates: BTreeMap<FunctionName, Arc<Gate>>,
}

impl Slots {
    pub(crate) fn new(account: usize, catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            account,
            shared: Gate::new(account),
            own: ArcSwap::from_pointee(Own {
                seen: Arc::default(),
                gates: BTreeMap::new(),
            }),
            following: Mutex::default(),
        }
    }

    /// The bound of a function's next call.
    pub(crate) fn of(&self, function: &FunctionName) -> Arc<Gate> {
        let own = self.own.load();
        if !self.catalogue.is_reserved(&own.seen) {
            self.follow();
            return self
                .own
                .load()
                .gates
                .get(function)
                .unwrap_or(&self.shared)
                .clone();
        }
        own.gates.get(function).unwrap_or(&self.shared).clone()
    }

    /// Which bound a function's calls meet, and what to tell of it to one that waited, or could not.
    pub(crate) fn refusal(&self, function: &FunctionName, waited: &str) -> (Bound, String) {
        let reserved = self.catalogue.reserved().get(function);
        match reserved {
            Some(0) => {
                let why = "nothing of the function is to run: its reserved concurrency is 0";
                (Bound::Nothing, why.to_owned())
            }
            Some(calls) => {
                let why = format!(
                    "as many calls of the function run as are reserved for it ({calls}), and {waited}"
                );
                (Bound::Reserved, why)
            }
            None => {
                let why = format!(
                    "as many calls run as may of all functions together ({}), and {waited}",
                    self.shared.limit()
                );
                (Bound::Account, why)
            }
        }
    }

    /// Makes the bounds what the catalogue says. Who runs or has lined up at a former one ends there.
    fn follow(&self) {
        let _following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, seen) = (self.own.load(), self.catalogue.reserved());
        if Arc::ptr_eq(&own.seen, &seen) {
            return;
        }
        let mut gates = BTreeMap::new();
        for (function, calls) in seen.iter() {
            let gate = own.gates.get(function).cloned();
            let gate = gate.unwrap_or_else(|| Gate::new(calls));
            gate.set_limit(calls);
            gates.insert(function.clone(), gate);
        }
        // Whoever lined up where nothing is reserved any more goes on by the shared bound.
        let gone: Vec<_> = own
            .gates
            .iter()
            .filter(|(name, _)| !gates.contains_key(*name))
            .collect();
        for (_, gate) in gone {
            gate.set_limit(self.account);
        }
        let left = self.account.saturating_sub(seen.total());
        self.own.store(Arc::new(Own { seen, gates }));
        self.shared.set_limit(left.max(1));
    }
}
