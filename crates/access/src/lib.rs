//! Principals, permissions, and the one decision.
