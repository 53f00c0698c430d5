//! The catalogue of functions and their versions.
//!
//! - [`Functions`] are what users made: durable, each with `$LATEST`, published versions that never change, and [`Alias`]es that
//!   point to a version or split calls between two. Names, bounds and rules are Lambda's. All changes of one function come one after
//!   another, each in one commit, with the references that keep its artifacts.
//! - A [`Version`] is all that an instance needs: code on this machine, interpreter, limits. The [`Catalogue`] says which version of a
//!   function runs now; replacing it is one atomic step, so that a call sees either the former set of versions or the new one,
//!   never a mixture. A warm call's look-up takes no lock.
//! - Which artifact each function of the project runs is also a row in the store ([`Deployed`]), written in one commit with the
//!   reference that keeps the artifact.
//!
//! This crate never starts anything, and knows no files beyond their paths.

mod alias;
mod catalogue;
mod configuration;
mod deployed;
mod error;
mod functions;
mod qualifier;
mod stored;
mod version;

#[cfg(test)]
mod tests;

pub use alias::{Alias, Pointer};
pub use catalogue::Catalogue;
pub use configuration::Configuration;
pub use deployed::{DeployError, Deployed};
pub use error::Error;
pub use functions::{Artifact, Functions, MAX_ALIASES, MAX_VERSIONS, Publish, Published, Update};
pub use qualifier::{AliasName, Qualifier};
pub use version::{Code, Interpreter, Queue, Version};
