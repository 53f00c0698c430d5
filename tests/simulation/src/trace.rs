//! What happened, line by line, as a hash: two runs are the same run if their hashes are equal. Nothing of the real machine
//! goes in: no real time, no address, no iteration order of a hash map.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The trace of one run.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: u64,
    is_shown: bool,
}

impl Trace {
    /// An empty trace, which also goes to stderr line by line if it `is_shown`.
    pub fn new(is_shown: bool) -> Self {
        Self {
            is_shown,
            ..Self::default()
        }
    }

    /// Adds a line that was written at a moment of simulated time.
    pub fn note(&mut self, at_ms: u64, line: fmt::Arguments<'_>) {
        let line = format!("{at_ms:>9} {line}");
        self.hash = xxh3_64_with_seed(line.as_bytes(), self.hash);
        self.lines += 1;
        if self.is_shown {
            eprintln!("{line}");
        }
    }

    /// The hash over all lines so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines it has.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}
