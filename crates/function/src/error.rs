//! What can go wrong in the catalogue.

use aloft_base::{ErrorKind, FunctionName};
use aloft_call::Qualifier;

/// Why the catalogue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value is out of its bounds.
    #[error("{field} \"{value}\" is not valid: {reason}")]
    Invalid {
        /// The field, by Lambda's name.
        field: &'static str,
        /// What was given, at most 100 characters of it.
        value: String,
        /// The rule.
        reason: String,
    },
    /// There is no such function, version or alias.
    #[error("there is no function {function}{}", .qualifier.as_ref().map(|q| format!(":{q}")).unwrap_or_default())]
    Missing {
        /// The function.
        function: FunctionName,
        /// The version or alias, if it is that what is missing.
        qualifier: Option<Qualifier>,
    },
    /// There is one of this name already.
    #[error("{what} exists already: {name}")]
    Exists {
        /// The sort of thing: `Function` or `Alias`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It is not as the caller believes: the revision or the code's hash is another.
    #[error("{what} is not what was expected: somebody has changed the function meanwhile; read it again")]
    Stale {
        /// `RevisionId` or `CodeSha256`.
        what: &'static str,
    },
    /// A version that is still pointed to.
    #[error("version {version} cannot be deleted: the alias \"{alias}\" points to it")]
    InUse {
        /// The version.
        version: u64,
        /// One of the aliases.
        alias: String,
    },
    /// A function has all the versions, aliases or tags that it may have.
    #[error("{function} has {most} {what} already: delete some that are not used any more")]
    TooMany {
        /// The function.
        function: FunctionName,
        /// `versions`, `aliases`, `tags` …
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// The account has as many functions as it may.
    #[error(
        "the account may have {most} functions and has as many: delete one, or ask whoever runs the node for more"
    )]
    TooManyFunctions {
        /// The bound.
        most: usize,
    },
    /// More calls than may be reserved.
    #[error("{function} can have at most {most} calls reserved: the rest is others' or must stay free")]
    TooManyReserved {
        /// The function.
        function: FunctionName,
        /// What it can have.
        most: usize,
        /// What must stay for functions that have none reserved.
        unreserved: usize,
    },
    /// Fewer calls than instances that are kept loaded.
    #[error("{function} cannot have {calls} calls reserved: {instances} instances of it are kept loaded")]
    FewerThanProvisioned {
        /// The function.
        function: FunctionName,
        /// What was wanted.
        calls: usize,
        /// Its instances.
        instances: usize,
    },
    /// More instances to be kept loaded than calls that can run at once.
    #[error(
        "{instances} instances cannot be kept loaded: {most} calls can run at once, and instances are kept for {of_function} of the function \
         and {of_others} of others already"
    )]
    TooManyProvisioned {
        /// What was wanted.
        instances: usize,
        /// The calls that can run at once.
        most: usize,
        /// Those that are kept loaded already for other names of the function.
        of_function: usize,
        /// Those of functions that share its calls.
        of_others: usize,
    },
    /// A version of which instances are kept loaded by another of the function's names.
    #[error("no instances can be kept loaded for {qualifier}: {other} has them of the same version")]
    AlreadyProvisioned {
        /// The name that they are wanted for.
        qualifier: Qualifier,
        /// The one that has them.
        other: Qualifier,
    },
    /// Its policy has no such statement.
    #[error("Statement {0} is not found in resource policy.")]
    NoStatement(String),
    /// It has no address.
    #[error("{function}:{qualifier} has no function URL")]
    NoUrl {
        /// The function.
        function: FunctionName,
        /// Which of its names.
        qualifier: Qualifier,
    },
    /// Others kept changing the function.
    #[error("the function was changed by others {0} times in a row: try again")]
    Contended(u32),
    /// The store's own error.
    #[error(transparent)]
    Store(#[from] aloft_store::Error),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, value: &str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            value: value.chars().take(100).collect(),
            reason: reason.into(),
        }
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::FewerThanProvisioned { .. } => ErrorKind::Invalid,
            Self::Missing { .. } | Self::NoStatement(_) | Self::NoUrl { .. } => ErrorKind::Missing,
            Self::Exists { .. }
            | Self::Stale { .. }
            | Self::InUse { .. }
            | Self::AlreadyProvisioned { .. }
            | Self::Contended(_) => ErrorKind::Conflict,
            Self::TooMany { .. }
            | Self::TooManyFunctions { .. }
            | Self::TooManyReserved { .. }
            | Self::TooManyProvisioned { .. } => ErrorKind::TooLarge,
            Self::Store(error) => error.kind(),
        }
    }
}
