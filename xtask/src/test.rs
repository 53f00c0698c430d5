//! `cargo xtask test`: fetch, lint, build once, run every test, add up.
//!
//! Everything is built by one `cargo build` over the whole workspace, binaries and tests together, so that features
//! unify in one way and the `aloft` that black-box tests start shares every artifact with the tests themselves.
//! `cargo test` then finds all of it fresh. Rejected: cargo-nextest (a user would have to install it, and it runs no
//! doc tests).

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process::{self, cargo, say};
use crate::{lint, paths, simulate, tools, torture};

/// One build for all: what `cargo test` needs (libraries too: doc tests link them) and the program itself.
/// The simulation is built for itself: see there.
pub(crate) const EVERYTHING: &[&str] = &[
    "--workspace",
    "--exclude",
    simulate::PACKAGE,
    "--lib",
    "--bins",
    "--tests",
    "--examples",
];

/// The engines that black-box tests run over, as `ALOFT_TEST_STORE` names them. `cargo test` runs them over the first.
pub(crate) const STORES: [&str; 2] = ["embedded", "postgres"];

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let started = Instant::now();
    let kit = tools::fetch()?.kit(&tools::kit_folder())?;
    if filter.is_none() {
        lint::run()?;
    }
    let built = build(EVERYTHING)?;
    let mut command = cargo();
    command
        .args(["test", "--workspace", "--exclude", simulate::PACKAGE])
        .args(["--no-fail-fast", "--"])
        .args(filter);
    if std::io::stdout().is_terminal() {
        command.arg("--color=always");
    }
    let [first, second] = STORES;
    let aloft = built.binary("aloft")?;
    let mut counts = count(environment(&mut command, &kit, &aloft, first))?;
    // The black-box suite once more, over the other engine.
    let mut again = Command::new(built.test("it")?);
    again.args(filter);
    counts.add(&over(second, environment(&mut again, &kit, &aloft, second))?);
    counts.add(&simulate::test(filter)?);
    // Once, as whoever runs this: twice two minutes is much, and walls and users are the black-box suite's business.
    if filter.is_none() && counts.success {
        torture::test(&built)?;
    }
    counts.finish(started, "cargo xtask test")
}

/// What black-box tests need to know; the harness in `tests/it` reads exactly these.
pub(crate) fn environment<'a>(
    command: &'a mut Command,
    kit: &Path,
    aloft: &Path,
    store: &str,
) -> &'a mut Command {
    command
        .env("ALOFT_TEST_STORE", store)
        .env("ALOFT_TEST_TOOLS", kit)
        .env("ALOFT_TEST_BIN", aloft)
        .env("ALOFT_TEST_ROOT", paths::root())
}

/// What a build left behind.
pub(crate) struct Built {
    /// Target name, whether it is a test, and the file.
    executables: Vec<(String, bool, PathBuf)>,
}

impl Built {
    /// The program of this name.
    pub(crate) fn binary(&self, name: &str) -> Result<PathBuf> {
        self.find(name, false)
    }

    /// The test program of the target of this name.
    pub(crate) fn test(&self, name: &str) -> Result<PathBuf> {
        self.find(name, true)
    }

    fn find(&self, name: &str, test: bool) -> Result<PathBuf> {
        let found = self
            .executables
            .iter()
            .find(|(target, is_test, _)| target == name && *is_test == test);
        let (.., file) =
            found.with_context(|| format!("the build made no executable for target `{name}`"))?;
        Ok(file.clone())
    }
}

/// Builds, with cargo's own messages on the terminal, and learns from its JSON what was made.
pub(crate) fn build(arguments: &[&str]) -> Result<Built> {
    let started = Instant::now();
    let mut executables = Vec::new();
    let mut command = cargo();
    command
        .arg("build")
        .args(arguments)
        .arg("--message-format=json-render-diagnostics");
    let done = process::lines(&mut command, |line| {
        if let Ok(message) = serde_json::from_str::<Value>(line) {
            executables.extend(executable(&message));
        }
    })?;
    if !done {
        bail!("the workspace does not build");
    }
    say(&format!("built in {} s", started.elapsed().as_secs()));
    Ok(Built { executables })
}

fn executable(message: &Value) -> Option<(String, bool, PathBuf)> {
    let file = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    let test = message.get("profile")?.get("test")?.as_bool()?;
    Some((name.to_owned(), test, PathBuf::from(file)))
}

/// How many tests passed and failed, over all test programs of a run.
#[derive(Default)]
pub(crate) struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
    success: bool,
}

/// Runs tests, passing their output on and adding up each program's last line.
pub(crate) fn count(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    counts.success = process::lines(command, |line| {
        println!("{line}");
        if line.starts_with("test result:") {
            counts.passed += before(line, " passed;");
            counts.failed += before(line, " failed;");
            counts.ignored += before(line, " ignored;");
        }
    })?;
    Ok(counts)
}

/// Runs the black-box suite over this engine, and says how long it took.
pub(crate) fn over(store: &str, command: &mut Command) -> Result<Counts> {
    let started = Instant::now();
    let counts = count(command)?;
    say(&format!(
        "the black-box suite over {store} took {} s",
        started.elapsed().as_secs()
    ));
    Ok(counts)
}

/// The number that stands before `mark` in a result line, 0 when there is none.
fn before(line: &str, mark: &str) -> u64 {
    let head = line.split(mark).next().filter(|head| head.len() < line.len());
    head.and_then(|head| head.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

impl Counts {
    /// None yet, of runs that are still to come.
    pub(crate) fn none() -> Self {
        Self {
            success: true,
            ..Self::default()
        }
    }

    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.success &= other.success;
    }

    /// The closing lines. No test at all is a failure too: a filter that matches nothing proves nothing.
    pub(crate) fn finish(&self, started: Instant, what: &str) -> Result<()> {
        say(&format!("{what} took {} s", started.elapsed().as_secs()));
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.ignored > 0 {
            bail!(
                "{} tests are ignored: a test that never runs proves nothing",
                self.ignored
            );
        }
        if !self.success || self.failed > 0 {
            bail!("tests failed");
        }
        if self.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn a_result_line_is_added_up() {
        let line =
            "test result: \u{1b}[32mok\u{1b}[m. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out";
        assert_eq!(
            (
                before(line, " passed;"),
                before(line, " failed;"),
                before(line, " ignored;")
            ),
            (12, 3, 1)
        );
        assert_eq!(before("test result: something else", " passed;"), 0);
    }
}
