//! The catalogue of functions and their versions.
//!
//! - [`Functions`] are what users made: durable, each with `$LATEST`, published versions that never change, and [`Alias`]es that
//!   point to a version or split calls between two. Names, bounds and rules are Lambda's. All changes of one function come one after
//!   another, each in one commit, with the references that keep its artifacts.
//! - [`Layers`] are code that functions share; a function that uses one keeps what it holds.
//! - A [`Version`] is all that an instance needs: code on this machine, interpreter, limits. The [`Catalogue`] says which version a
//!   call gets: a look-up in memory that takes no lock. What it does not know, a [`Loader`] reads and a node [`Make`]s. A change of a function is forgotten
//!   there before it is answered, so that calls that come later get what was changed.
//! - Which artifact each function of the project runs is also a row in the store ([`Deployed`]), written in one commit with the
//!   reference that keeps the artifact.
//!
//! This crate never starts anything, and knows no files beyond their paths.

mod alias;
mod catalogue;
mod configuration;
mod delete;
mod deployed;
mod error;
mod events;
mod functions;
mod layers;
mod load;
mod loader;
mod policy;
mod provisioned;
mod qualified;
mod reserved;
mod stored;
mod urls;
mod version;

#[cfg(test)]
mod tests;

pub use alias::{Alias, Pointer};
pub use catalogue::{Catalogue, Found};
pub use configuration::Configuration;
pub use deployed::{DeployError, Deployed};
pub use error::Error;
pub use events::{EventInvoke, OfCall};
pub use functions::{Artifact, Functions, MAX_ALIASES, MAX_TAGS, MAX_VERSIONS, Publish, Published, Update};
pub use layers::{Compatible, LayerVersion, Layers, UsedLayer};
pub use load::{Load, NoOthers};
pub use loader::{Loader, Make};
pub use policy::Policy;
pub use provisioned::{Provisioned, Warm, Warmth};
pub use reserved::{Allowance, Places, Reserved};
pub use urls::{Cors, FunctionUrl, UrlAuth, UrlId, UrlMode, UrlUpdate};
pub use version::{Code, Command, Interpreter, Program, Queue, Version};
