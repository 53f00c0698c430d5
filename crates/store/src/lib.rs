//! The store's contract, its suite, and the in-memory engine.
