//! STS, API version 2011-06-15: who am I. Every tool asks it first, and no permission is needed for it.

use aloft_call::{Caller, Principal};

use crate::Error;
use crate::query::{Form, element};

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const VERSION: &str = "2011-06-15";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    GetCallerIdentity,
}

impl Operation {
    pub(crate) const ALL: [Self; 1] = [Self::GetCallerIdentity];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
        }
    }

    /// The operation that a form wants.
    pub(crate) fn of(form: &Form) -> Result<Self, Error> {
        form.find(&Self::ALL, VERSION, Self::name)
    }
}

/// Does it, and gives what stands in the answer's result.
pub(crate) fn run(operation: Operation, caller: &Caller) -> Result<String, Error> {
    match operation {
        Operation::GetCallerIdentity => identity(caller),
    }
}

/// An owner of keys is the account's root. A function is the session of a role of its name, as on Lambda.
fn identity(caller: &Caller) -> Result<String, Error> {
    let account = &caller.tenant;
    let (arn, user) = match &caller.principal {
        Principal::Owner { .. } => (format!("arn:aws:iam::{account}:root"), account.to_string()),
        Principal::Function { name, .. } => (
            format!("arn:aws:sts::{account}:assumed-role/{name}/{name}"),
            format!("{name}:{name}"),
        ),
        Principal::Administrator { key } => (
            format!("arn:aws:iam::{account}:user/administrator"),
            key.to_string(),
        ),
        Principal::Anonymous => return Err(Error::NotSigned),
    };
    Ok([
        element("Arn", &arn),
        element("UserId", &user),
        element("Account", account.as_str()),
    ]
    .concat())
}
