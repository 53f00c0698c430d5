//! The commands of `aloft`: what a person or a script types, and what they see.
//!
//! Data goes to standard output, everything else to standard error; `--json` makes the data machine-readable (lists are
//! `{"items":[…]}`, streams are one object a line). Exit codes are in [`ExitCode`]. Commands that need a node talk HTTP to
//! one; `dev` runs one in this process, and `init`, `check` and `doctor` need none.
//!
//! This crate and the binary alone read the environment.

mod accounts;
mod args;
mod check;
mod connect;
mod deliveries;
mod descriptors;
mod dev;
mod doctor;
mod exit;
mod explain;
mod init;
mod invoke;
mod logs;
mod outlet;
mod print;
mod ps;
mod templates;

use clap::Parser;

use crate::args::{Arguments, Command};
pub use crate::exit::ExitCode;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_help = !error.use_stderr();
            // Nothing is left to do when the terminal is gone.
            let _ = error.print();
            return if is_help { ExitCode::Done } else { ExitCode::Usage };
        }
    };
    let result = match arguments.command {
        Command::Dev(dev) => dev::run(dev),
        Command::Init(init) => init::run(&init),
        Command::Check(check) => check::run(&check),
        Command::Invoke(invoke) => invoke::run(&invoke),
        Command::Logs(logs) => logs::run(&logs),
        Command::Explain(explain) => explain::run(&explain),
        Command::Ps(ps) => ps::run(&ps),
        Command::Deliveries(deliveries) => deliveries::run(&deliveries),
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Serve(serve) => dev::serve(serve),
        Command::Tenant(tenant) => accounts::tenant(&tenant),
        Command::Key(key) => accounts::key(&key),
    };
    result.unwrap_or_else(|error| {
        eprintln!("aloft: {}", told(&error));
        ExitCode::of(&error)
    })
}

/// An error with its causes. One that already stands in the sentence is not said twice: our own errors tell what they must
/// also where only they are shown.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("the disk is full");
        let error = anyhow::Error::from(cause).context("cannot write a: the disk is full; free some");
        assert_eq!(told(&error), "cannot write a: the disk is full; free some");
        assert_eq!(
            told(&error.context("no start")),
            "no start: cannot write a: the disk is full; free some"
        );
    }
}
