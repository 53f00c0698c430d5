//! Resource policies: who else may call a function. They are kept and shown, and decide nothing while there is one account.

use aloft_base::FunctionName;
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::layout::Namespace;

use crate::stored::{Sort, read_policy, write_policy};
use crate::{Error, Functions};

/// The policy of one of a function's names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The statements in the order in which they were added, each with its id and its text in JSON.
    pub statements: Vec<(String, String)>,
    /// Drawn with every change.
    pub revision: u128,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

impl Policy {
    /// Lambda's bound of a policy's text, in bytes.
    pub const BYTES: usize = 20 << 10;
}

impl Functions {
    /// The policy of this name, if it has statements.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn policy(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<Policy>, Error> {
        self.said(namespace, function, (Sort::Policy, qualifier), read_policy)
            .await
    }

    /// Adds a statement. With a `revision` only if that is the one it is at.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function, version or alias, [`Error::Exists`] when there is a statement of this id,
    /// [`Error::Stale`], and [`Error::TooMany`] above [`Policy::BYTES`].
    pub async fn add_statement(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        (id, text): (&str, &str),
        revision: Option<u128>,
    ) -> Result<(), Error> {
        self.set_policy(namespace, function, (qualifier, revision), |policy| {
            if policy.statements.iter().any(|(other, _)| other == id) {
                return Err(Error::Exists {
                    what: "Statement",
                    name: id.to_owned(),
                });
            }
            policy.statements.push((id.to_owned(), text.to_owned()));
            let bytes: usize = policy.statements.iter().map(|(_, text)| text.len()).sum();
            let fits = bytes <= Policy::BYTES;
            fits.then_some(()).ok_or_else(|| Error::TooMany {
                function: function.clone(),
                what: "bytes of permissions",
                most: Policy::BYTES,
            })
        })
        .await
    }

    /// Removes a statement. With a `revision` only if that is the one it is at.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function, [`Error::NoStatement`], [`Error::Stale`].
    pub async fn remove_statement(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        id: &str,
        revision: Option<u128>,
    ) -> Result<(), Error> {
        self.set_policy(namespace, function, (qualifier, revision), |policy| {
            let before = policy.statements.len();
            policy.statements.retain(|(other, _)| other != id);
            let was_there = policy.statements.len() < before;
            was_there
                .then_some(())
                .ok_or_else(|| Error::NoStatement(id.to_owned()))
        })
        .await
    }

    async fn set_policy(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        (qualifier, expected): (&Qualifier, Option<u128>),
        change: impl Fn(&mut Policy) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let change = |_, former: Option<Policy>| {
            let mut policy = former.unwrap_or_default();
            let is_it = expected.is_none_or(|expected| expected == policy.revision);
            is_it.then_some(()).ok_or(Error::Stale { what: "RevisionId" })?;
            change(&mut policy)?;
            policy.revision = self.revision();
            Ok(Some(policy).filter(|policy| !policy.statements.is_empty()))
        };
        let sort = (Sort::Policy, qualifier);
        let said = self.say(namespace, function, sort, read_policy, write_policy, change);
        said.await.map(drop)
    }
}
