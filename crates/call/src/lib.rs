//! Call, Outcome, Caller, and the trait Invoke.
