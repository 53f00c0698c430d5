//! From source to artifact: what a function's folder becomes before anything of it runs.
//!
//! - An *artifact* is the content of a source folder, packed into a blob that is named by it. What is deployed
//!   (`aloft_function::Deployed`) is kept, and the rest is collected. Each node unpacks an artifact once, into a folder that is never written to again, so that an instance keeps the code that it was
//!   started with, whatever the developer edits meanwhile.
//! - *Requirements* are installed once for each interpreter and list, under the hash of both, by the interpreter's own pip,
//!   else by uv, else by pip's own wheel, which is fetched from the package index and checked against a pinned hash.
//!   Only wheels are installed: to build a source distribution is to run a stranger's code. A list that asks for more is
//!   refused, and pip runs where it can start no program, since a wheel may itself require what would have to be built.
//! - *Packages* of a lock file are fetched by the language's own package manager, which runs none of their scripts, and kept under
//!   the lock file's hash.
//! - *Building* runs strangers' code: bundlers, make, command lines. It happens in a sandbox without a network
//!   (`workshop.rs`), which is given the source and gives back the code, and ends what takes too much. What it made is kept under
//!   the hash of all that it depends on. How to build a source is said by its files (`source.rs`).
//! - Both are compiled ahead, since a sandbox sees them read-only and a cold start should not compile.
//! - A *zip* is taken in as it is handed in, after all of it was looked through, and its blob's name is the hash that Lambda calls
//!   `CodeSha256`. Each node unpacks it once, by the same rules.
//!
//! Whatever is made is made beside its place and moved there when it is whole; a build that is cut off leaves nothing that
//! a later one could take for finished. Two processes may build the same thing at once.
//!
//! The archives are written and read by the crate `tar`, cargo's own; zips are read by the crate `zip`.
//!
//! Limits: a source folder and a zip have at most 250 MiB and 20,000 files, Lambda's bound and ours; an installation 10 minutes; a build
//! what [`Limits`] says.
//!
//! This crate never loads a function's code.

mod ahead;
mod artifact;
mod builder;
mod encode;
mod error;
mod layers;
mod locked;
mod metrics;
mod npm;
mod pip;
mod python;
mod requirements;
mod rust;
mod said;
mod script;
mod sdk;
mod source;
mod throttle;
mod workshop;
mod zip;

#[cfg(test)]
mod tests;

pub use builder::{Builder, Built, Parts, Zip};
pub use encode::encoder_if_asked;
pub use error::Error;
pub use source::Source;
pub use workshop::Limits;
pub use zip::{Looked, ZipError};
