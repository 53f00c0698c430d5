//! What users write: `aloft.toml`, checked.
//!
//! [`Definition::read`] turns a project's file into types that need no further checks, or into [`Problems`]: all mistakes at
//! once, each with file, line, column, what was expected and, where a word is misspelt, the nearest one. References are
//! resolved (a route to a function that is not defined is a mistake), folders and handlers are looked up in the project's
//! folder, patterns are compiled.
//!
//! Every key is declared once, in `keys`: its unit, default, bounds and reason. The checker reads by that list, and
//! [`reference`] writes the tables of `docs/aloft-toml.md` from it; a test compares.
//!
//! Limits: a file of at most 256 KiB, 100 problems reported. This crate never runs, installs or fetches anything, and reads
//! nothing outside the project's folder. It does not match requests against routes: `gateway` does.
//!
//! The parser is `toml`, the maintained one of Rust's own package manager. Its `DeTable` keeps the span of every key and
//! value and goes on after a syntax error; deserialising with serde instead would stop at the first mistake.
//!
//! ```
//! use aloft_definition::Definition;
//!
//! let text = "[project]\nname = \"orders\"\n[tables.orders]\nhsh = \"id:S\"\n";
//! let problems = Definition::parse(text, "aloft.toml", None).unwrap_err();
//! let problem = &problems.0[1];
//! assert_eq!((problem.line, problem.column), (4, 1));
//! assert_eq!(problem.nearest.as_deref(), Some("hash"));
//! ```

mod check;
mod keys;
mod problem;
mod read;
mod reference;
mod route;
mod source;
#[cfg(test)]
mod tests;
mod types;

pub use check::{FILE, MAX_FILE_BYTES};
pub use keys::{
    DEFAULT_CONCURRENCY, DEFAULT_IDLE, DEFAULT_QUEUE_LENGTH, DEFAULT_QUEUE_WAIT, MAX_ENVIRONMENT_BYTES,
    RESERVED,
};
pub use problem::{Problem, Problems};
pub use reference::reference;
pub use route::{InvalidRoute, Method, RoutePattern, Segment};
pub use types::{
    Access, Build, Definition, Files, Function, KeyKind, KeySchema, Order, Project, Provided, Queue, Route,
    Rule, Runtime, SecretReference, Source, Table, Variable,
};
