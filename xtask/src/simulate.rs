//! `cargo xtask simulate`: builds the simulation as it must be built, and runs it.
//!
//! tokio takes a seed only with `--cfg tokio_unstable`. What users run is built without, so the simulation has a target folder
//! of its own, and a profile that is fast enough for thousands of seeds.

use std::process::Command;

use anyhow::Result;

use crate::paths;
use crate::process::{self, cargo};
use crate::test::{self, Counts};

/// The package, which the workspace's other tests leave out: built as they are, it could not replay anything.
pub(crate) const PACKAGE: &str = "aloft-simulation";

/// Runs it with these words.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    process::run(seeded("run").arg("--quiet").arg("--").args(words))
}

/// Its tests: hundreds of seeds, replays, crashes at every effect, and the lies that prove the checker.
pub(crate) fn test(filter: Option<&str>) -> Result<Counts> {
    test::count(seeded("test").args(["--no-fail-fast", "--"]).args(filter))
}

fn seeded(verb: &str) -> Command {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = cargo();
    command
        .args([
            verb,
            "--package",
            PACKAGE,
            "--profile",
            "simulation",
            "--target-dir",
        ])
        .arg(paths::target().join("simulation"))
        .env("RUSTFLAGS", format!("{flags} --cfg tokio_unstable").trim());
    command
}
