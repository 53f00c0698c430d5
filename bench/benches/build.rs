//! A release build of the binary from nothing: every dependency, in a fresh target folder.
//!
//! It takes minutes of both cores, so it runs only when it is named: `cargo xtask bench build`. The registry's sources are
//! fetched before the clock runs, since the network is not what is promised.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bench::{Figure, Report, timed};

fn main() -> Result<()> {
    if std::env::var("ALOFT_BENCH_NAMED").as_deref() != Ok("build") {
        println!("build: takes minutes, so it runs only as `cargo xtask bench build`");
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a workspace")?;
    let target = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let cargo = |arguments: &[&str]| -> Result<()> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(root)
            .env("CARGO_TARGET_DIR", target.path());
        let status = command
            .status()
            .with_context(|| format!("cannot run {command:?}"))?;
        ensure!(status.success(), "{command:?} ended with {status}");
        Ok(())
    };
    cargo(&["fetch", "--locked"])?;
    let ((), took) = timed(|| cargo(&["build", "--release", "--locked"]))?;
    let minutes = took.as_secs_f64() / 60.0;
    let size = std::fs::metadata(target.path().join("release/aloft"))?.len();
    let mut report = Report::new("build");
    report.figure(Figure::single("release build from nothing", minutes, "min").at_most(10.0));
    report.figure(Figure::single(
        "the binary",
        size as f64 / f64::from(1 << 20),
        "MiB",
    ));
    report.print();
    Ok(())
}
