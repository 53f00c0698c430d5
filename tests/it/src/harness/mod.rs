//! What every black-box test stands on: the platform as a child process, clients, projects, and bounded waiting.

mod client;
mod disk;
mod environment;
mod platform;
mod process;
mod project;
mod raw;
mod store;

pub(crate) use client::{Answer, call, get, send, try_call};
pub(crate) use disk::Disk;
pub(crate) use environment::{
    binary, clients, component, example, nodejs, quiet_aws, root, rust, script, tool,
};
pub(crate) use platform::Platform;
pub(crate) use process::{Finished, aloft, inside, run};
pub(crate) use project::Project;
pub(crate) use raw::Raw;
pub(crate) use store::{Engine, Store, server};

use std::time::{Duration, Instant};

/// How long anything may take that takes moments on a quiet machine: two busy cores are slow, not broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; past the bound the test fails with what it waited for.
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_or(what, condition, String::new)
}

/// The same, and past the bound the failure says besides what `explain` finds out.
pub(crate) fn wait_or<T>(
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
    explain: impl Fn() -> String,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {} s in vain for {what}\n{}",
            PATIENCE.as_secs(),
            explain()
        );
        // The pause between two questions, not a guess at how long something takes.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
