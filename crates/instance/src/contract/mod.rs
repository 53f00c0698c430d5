//! How the platform talks to the code. One folder for each contract.

pub(crate) mod lambda;
