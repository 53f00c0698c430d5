//! Roles and their policies, as tools make them before they make a function: kept durably, shown, changed and deleted.
//!
//! Nothing is decided by them yet. What a function may do says its definition, or, if it was made by Lambda's API, that it was: see
//! `aloft-access`. A role is one row with all that belongs to it, so that every change is one commit, and two at the same time come one after
//! the other. Names and bounds are IAM's (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).

mod roles;
mod stored;
#[cfg(test)]
mod tests;

pub use roles::{Error, Role, Roles};
