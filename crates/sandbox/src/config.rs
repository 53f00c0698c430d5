//! How the spawner is started.

use std::path::PathBuf;

/// How the spawner is started.
#[derive(Debug, Clone)]
pub struct Config {
    /// The program to run as the spawner. It must call [`crate::spawner_if_asked`] first thing in `main`. By default the running
    /// program itself, through `/proc/self/exe`, so that replacing the binary on disk changes nothing.
    pub program: PathBuf,
    /// As root, sandboxes run under host user ids from here on, each under its own (65,536 in turn). The default lies above
    /// what distributions, systemd and containers give out, and below 2³¹, which some programs cannot count.
    pub first_uid: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            program: "/proc/self/exe".into(),
            first_uid: 2_000_000_000,
        }
    }
}
