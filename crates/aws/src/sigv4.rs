//! Signature Version 4: what a client claims, and whether it holds the secret that it claims to hold.
//!
//! Written here because the kept crate, `aws-sigv4`, signs and does not verify, and brings the SDK's runtime with it. Rules:
//! "Create a signed AWS API request", IAM User Guide. The order of the checks and their words are those of DynamoDB.
//!
//! A signature stands in the `Authorization` header, or in the query of a request that may come later (a presigned URL), never in both.

mod canonical;
mod claim;
mod date;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use claim::Claim;
pub use sign::Signer;
pub use verify::{FixedKeys, Holder, Keys};
pub(crate) use verify::{Pending, check_head};
