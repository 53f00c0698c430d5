//! The house keeps itself: floors and edges between crates, the form of files, and pages that tell the truth.
//!
//! Plain tests, so that `cargo test` cannot forget them. Each is written as a function from facts to complaints, and
//! is itself tried on facts that must be complained about: a rule that cannot fail proves nothing.

#[cfg(test)]
#[path = "house/docs.rs"]
mod docs;
#[cfg(test)]
#[path = "house/facts.rs"]
mod facts;
#[cfg(test)]
#[path = "house/floors.rs"]
mod floors;
#[cfg(test)]
#[path = "house/tidy.rs"]
mod tidy;
