//! The catalogue of functions and their versions.
//!
//! A [`Version`] is an immutable snapshot of a function: code, configuration and limits. The [`Catalogue`] says which
//! version of a function runs now; replacing it is one atomic step, so that a call sees either the former set of versions
//! or the new one, never a mixture. A warm call's look-up takes no lock.
//!
//! This crate never starts anything, and knows no files beyond their paths.

mod catalogue;
mod version;

pub use catalogue::Catalogue;
pub use version::{Code, Interpreter, Queue, Version};
