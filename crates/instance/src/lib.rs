//! Loaded copies of a function: runtimes and contracts.
