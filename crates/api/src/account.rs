//! Whose things a request is about.

use aloft_base::{ErrorKind, FunctionName, Tenant};
use aloft_deferred::Deferred;
use aloft_observe::Notice;
use aloft_rule::Rules;
use aloft_store::layout::Namespace;
use async_trait::async_trait;

/// An account, as far as it runs in the background.
#[derive(Clone)]
pub struct Account {
    /// Where its things are.
    pub namespace: Namespace,
    /// Its rules.
    pub rules: Rules,
    /// Its asynchronous calls.
    pub deferred: Deferred,
}

/// The accounts of a node.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// One of them, which is there.
    ///
    /// # Errors
    /// Why it cannot be read now.
    async fn of(&self, tenant: &Tenant) -> Result<Account, (ErrorKind, String)>;
}

impl Account {
    /// Whether somebody of the account may be told of it. What is nobody's is the operator's, who has the account that a node has by itself.
    pub(crate) fn may_hear(&self, notice: &Notice) -> bool {
        may_hear(&self.namespace.tenant, notice)
    }

    /// The function of this name.
    pub(crate) fn function(&self, name: &FunctionName) -> aloft_base::FunctionId {
        self.namespace.function(name)
    }
}

/// Whether somebody of an account may be told of it.
pub(crate) fn may_hear(tenant: &Tenant, notice: &Notice) -> bool {
    notice
        .tenant()
        .map_or_else(|| *tenant == Tenant::local(), |owner| owner == tenant)
}
