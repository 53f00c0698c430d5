//! What the benchmarks share: starting the platform and its peers, light load, exact CPU time, medians, and the report.
//!
//! A benchmark is a target in `benches/`; `cargo xtask bench NAME` runs it against the release binary. Each puts the
//! platform beside a *peer* or a physical limit in the same run, by turns and at least twenty times, and reports the median
//! of the ratios with its quartiles ([`stats::Spread`]). A difference under a tenth is noise. Nothing here asserts a time:
//! what can be counted is asserted in tests.
//!
//! - [`Platform`] is `aloft dev` as a child, its output in files, so that no reader takes CPU time from what is measured.
//! - [`Peer`] is a program of `peers/`. It prints its port, and ends when its standard input does.
//! - [`Cpu`] reads the CPU time of a process and all its descendants in nanoseconds. Two cores carry the load as well as the
//!   server, so times tell little without it.
//! - [`Connection`] is the load: one kept connection, one request at a time, no allocation while the clock runs.
//! - [`Report`] prints a table for people and one line of JSON for machines.
//!
//! Never: a figure without its peer, a pause in place of a condition, a sample left out because it looked bad.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the platform and lives in real time"
)]

mod client;
mod cpu;
mod disk;
mod dynamo;
mod interpreter;
mod lambda;
mod load;
mod memory;
mod peer;
mod platform;
mod project;
mod report;
mod signed;
mod stacked;
pub mod stats;

pub use client::{Answer, Connection};
pub use cpu::{Cpu, Tree, Wakes};
pub use disk::{Sync, file_system, write_and_sync};
pub use dynamo::{create_table, get_item, put_item, row};
pub use interpreter::Interpreter;
pub use lambda::{create_function, invoke_event};
pub use load::{Side, Window, pairs};
pub use memory::{Resident, resident};
pub use peer::Peer;
pub use platform::Platform;
pub use project::{Language, Project};
pub use report::{Figure, Report};
pub use stacked::Stacked;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that takes moments on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does something and says how long it took.
///
/// # Errors
/// When it fails.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed()))
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// What was waited for, after a minute.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = condition()? {
            return Ok(answer);
        }
        if started.elapsed() > PATIENCE {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
