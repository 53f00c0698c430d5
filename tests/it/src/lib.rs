//! Black-box tests: the real binary on free ports, real HTTP, real SDKs, real kills.
//!
//! Nothing here links a crate of the house: what these tests know of the platform is what a user can see. One test
//! program for all of them, so that they link once and share two cores fairly. `cargo xtask test` brings what they
//! need (a Python with boto3, the AWS command line, a browser) and tells the harness where it is; started without it,
//! a test fails and says so.
//!
//! A test waits for conditions, each with a bound, and never for time to pass.
#![cfg(test)]
#![allow(
    clippy::disallowed_methods,
    reason = "an auditor outside the platform lives in real time"
)]

mod builds;
mod commands;
mod components;
mod deliveries;
mod disk;
mod egress;
mod explain;
mod faults;
mod functions;
mod harness;
mod hosts;
mod hundred;
mod init;
mod limits;
mod logs;
mod loops;
mod metrics;
mod misdeeds;
mod orders;
mod page;
mod reload;
mod restart;
mod secrets;
mod servers;
mod tenants;
mod upgrade;
mod wire;
