//! The AWS wire: what an unmodified SDK, the AWS CLI or an infrastructure tool speaks, on port 4566 and inside sandboxes.
//!
//! [`Aws`] answers for DynamoDB (`CreateTable DescribeTable ListTables DeleteTable PutItem GetItem UpdateItem DeleteItem Query
//! Scan`), for Lambda (functions, versions, aliases, tags, `Invoke`), for CloudWatch Logs (groups, streams, events), for Secrets Manager, for IAM (roles)
//! and for STS (`GetCallerIdentity`). It makes two sorts of
//! [`Handler`](aloft_http::Handler):
//!
//! - [`Aws::edge`] for a port that anybody may reach. [`Trust`] says who is believed: on loopback whoever signs with any key,
//!   elsewhere whoever signs with a known one; then every signature is verified (SigV4, clocks within 15 minutes).
//! - [`Aws::inside`] for the listener inside a sandbox. There the caller is known by the place, and whatever signature a
//!   request carries is not looked at.
//!
//! What a caller may do is asked of `aloft-access`, once per request, before anything is looked up.
//!
//! # Promises
//! Codes, texts and shapes of errors are the service's own. A parameter of a service's model that is not built yet is refused by its
//! name, never accepted and ignored; so is an operation, and another service in the shape that its clients read. A failure
//! of ours shows a request id, under which the log tells the rest. A write is answered when it is durable.
//!
//! # Limits
//! Bodies of 16 MiB ([`MAX_BODY_BYTES`]), those of STS 64 KiB, of Secrets Manager 1 MiB, of CloudWatch Logs 8 MiB, of Lambda's zips 70 MB and of its calls 6 MiB; JSON nested 128 deep, 1,000 parameters of a form. The body of a stranger is not read.
//!
//! # What it never does
//! It knows no keys on disk and no expressions: `aloft-table` does. It holds no secret longer than the node that gave it, and
//! never logs one.
//!
//! # Crates
//! `hmac` and `sha2` are RustCrypto's. `crc32fast` counts the checksum that DynamoDB's SDKs compare; `httpdate` reads the one
//! form of `Date` that botocore may sign, `form_urlencoded` the forms of the Query protocol.

mod answer;
mod aws;
mod dynamodb;
mod error;
mod iam;
mod input;
mod lambda;
mod logs;
mod metrics;
mod protocol;
mod query;
mod secrets;
mod service;
mod signed;
mod sigv4;
mod sts;
mod target;
#[cfg(test)]
mod tests;

pub use aws::{Aws, MAX_BODY_BYTES, Parts, Trust};
use error::Error;
pub use lambda::Parts as LambdaParts;
pub use signed::Signatures;
pub use sigv4::{FixedKeys, Holder, Keys, Signer};
