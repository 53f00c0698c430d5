//! Which calls share a bound: those of a function for which some are reserved have one of their own, all others of its account share what
//! is left.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{FunctionId, Tenant};
use aloft_call::Bound;
use aloft_function::{Catalogue, Reserved};
use arc_swap::ArcSwap;

use crate::gate::Gate;

/// The bounds of all functions. They follow what the catalogue says is reserved, and what accounts may have.
pub(crate) struct Slots {
    catalogue: Arc<Catalogue>,
    /// What all functions of an account together may have, where the catalogue says nothing else.
    account: usize,
    known: ArcSwap<Known>,
    /// Held while `known` is replaced.
    following: Mutex<()>,
}

/// What was made of what the catalogue says.
#[derive(Default, Clone)]
struct Known {
    seen: Arc<Reserved>,
    own: BTreeMap<FunctionId, Arc<Gate>>,
    /// Of accounts that were called.
    shared: BTreeMap<Tenant, Arc<Gate>>,
}

impl Known {
    fn of(&self, function: &FunctionId) -> Option<&Arc<Gate>> {
        self.own
            .get(function)
            .or_else(|| self.shared.get(&function.tenant))
    }
}

impl Slots {
    pub(crate) fn new(account: usize, catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            account,
            known: ArcSwap::default(),
            following: Mutex::default(),
        }
    }

    /// The bound of a function's next call.
    pub(crate) fn of(&self, function: &FunctionId) -> Arc<Gate> {
        let known = self.known.load();
        match known.of(function) {
            Some(gate) if self.catalogue.is_reserved(&known.seen) => gate.clone(),
            _ => self.follow(function),
        }
    }

    /// Which bound a function's calls meet, and what to tell of it to one that waited, or could not.
    pub(crate) fn refusal(&self, function: &FunctionId, waited: &str) -> (Bound, String) {
        match self.catalogue.reserved().get(function) {
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
                    self.of(function).limit()
                );
                (Bound::Account, why)
            }
        }
    }

    /// Makes the bounds what the catalogue says, and gives a function's. Who runs or has lined up at a former one ends there.
    fn follow(&self, function: &FunctionId) -> Arc<Gate> {
        let _following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let (former, seen) = (self.known.load(), self.catalogue.reserved());
        let account = |tenant: &Tenant| seen.account(tenant).calls.unwrap_or(self.account);
        let mut known = Known {
            seen: seen.clone(),
            own: BTreeMap::new(),
            shared: former.shared.clone(),
        };
        for (function, calls) in seen.iter() {
            // What was reserved before the account was given less is no more than it has.
            let calls = calls.min(account(&function.tenant));
            let gate = former.own.get(function).cloned();
            let gate = gate.unwrap_or_else(|| Gate::new(calls));
            gate.set_limit(calls);
            known.own.insert(function.clone(), gate);
        }
        // Whoever lined up where nothing is reserved any more goes on by the shared bound.
        for (function, gate) in &former.own {
            if !known.own.contains_key(function) {
                gate.set_limit(account(&function.tenant));
            }
        }
        // Something is left where nobody has said how much an account may have; one that may have nothing has nothing.
        let least = |tenant: &Tenant| usize::from(account(tenant) > 0);
        let left = |tenant: &Tenant| {
            account(tenant)
                .saturating_sub(seen.total(tenant))
                .max(least(tenant))
        };
        for (tenant, gate) in &known.shared {
            gate.set_limit(left(tenant));
        }
        let tenant = &function.tenant;
        let shared = known.shared.entry(tenant.clone());
        let shared = shared.or_insert_with(|| Gate::new(left(tenant))).clone();
        let gate = known.own.get(function).unwrap_or(&shared).clone();
        self.known.store(Arc::new(known));
        gate
    }
}
