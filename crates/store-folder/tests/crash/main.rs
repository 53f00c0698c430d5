//! Crashes of the folder of blobs, in real processes, as the embedded engine has them; the shim and the model of what a power cut
//! leaves are that engine's.
//!
//! - `kill`: a child that uploads is killed with `kill -9` at random points, and the folder opened and audited, again and again.
//! - `power`: a child runs under the shim, which records every write and sync; the folder is rebuilt as a power cut at chosen
//!   moments leaves it, opened and audited.
//! - the same with syncs suppressed: there the audit must find losses, or it could not fail.
//! - a full disk and a failed sync, which must be errors of the upload.
//! - the count of real syncs: two for a blob.
//!
//! The test needs `cc`. It is its own harness, because the child is this same program. `SEED=n` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; without the usual harness clippy does not know"
)]

#[path = "../../../store-embedded/tests/crash/disk.rs"]
mod disk;
mod load;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aloft_base::{Chance, SeededChance};

use crate::disk::{Cut, Op};
use crate::load::{audit, run};

type Test = (&'static str, fn(&Bed));

const TESTS: &[Test] = &[
    ("killed_at_random_points_nothing_acknowledged_is_missing", kill),
    ("a_power_cut_takes_nothing_acknowledged", power_cut),
    ("the_audit_finds_losses_when_syncs_are_suppressed", suppressed),
    ("a_full_disk_is_an_error_and_leaves_nothing", full_disk),
    ("a_failed_sync_is_an_error_and_names_nothing", failed_sync),
    ("a_blob_costs_two_real_syncs", counted_syncs),
];

/// What the tests share: the shim, compiled once, and chance.
struct Bed {
    shim: PathBuf,
    chance: SeededChance,
    runtime: tokio::runtime::Runtime,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder, enough] = args.as_slice()
        && command == "child"
    {
        return run(Path::new(folder), enough.parse().unwrap());
    }
    if args.iter().any(|arg| arg == "--list") {
        return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed {
        shim: compile(folder.path()),
        chance: SeededChance::new(seed),
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
    };
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            println!("test {name} (seed {seed}) ...");
            test(&bed);
            println!("test {name} ... ok");
        }
    }
}

fn compile(folder: &Path) -> PathBuf {
    let shim = folder.join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store-embedded/tests/crash/shim.c");
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

fn spawn(folder: &Path, enough: u64, environment: &[(&str, &Path)]) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .arg("child")
        .arg(folder)
        .arg(enough.to_string())
        .stdout(Stdio::piped());
    child.envs(environment.iter().copied()).spawn().unwrap()
}

fn check(bed: &Bed, folder: &Path, told: &str, when: &str) {
    if let Err(wrong) = bed.runtime.block_on(audit(folder, told)) {
        panic!("{when}: {wrong}");
    }
}

fn kill(bed: &Bed) {
    let folder = tempfile::tempdir().unwrap();
    let mut told = String::new();
    for round in 0..8 {
        let mut child = spawn(folder.path(), u64::MAX, &[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..1 + bed.chance.below(60) {
            assert!(
                lines.read_line(&mut told).unwrap() > 0,
                "round {round}: the child ended"
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.read_to_string(&mut told).unwrap();
        // A line that the kill cut short is not whole.
        told.truncate(told.rfind('\n').map_or(0, |end| end + 1));
        check(bed, folder.path(), &told, &format!("round {round}"));
    }
    println!("  {} blobs survived 8 kills", told.lines().count());
}

/// Runs a child under the shim; answers the record, and what it told and how it ended. `after` so many lines it raises the flag
/// of a fault.
fn run_recorded(bed: &Bed, enough: u64, extra: &[(&str, &Path)], fault: Option<(&str, usize)>) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (root, record, flag) = (path("root"), path("record"), path("flag"));
    std::fs::create_dir(&root).unwrap();
    let mut environment = vec![
        ("LD_PRELOAD", bed.shim.as_path()),
        ("SHIM_DIR", &root),
        ("SHIM_LOG", &record),
    ];
    environment.extend_from_slice(extra);
    environment.extend(fault.map(|(name, _)| (name, flag.as_path())));
    let mut child = spawn(&root.join("blobs"), enough, &environment);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    if let Some((_, after)) = fault {
        for _ in 0..after {
            assert!(lines.read_line(&mut told).unwrap() > 0, "the child ended");
        }
        std::fs::write(&flag, "").unwrap();
    }
    lines.read_to_string(&mut told).unwrap();
    let code = child.wait().unwrap().code();
    let ops = disk::read(&record);
    // The record is whole: replayed to its end it gives the real folder.
    let replayed = tempfile::tempdir().unwrap();
    disk::rebuild(&ops, ops.len(), &Cut::Nothing, replayed.path());
    disk::compare(&root, replayed.path());
    check(bed, &root.join("blobs"), &told, "without a cut");
    Ran { ops, told, code }
}

struct Ran {
    ops: Vec<Op>,
    told: String,
    code: Option<i32>,
}

/// Rebuilds the folder as of a moment and audits it.
fn cut(bed: &Bed, ops: &[Op], moment: usize, cut: &Cut<'_>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    disk::rebuild(ops, moment, cut, folder.path());
    let told = disk::acks(ops, moment);
    bed.runtime.block_on(audit(&folder.path().join("blobs"), &told))
}

fn power_cut(bed: &Bed) {
    let Ran { ops, code, .. } = run_recorded(bed, 24, &[], None);
    assert_eq!(code, Some(0));
    // One blob after the other makes few operations: each of the first blobs' is a moment, and some of the others'.
    let (first, rest) = (60, ops.len() as u64 - 60);
    let later = (0..60).map(|_| first + bed.chance.below(rest + 1) as usize);
    let moments: Vec<usize> = (0..first).chain(later).chain([ops.len()]).collect();
    for moment in &moments {
        let moment = *moment;
        for form in [Cut::Strict, Cut::Ragged(&bed.chance)] {
            if let Err(wrong) = cut(bed, &ops, moment, &form) {
                panic!("cut at operation {moment} of {}: {wrong}", ops.len());
            }
        }
    }
    let names = disk::names_ending(&ops, "");
    let of_kind = |kind, length| {
        names
            .iter()
            .filter(|name| name.starts_with(kind) && name.len() == length)
            .count()
    };
    assert!(
        of_kind('c', 65) > 10 && of_kind('r', 33) > 5,
        "blobs got their names: {names:?}"
    );
    println!("  {} moments in {} operations", moments.len(), ops.len());
}

/// Without syncs a power cut takes acknowledged blobs, and the audit says so: it can fail.
fn suppressed(bed: &Bed) {
    let ran = run_recorded(bed, 10, &[("SHIM_IGNORE_SYNC", Path::new("1"))], None);
    let found = cut(bed, &ran.ops, ran.ops.len(), &Cut::Strict);
    println!(
        "  {}",
        found.expect_err("the system ignores syncs, and the audit finds nothing")
    );
}

fn full_disk(bed: &Bed) {
    let ran = run_recorded(bed, u64::MAX, &[], Some(("SHIM_FULL", 10)));
    assert_eq!(ran.code, Some(3));
    let failure = ran.told.lines().last().unwrap();
    assert!(
        failure.starts_with('!') && failure.contains("No space left on device"),
        "{failure}"
    );
}

fn failed_sync(bed: &Bed) {
    let ran = run_recorded(bed, u64::MAX, &[], Some(("SHIM_FAIL_SYNC", 10)));
    assert_eq!(ran.code, Some(3));
    let failure = ran.told.lines().last().unwrap();
    assert!(
        failure.starts_with('!') && failure.contains("cannot sync"),
        "{failure}"
    );
}

/// Between two acknowledgements lie two real syncs, and a third when the folder of the name is new.
fn counted_syncs(bed: &Bed) {
    let Ran { ops, .. } = run_recorded(bed, 40, &[], None);
    let mut counts = vec![0];
    for op in &ops {
        match op {
            Op::Ack(_) => counts.push(0),
            Op::SyncEnd { .. } => *counts.last_mut().unwrap() += 1,
            _ => {}
        }
    }
    // Before the first acknowledgement the folders are made, after the last nothing is written.
    let between = &counts[1..counts.len() - 1];
    assert_eq!(between.len(), 39);
    assert!(
        between.iter().all(|count| *count == 2 || *count == 3),
        "{between:?}"
    );
    assert!(between.contains(&2), "{between:?}");
}
