//! What cargo cannot do: fetching what the tests need, and running all of them.
//!
//! `cargo xtask test` is the one truth about this tree. It must work on a fresh machine with Rust, python3 and a C
//! compiler, so it brings everything else itself, from the package registries into the target folder, and installs
//! nothing. A tool that cannot be had is a failure with its name, never a skipped test.
//!
//! Rejected: a shell script (no types, no errors), a container (a user's machine has none), a task runner to install
//! first. This binary stays small on purpose: three dependencies, no async, so that it compiles in seconds.
#![allow(
    clippy::disallowed_methods,
    reason = "a tool on the developer's machine: real time is what it reports"
)]

mod bench;
mod fixtures;
mod lint;
mod paths;
mod process;
mod simulate;
mod test;
mod tools;
mod torture;
mod unprivileged;

use std::process::ExitCode;

const HELP: &str = "\
What cargo cannot do.

Usage: cargo xtask <COMMAND>

  test [FILTER]        the one truth: fetch what tests need, lint, then every unit, doc, house and black-box test,
                       the black-box ones over both engines, and torture;
                       with FILTER only the tests whose name contains it, without lint
  test --unprivileged  the black-box suite alone, over both engines, built if need be, as a normal user: as yourself,
                       or, when root runs it, under a free uid with a home folder of its own
  lint                 rustfmt --check and clippy, warnings denied
  bench [NAME [ARGUMENT…]]
                       the release build, then every benchmark (or NAME, with these arguments), with the same tools
  simulate [--seeds N] [--minutes M] [--first S]
                       nodes under seeds with everything going wrong: N seeds (400), or as many as M minutes take,
                       from seed S on or from one that nobody chose
  simulate --seed S [--trace]
                       replays one seed exactly, and with --trace shows every line of it
  torture [--minutes N] [--seed S] [--store embedded|postgres]
                       the orders sample under load while processes are killed and paused, the disk fills up and
                       PostgreSQL's wire is cut: N minutes (2) on each engine, or on one
  fixtures [NAME]      writes tests/fixtures/NAME (this release), what a data folder and a database look like today;
                       see tests/fixtures/README.md
  tools                fetch what tests need and print its folder: what ALOFT_TEST_TOOLS is to black-box tests

What is fetched lies in the target folder under tools/ and is kept by a hash of its pins. CHROMIUM and CHROMEDRIVER,
when both are set, name a browser and its driver to use instead of fetched ones; POSTGRES names a folder with `postgres`,
`initdb` and `pg_dump` (15 or newer).
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test", "--unprivileged" | "--user"] => unprivileged::run(),
        ["test", flag, ..] if flag.starts_with('-') => return usage(),
        ["test"] => test::run(None),
        ["test", filter] => test::run(Some(filter)),
        ["lint"] => lint::run(),
        ["bench"] => bench::run(None, &[]),
        ["bench", name, arguments @ ..] if !name.starts_with('-') => bench::run(Some(name), arguments),
        ["simulate", words @ ..] => simulate::run(words),
        ["torture", words @ ..] => torture::run(words),
        ["fixtures"] => fixtures::write(env!("CARGO_PKG_VERSION")),
        ["fixtures", name] if !name.starts_with('-') => fixtures::write(name),
        ["tools"] => tools::show(),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{HELP}");
    ExitCode::from(2)
}
