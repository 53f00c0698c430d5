//! Calls that are reserved for functions: as many of a function run at once as these, and nobody else has them. What is kept loaded needs
//! its calls: nothing is reserved that would take them away.

use std::collections::BTreeMap;

use aloft_base::{FunctionId, FunctionName, Tenant};
use aloft_store::layout::{self, Namespace};

use crate::functions::KIND;
use crate::{Error, Functions};

/// Functions whose heads are read at once.
const PAGE: usize = 1_000;

/// Calls that a node runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// All of them.
    pub all: usize,
    /// Those that cannot be reserved: they stay for functions that have none of their own.
    pub unreserved: usize,
}

/// What an account may have; what is none is not bounded for it alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Calls that run at once.
    pub calls: Option<usize>,
    /// Functions.
    pub functions: Option<usize>,
}

/// What is reserved for which function, and what accounts may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved {
    functions: BTreeMap<FunctionId, usize>,
    accounts: BTreeMap<Tenant, Allowance>,
}

impl Reserved {
    /// The calls that are reserved for a function, if some are; 0 when nothing of it is to run.
    pub fn get(&self, function: &FunctionId) -> Option<usize> {
        self.functions.get(function).copied()
    }

    /// The functions, each with its calls.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionId, usize)> {
        self.functions.iter().map(|(function, calls)| (function, *calls))
    }

    /// The calls that are reserved for all functions of an account together.
    pub fn total(&self, tenant: &Tenant) -> usize {
        let own = self.iter().filter(|(function, _)| function.tenant == *tenant);
        own.map(|(_, calls)| calls).sum()
    }

    /// What an account may have.
    pub fn account(&self, tenant: &Tenant) -> Allowance {
        self.accounts.get(tenant).copied().unwrap_or_default()
    }

    pub(crate) fn allow(&mut self, tenant: &Tenant, allowance: Allowance) {
        self.accounts.insert(tenant.clone(), allowance);
    }

    pub(crate) fn set(&mut self, function: &FunctionId, calls: Option<usize>) {
        match calls {
            Some(calls) => self.functions.insert(function.clone(), calls),
            None => self.functions.remove(function),
        };
    }
}

impl Functions {
    /// What is reserved for a function.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn reserved(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<u32>, Error> {
        Ok(self.find(namespace, function).await?.head.reserved)
    }

    /// Reserves calls for a function, or none any more. Calls that come from now on meet the new bound. Only more of them than before can be
    /// too many: whoever gives some up may do so also when more are reserved than a node that was started anew has.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::FewerThanProvisioned`], and [`Error::TooManyReserved`].
    pub async fn reserve(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        calls: Option<u32>,
        places: Places,
    ) -> Result<(), Error> {
        // One after another: the sum is nobody's row.
        let _turn = self.reserving().lock().await;
        self.find(namespace, function).await?;
        let wanted = calls.unwrap_or_default() as usize;
        let (reserved, provisioned) = (self.catalogue().reserved(), self.catalogue().provisioned());
        let id = &namespace.function(function);
        let instances = provisioned.get(id).copied().unwrap_or_default();
        if calls.is_some() && wanted < instances {
            return Err(Error::FewerThanProvisioned {
                function: function.clone(),
                calls: wanted,
                instances,
            });
        }
        let former = reserved.get(id).unwrap_or_default();
        let unreserved = places.unreserved.max(self.shared_instances(id));
        let most = places
            .all
            .saturating_sub(unreserved + reserved.total(&id.tenant) - former);
        if wanted > former.max(most) {
            return Err(Error::TooManyReserved {
                function: function.clone(),
                most,
                unreserved,
            });
        }
        self.again(namespace, function, |attempt| async move {
            let mut found = self.find(namespace, function).await?;
            found.head.reserved = calls;
            let batch = found.write(self.batch());
            Ok(self.committed(batch, attempt).await?.then_some(()))
        })
        .await?;
        self.catalogue().reserve(id, calls.map(|calls| calls as usize));
        Ok(())
    }

    /// Tells the catalogue what is reserved for all functions, and what is kept loaded of them: at a node's start. Answers the names of all functions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load_reserved(&self, namespace: &Namespace) -> Result<Vec<FunctionName>, Error> {
        let (mut after, mut functions) = (None::<String>, Vec::new());
        loop {
            let page = layout::list(self.store(), namespace, KIND, after.as_deref(), PAGE).await?;
            let (names, more) = page;
            for (name, _) in &names {
                if let Ok(function) = name.parse() {
                    self.reload_reserved(namespace, &function).await?;
                    functions.push(function);
                }
            }
            match names.last() {
                Some((last, _)) if more => after = Some(last.clone()),
                _ => return Ok(functions),
            }
        }
    }

    /// Tells the catalogue the same of one function: whoever changed it may have gone before they could.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reload_reserved(&self, namespace: &Namespace, function: &FunctionName) -> Result<(), Error> {
        // What is read is not older than what somebody else takes down.
        let _turn = self.reserving().lock().await;
        let calls = match self.reserved(namespace, function).await {
            Ok(calls) => calls,
            Err(Error::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        self.count(namespace, function).await?;
        let calls = calls.map(|calls| calls as usize);
        let id = namespace.function(function);
        if self.catalogue().reserved().get(&id) != calls {
            self.catalogue().reserve(&id, calls);
        }
        Ok(())
    }
}
