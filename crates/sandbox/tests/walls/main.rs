//! Black-box tests of the walls: real sandboxes, as whoever runs them (root and an ordinary user are both tested in CI).
//!
//! Without libtest, because this program is also the spawner, which must start before any thread does. It understands what
//! `cargo test` passes: words that select tests, `--list`, `--exact`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests; clippy knows them as such only under libtest"
)]

mod bounds;
mod life;
mod support;
mod walls;
mod weak;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use support::Test;

fn main() -> ExitCode {
    aloft_sandbox::spawner_if_asked();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, rest @ ..] = arguments.as_slice()
        && word == life::PLATFORM
    {
        return life::platform(rest);
    }
    if arguments.first().is_some_and(|word| word == weak::TRY) {
        return weak::attempt();
    }
    let tests: Vec<(&str, Test)> = [walls::TESTS, bounds::TESTS, life::TESTS, weak::TESTS].concat();
    let list = arguments.iter().any(|a| a == "--list");
    let exact = arguments.iter().any(|a| a == "--exact");
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let selected = |name: &str| {
        words.is_empty()
            || words
                .iter()
                .any(|w| if exact { name == *w } else { name.contains(*w) })
    };
    let mut failed = Vec::new();
    let mut run = 0;
    for (name, test) in tests.into_iter().filter(|(name, _)| selected(name)) {
        if list {
            println!("{name}: test");
            continue;
        }
        run += 1;
        let passed = std::panic::catch_unwind(AssertUnwindSafe(|| support::run(test))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed.extend((!passed).then_some(name));
    }
    if !list {
        println!("\ntest result: {run} run, {} failed: {failed:?}", failed.len());
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
