//! Who acts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aloft_base::{Egress, FunctionName, Region, TableName, Tenant};
use serde::{Deserialize, Serialize};

/// Who acts, in which account, through which region's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub tenant: Tenant,
    /// The region that the request was signed for; it shows in ARNs.
    pub region: Region,
    /// Who, within the account.
    pub principal: Principal,
}

/// Who acts within an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Whoever holds the account's keys: may do everything in it.
    Owner {
        /// The access key's id, for logs.
        key: Arc<str>,
    },
    /// Whoever runs the node, by a key of their own: may make accounts and keys, and has none of the accounts' things.
    Administrator {
        /// The access key's id, for logs.
        key: Arc<str>,
    },
    /// A function's instance: may do what the function's definition grants and nothing else.
    Function {
        /// The function.
        name: FunctionName,
        /// What its definition grants.
        grants: Arc<Grants>,
    },
    /// Somebody who gave no proof of who they are, such as a visitor of a public route.
    Anonymous,
}

/// What a function may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Tables by name.
    pub tables: BTreeMap<TableName, Access>,
    /// Names of secrets that it may read.
    #[serde(default)]
    pub secrets: BTreeSet<String>,
    /// Everything of the account that functions can be granted: all tables, all functions to be called, all secrets to be read.
    #[serde(default)]
    pub everything: bool,
    /// Where it may connect to.
    #[serde(default)]
    pub egress: Egress,
}

/// How far a grant goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}
