//! The CloudEvents 1.0 envelope, and patterns over it.
