//! The bed of crash tests: a child that writes into a folder and tells each acknowledgement on a line of its standard output is killed,
//! or runs under a shim that records every write and sync (`shim.c`), so that its folder can be rebuilt as a power cut at any
//! moment leaves it (the model stands in `disk.rs`). What then must hold, the test says.
//!
//! The child is the test program itself, called again with the word `child`; so such a test is its own harness. It needs `cc`.
//! `SEED=n` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is part of tests; without their harness clippy does not know"
)]

pub mod disk;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aloft_base::{Chance, SeededChance};
use tempfile::TempDir;

use crate::disk::{Cut, Op};

/// A test and its name.
pub type Test = (&'static str, fn(&Bed));

/// What the tests share: the shim, compiled once, and chance.
pub struct Bed {
    /// Draws from the seed.
    pub chance: SeededChance,
    /// Runs what the tests await.
    pub runtime: tokio::runtime::Runtime,
    shim: PathBuf,
}

/// A run under the shim.
pub struct Ran {
    /// What it did to its folder.
    pub ops: Vec<Op>,
    /// What it told.
    pub told: String,
    /// How it ended.
    pub code: Option<i32>,
    root: PathBuf,
    _folder: TempDir,
}

/// A fault that begins in the middle of a run.
pub struct Fault {
    /// The shim's word for it: `SHIM_FULL`, `SHIM_FAIL_SYNC`.
    pub name: &'static str,
    /// After how many acknowledgements.
    pub after: usize,
}

/// The child's folder within what the shim watches.
const DATA: &str = "data";

/// The test program: `child` when it is called with that word, a folder and the test's own words; else the tests whose
/// names contain one of the words.
pub fn main(tests: &[Test], child: impl FnOnce(&Path, &[String])) {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder, rest @ ..] = words.as_slice()
        && command == "child"
    {
        return child(Path::new(folder), rest);
    }
    if words.iter().any(|word| word == "--list") {
        return tests.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed {
        shim: compile(folder.path()),
        chance: SeededChance::new(seed),
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap(),
    };
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            println!("test {name} (seed {seed}) ...");
            test(&bed);
            println!("test {name} ... ok");
        }
    }
}

fn compile(folder: &Path) -> PathBuf {
    let shim = folder.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shim.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&shim)
        .arg(source)
        .arg("-lpthread");
    let done = cc
        .status()
        .expect("a C compiler called cc is needed: install gcc or clang");
    assert!(done.success(), "the shim does not compile");
    shim
}

fn spawn(folder: &Path, words: &[String], environment: &[(&str, &Path)]) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg("child").arg(folder).args(words).stdout(Stdio::piped());
    child.envs(environment.iter().copied()).spawn().unwrap()
}

impl Bed {
    /// Kills children with `kill -9`, each after some of `most` acknowledgements, all on one folder; after each, `audit` holds the folder
    /// against what was told so far. Returns how much that was.
    pub fn kill(
        &self,
        words: &[String],
        most: u64,
        audit: impl Fn(&Path, &str) -> Result<(), String>,
    ) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let mut told = String::new();
        for round in 0..8 {
            let mut child = spawn(folder.path(), words, &[]);
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            for _ in 0..1 + self.chance.below(most) {
                assert!(
                    lines.read_line(&mut told).unwrap() > 0,
                    "round {round}: the child ended"
                );
            }
            child.kill().unwrap();
            child.wait().unwrap();
            lines.read_to_string(&mut told).unwrap();
            // A line that the kill cut short was acknowledged all the same, but its name is not whole.
            told.truncate(told.rfind('\n').map_or(0, |end| end + 1));
            audit(folder.path(), &told).unwrap_or_else(|wrong| panic!("round {round}: {wrong}"));
        }
        told.lines().count()
    }

    /// Runs a child under the shim to its end, with `extra` in its environment and perhaps a fault.
    pub fn record(&self, words: &[String], extra: &[(&str, &Path)], fault: Option<&Fault>) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (root, record, flag) = (path("root"), path("record"), path("flag"));
        std::fs::create_dir(&root).unwrap();
        let mut environment = vec![
            ("LD_PRELOAD", self.shim.as_path()),
            ("SHIM_DIR", &root),
            ("SHIM_LOG", &record),
        ];
        environment.extend_from_slice(extra);
        environment.extend(fault.map(|fault| (fault.name, flag.as_path())));
        let mut child = spawn(&root.join(DATA), words, &environment);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        if let Some(fault) = fault {
            for _ in 0..fault.after {
                assert!(lines.read_line(&mut told).unwrap() > 0, "the child ended");
            }
            std::fs::write(&flag, "").unwrap();
        }
        lines.read_to_string(&mut told).unwrap();
        let code = child.wait().unwrap().code();
        let ops = disk::read(&record);
        // The record is whole: it has every acknowledgement, and replayed to its end it gives the real folder.
        assert_eq!(disk::acks(&ops, ops.len()), told);
        let replayed = tempfile::tempdir().unwrap();
        disk::rebuild(&ops, ops.len(), &Cut::Nothing, replayed.path());
        disk::compare(&root, replayed.path());
        Ran {
            ops,
            told,
            code,
            root,
            _folder: folder,
        }
    }
}

impl Ran {
    /// The child's folder as it was left.
    pub fn folder(&self) -> PathBuf {
        self.root.join(DATA)
    }

    /// Rebuilds the folder as a power cut before an operation leaves it, and audits it against what was told by then.
    pub fn cut(
        &self,
        moment: usize,
        cut: &Cut<'_>,
        audit: impl FnOnce(&Path, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        disk::rebuild(&self.ops, moment, cut, folder.path());
        audit(&folder.path().join(DATA), &disk::acks(&self.ops, moment))
    }

    /// How many syncs there were before the first acknowledgement, between each two, and after the last.
    pub fn syncs(&self) -> Vec<usize> {
        let mut counts = vec![0];
        for op in &self.ops {
            match op {
                Op::Ack(_) => counts.push(0),
                Op::SyncEnd { .. } => *counts.last_mut().unwrap() += 1,
                _ => {}
            }
        }
        counts
    }
}
