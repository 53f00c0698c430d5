//! The catalogue of functions and their versions.
