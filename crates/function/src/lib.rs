//! The catalogue of functions and their versions.
//!
//! A [`Version`] is an immutable snapshot of a function: code, configuration and limits. The [`Catalogue`] says which
//! version of a function runs now; replacing it is one atomic step, so that a call sees either the former set of versions
//! or the new one, never a mixture. A warm call's look-up takes no lock.
//!
//! Which artifact each function runs is also a row in the store ([`Deployed`]), written in one commit with the reference that keeps
//! the artifact.
//!
//! This crate never starts anything, and knows no files beyond their paths.

mod catalogue;
mod deployed;
mod version;

pub use catalogue::Catalogue;
pub use deployed::{DeployError, Deployed};
pub use version::{Code, Interpreter, Queue, Version};
