//! `cargo xtask lint`: the form of the code, and clippy without a single warning.

use anyhow::{Context as _, Result};

use crate::process::{self, cargo};

/// Formatting first: it takes a second, and fails before clippy has compiled anything.
pub(crate) fn run() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))
        .context("the code is not formatted: run `cargo fmt --all` (rustfmt is a rustup component)")?;
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        .context("clippy found something (it is a rustup component)")
}
