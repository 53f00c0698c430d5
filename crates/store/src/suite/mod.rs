//! The contract as functions: an engine's tests call them and nothing else.
