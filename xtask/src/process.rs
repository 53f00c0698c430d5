//! Running other programs: said before, with the whole command in the error when it fails.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

/// A line of progress. It goes to stderr and so keeps its place among cargo's own.
pub(crate) fn say(line: &str) {
    eprintln!("xtask: {line}");
}

/// The `cargo` that called us, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::paths::root());
    command
}

/// Runs it with our own output; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let started = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| missing(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    say(&format!(
        "`{}` took {} s",
        line(command),
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// Runs it and gives back its stdout; the error carries both outputs.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| missing(command))?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        let stderr = String::from_utf8_lossy(&done.stderr);
        bail!(
            "`{}` ended with {}:\n{}{}",
            line(command),
            done.status,
            stdout,
            stderr
        );
    }
    Ok(stdout)
}

/// Runs it, hands every line of its stdout to `each` as it comes, and says whether it succeeded.
pub(crate) fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| missing(command))?;
    let stdout = child.stdout.take().context("a piped child has a stdout")?;
    for read in BufReader::new(stdout).split(b'\n') {
        let read = read.with_context(|| format!("reading the output of `{}`", line(command)))?;
        each(&String::from_utf8_lossy(&read));
    }
    Ok(child.wait()?.success())
}

/// The command as a person would type it; long arguments (scripts) are cut.
pub(crate) fn line(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let first = argument.lines().next().unwrap_or_default();
        let shown: String = first.chars().take(120).collect();
        let cut = if shown.len() < argument.len() { "…" } else { "" };
        let _ = write!(text, " {shown}{cut}");
    }
    text
}

fn missing(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("cannot start `{program}` (is it installed and on PATH?)")
}
