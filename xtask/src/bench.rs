//! `cargo xtask bench [NAME [ARGUMENT…]]`: every benchmark of the workspace against the release build.
//!
//! A benchmark is a bench target (`harness = false`) that runs its peer in the same run and prints a ratio. It gets
//! the same environment as the black-box tests, with the release binary in `ALOFT_TEST_BIN`.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::{self, cargo, say};
use crate::{test, tools};

/// Runs all benchmarks, or the one of this name with these arguments.
pub(crate) fn run(name: Option<&str>, arguments: &[&str]) -> Result<()> {
    let known = targets()?;
    if known.is_empty() {
        bail!("the workspace has no bench target");
    }
    let chosen: Vec<&String> = known
        .iter()
        .filter(|bench| name.is_none_or(|name| name == *bench))
        .collect();
    if chosen.is_empty() {
        bail!(
            "no benchmark is called `{}`; there are: {}",
            name.unwrap_or_default(),
            known.join(", ")
        );
    }
    let kit = tools::fetch()?.kit(&tools::kit_folder())?;
    let built = test::build(&["--release", "--workspace", "--bins"])?;
    for bench in chosen {
        say(&format!("bench {bench}"));
        let mut command = cargo();
        command.args(["bench", "--workspace", "--bench", bench]);
        command.arg("--").args(arguments);
        // Some take minutes of both cores, and run only when they are asked for by name.
        command.env("ALOFT_BENCH_NAMED", name.unwrap_or_default());
        process::run(test::environment(
            &mut command,
            &kit,
            &built.binary("aloft")?,
            test::STORES[0],
        ))
        .with_context(|| format!("benchmark `{bench}` failed"))?;
    }
    Ok(())
}

/// The names of the bench targets, from cargo's own description of the workspace.
fn targets() -> Result<Vec<String>> {
    let text = process::output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("cargo metadata did not answer JSON")?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let targets = packages
        .filter_map(|package| package.get("targets")?.as_array())
        .flatten();
    let benches = targets.filter(|target| {
        let kinds = target.get("kind").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench"))
    });
    Ok(benches
        .filter_map(|bench| Some(bench.get("name")?.as_str()?.to_owned()))
        .collect())
}
