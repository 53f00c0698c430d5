//! Crashes of the embedded engine, in real processes.
//!
//! - `kill`: a child under load is killed with `kill -9` at random points, its folder opened and audited, again and again.
//! - `power`: a child runs under a shim that records every write and sync (`shim.c`); the folder is rebuilt as a power cut at
//!   chosen moments leaves it, with nothing but what was synced (the model stands in `disk.rs`), opened and audited.
//! - the same with syncs suppressed, in the engine or beneath it: there the audit must find losses, or it could not fail.
//! - a full disk and a failed sync, which must be errors of the commits and lose nothing.
//! - the count of real `fdatasync` calls: one for a group.
//!
//! The test needs `cc`. It is its own harness, because the child is this same program. `SEED=n` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; without the usual harness clippy does not know"
)]

mod audit;
mod disk;
mod load;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aloft_base::{Chance, SeededChance};
use tempfile::TempDir;

use crate::audit::audit;
use crate::disk::{Cut, Op};
use crate::load::Load;

type Test = (&'static str, fn(&Bed));

const TESTS: &[Test] = &[
    ("killed_at_random_points_nothing_acknowledged_is_missing", kill),
    ("a_power_cut_takes_nothing_acknowledged", power_cut),
    (
        "a_power_cut_around_new_journals_takes_nothing_acknowledged",
        power_cut_with_large_rows,
    ),
    ("the_audit_finds_losses_when_syncs_are_suppressed", suppressed),
    ("a_full_disk_is_an_error_and_loses_nothing", full_disk),
    ("a_failed_sync_ends_all_writing", failed_sync),
    ("a_lone_commit_costs_one_real_sync", counted_syncs),
    ("many_writers_share_real_syncs", shared_syncs),
];

/// What the tests share: the shim, compiled once, and chance.
struct Bed {
    shim: PathBuf,
    chance: SeededChance,
    runtime: tokio::runtime::Runtime,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, folder, rest @ ..] = args.as_slice()
        && command == "child"
    {
        return load::run(Path::new(folder), Load::from_args(rest));
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
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap(),
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
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/shim.c");
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

fn spawn(folder: &Path, load: &Load, environment: &[(&str, &Path)]) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .arg("child")
        .arg(folder)
        .args(load.to_args())
        .stdout(Stdio::piped());
    child.envs(environment.iter().copied()).spawn().unwrap()
}

/// A small load: tables are written and compacted all the time.
fn small() -> Load {
    Load {
        writers: 6,
        bytes: 700,
        enough: u64::MAX,
        buffer_bytes: 48 << 10,
        sync: true,
        settle: true,
    }
}

fn kill(bed: &Bed) {
    let folder = tempfile::tempdir().unwrap();
    let (load, mut told) = (small(), String::new());
    for round in 0..8 {
        let mut child = spawn(folder.path(), &load, &[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..1 + bed.chance.below(400) {
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
        check(bed, folder.path(), &load, &told, &format!("round {round}"));
    }
    println!("  {} acknowledgements survived 8 kills", told.lines().count());
}

fn check(bed: &Bed, folder: &Path, load: &Load, told: &str, when: &str) {
    if let Err(wrong) = bed.runtime.block_on(audit(folder, load, told)) {
        panic!("{when}: {wrong}");
    }
}

/// Runs a load under the shim, to its end; answers the record.
fn run_recorded(bed: &Bed, load: &Load, extra: &[(&str, &Path)]) -> Vec<Op> {
    let folder = tempfile::tempdir().unwrap();
    let (root, record) = (folder.path().join("root"), folder.path().join("record"));
    std::fs::create_dir(&root).unwrap();
    let mut environment = vec![
        ("LD_PRELOAD", bed.shim.as_path()),
        ("SHIM_DIR", &root),
        ("SHIM_LOG", &record),
    ];
    environment.extend_from_slice(extra);
    let mut child = spawn(&root.join("data"), load, &environment);
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success(), "{told}");
    let ops = disk::read(&record);
    assert_eq!(
        disk::acks(&ops, ops.len()),
        told,
        "the record has every acknowledgement"
    );
    // The record is whole: replayed to its end it gives the real folder.
    let replayed = tempfile::tempdir().unwrap();
    disk::rebuild(&ops, ops.len(), &Cut::Nothing, replayed.path());
    disk::compare(&root, replayed.path());
    ops
}

/// Rebuilds the folder as of a moment and audits it.
fn cut(bed: &Bed, ops: &[Op], moment: usize, cut: &Cut<'_>, load: &Load) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    disk::rebuild(ops, moment, cut, folder.path());
    let told = disk::acks(ops, moment);
    bed.runtime
        .block_on(audit(&folder.path().join("data"), load, &told))
}

/// Moments worth a power cut: some by chance, those around the syncs of directories, where files change their names, and
/// those when a sync is just about to end: all is written, any part of it may be on the disk.
fn moments(bed: &Bed, ops: &[Op], random: usize, around: usize) -> Vec<usize> {
    let mut moments: Vec<usize> = (0..random)
        .map(|_| bed.chance.below(ops.len() as u64 + 1) as usize)
        .collect();
    let named = |(at, op): (usize, &Op)| matches!(op, Op::Listing { sync, .. } if *sync > 0).then_some(at);
    let renames: Vec<usize> = ops.iter().enumerate().filter_map(named).collect();
    for _ in 0..around {
        let at = renames[bed.chance.below(renames.len() as u64) as usize] + bed.chance.below(6) as usize;
        moments.push(at.saturating_sub(3).min(ops.len()));
    }
    let ends = |(at, op): (usize, &Op)| matches!(op, Op::SyncEnd { .. }).then_some(at);
    let ends: Vec<usize> = ops.iter().enumerate().filter_map(ends).collect();
    moments.extend((0..around).map(|_| ends[bed.chance.below(ends.len() as u64) as usize]));
    moments.push(ops.len());
    moments
}

fn cut_everywhere(bed: &Bed, load: &Load, random: usize, around: usize) -> Vec<Op> {
    let ops = run_recorded(bed, load, &[]);
    let moments = moments(bed, &ops, random, around);
    for moment in &moments {
        for form in [Cut::Strict, Cut::Ragged(&bed.chance)] {
            let name = if matches!(form, Cut::Strict) {
                "strict"
            } else {
                "ragged"
            };
            if let Err(wrong) = cut(bed, &ops, *moment, &form, load) {
                panic!("cut at operation {moment} of {}, {name}: {wrong}", ops.len());
            }
        }
    }
    let syncs = ops.iter().filter(|op| matches!(op, Op::SyncEnd { .. })).count();
    println!(
        "  {} moments in {} operations with {syncs} syncs",
        moments.len(),
        ops.len()
    );
    ops
}

fn power_cut(bed: &Bed) {
    let load = Load {
        enough: 1_200,
        ..small()
    };
    let ops = cut_everywhere(bed, &load, 25, 25);
    let directories = ops
        .iter()
        .filter(|op| matches!(op, Op::Listing { sync, .. } if *sync > 0));
    assert!(directories.count() > 50, "tables were written and compacted");
}

/// fjall begins a new journal after 64 MB: rows of half a mebibyte reach it soon.
fn power_cut_with_large_rows(bed: &Bed) {
    let load = Load {
        writers: 3,
        bytes: 512 << 10,
        enough: 160,
        buffer_bytes: 8 << 20,
        settle: false,
        ..small()
    };
    let ops = cut_everywhere(bed, &load, 4, 8);
    let journals = disk::names_ending(&ops, ".jnl");
    assert!(journals.len() > 1, "a second journal was begun: {journals:?}");
}

/// Without syncs a power cut takes acknowledged batches, and the audit says so: it can fail.
fn suppressed(bed: &Bed) {
    let quiet = Load {
        enough: 150,
        ..small()
    };
    let careless = Load {
        sync: false,
        ..quiet.clone()
    };
    let runs = [
        ("the engine does not sync", run_recorded(bed, &careless, &[])),
        (
            "the system ignores syncs",
            run_recorded(bed, &quiet, &[("SHIM_IGNORE_SYNC", Path::new("1"))]),
        ),
    ];
    for (what, ops) in runs {
        let found = cut(bed, &ops, ops.len(), &Cut::Strict, &quiet);
        let Err(wrong) = found else {
            panic!("{what}, and the audit finds nothing");
        };
        println!("  {what}: {wrong}");
    }
}

/// Runs a load with a fault that begins after some acknowledgements; answers what was told, the failure last.
fn run_into_fault(bed: &Bed, load: &Load, fault: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (root, record, flag) = (
        folder.path().join("root"),
        folder.path().join("record"),
        folder.path().join("flag"),
    );
    std::fs::create_dir(&root).unwrap();
    let environment = [
        ("LD_PRELOAD", bed.shim.as_path()),
        ("SHIM_DIR", &root),
        ("SHIM_LOG", &record),
        (fault, &flag),
    ];
    let mut child = spawn(&root.join("data"), load, &environment);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut told = String::new();
    for _ in 0..50 {
        assert!(lines.read_line(&mut told).unwrap() > 0, "the child ended");
    }
    std::fs::write(&flag, "").unwrap();
    lines.read_to_string(&mut told).unwrap();
    assert_eq!(
        child.wait().unwrap().code(),
        Some(3),
        "the child ends with the failure of a commit"
    );
    (folder, told)
}

fn full_disk(bed: &Bed) {
    let load = small();
    let (folder, told) = run_into_fault(bed, &load, "SHIM_FULL");
    let failure = told.lines().find(|line| line.starts_with('!')).unwrap();
    // Which of the two depends on who writes first, the committer or the tree's background work.
    assert!(
        failure.contains("No space left on device") || failure.contains("full or failing disk"),
        "{failure}"
    );
    check(
        bed,
        &folder.path().join("root/data"),
        &load,
        &told,
        "after the disk was full",
    );
}

fn failed_sync(bed: &Bed) {
    let load = small();
    let (folder, told) = run_into_fault(bed, &load, "SHIM_FAIL_SYNC");
    let failure = told.lines().find(|line| line.starts_with('!')).unwrap();
    assert!(failure.contains("accepts no more writes"), "{failure}");
    // A writer may still have to tell what it was answered before the failure: one line, and never a second.
    let after = told.split_once('!').unwrap().1;
    let mut late: Vec<&str> = after
        .lines()
        .filter_map(|line| Some(line.split_once('/')?.0))
        .collect();
    late.retain(|writer| writer.starts_with('+'));
    late.sort_unstable();
    assert!(
        late.windows(2).all(|two| two[0] != two[1]),
        "something was acknowledged after the failure: {after}"
    );
    check(
        bed,
        &folder.path().join("root/data"),
        &load,
        &told,
        "after a sync failed",
    );
}

/// Between two acknowledgements of a lone writer lies exactly one real sync.
fn counted_syncs(bed: &Bed) {
    let load = Load {
        writers: 1,
        enough: 100,
        buffer_bytes: 8 << 20,
        settle: false,
        ..small()
    };
    let ops = run_recorded(bed, &load, &[]);
    let mut counts = vec![0];
    for op in &ops {
        match op {
            Op::Ack(_) => counts.push(0),
            Op::SyncEnd { .. } => *counts.last_mut().unwrap() += 1,
            _ => {}
        }
    }
    // Before the first acknowledgement the folder is made, after the last nothing is written.
    assert_eq!(counts[1..], [vec![1; 99], vec![0]].concat());
}

/// With many writers a sync is that of a group: each acknowledgement still comes after one (the power cuts show it), and there are
/// far fewer of them than commits.
fn shared_syncs(bed: &Bed) {
    let load = Load {
        writers: 64,
        enough: 2_000,
        buffer_bytes: 8 << 20,
        settle: false,
        ..small()
    };
    let ops = run_recorded(bed, &load, &[]);
    let is_ack = |op: &Op| matches!(op, Op::Ack(_));
    let (first, last) = (ops.iter().position(is_ack), ops.iter().rposition(is_ack));
    let between = &ops[first.unwrap()..last.unwrap()];
    let acks = between.iter().filter(|op| is_ack(op)).count();
    let syncs = between
        .iter()
        .filter(|op| matches!(op, Op::SyncEnd { .. }))
        .count();
    assert!(acks >= 1_900, "{acks} acknowledgements");
    assert!(
        (1..acks / 4).contains(&syncs),
        "{acks} commits of 64 writers took {syncs} syncs"
    );
    println!("  {acks} commits of 64 writers shared {syncs} syncs");
}
