//! Crashes of the embedded engine, in real processes.
//!
//! - `kill`: a child under load is killed with `kill -9` at random points, its folder opened and audited, again and again.
//! - `power`: a child runs under a shim that records every write and sync; the folder is rebuilt as a power cut at chosen
//!   moments leaves it, with nothing but what was synced, opened and audited (`tests/power` makes the bed).
//! - the same with syncs suppressed, in the engine or beneath it: there the audit must find losses, or it could not fail.
//! - a full disk and a failed sync, which must be errors of the commits and lose nothing.
//! - the count of real `fdatasync` calls: one for a group.
//!
//! The test needs `cc`. It is its own harness, because the child is this same program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; without the usual harness clippy does not know"
)]

mod audit;
mod load;

use std::path::Path;

use aloft_base::Chance;
use test_power::disk::{self, Cut, Op};
use test_power::{Bed, Fault, Ran, Test};

use crate::audit::audit;
use crate::load::Load;

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

fn main() {
    test_power::main(TESTS, |folder, words| load::run(folder, Load::from_args(words)));
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

fn checked(bed: &Bed, load: &Load) -> impl Fn(&Path, &str) -> Result<(), String> {
    move |folder, told| bed.runtime.block_on(audit(folder, load, told))
}

fn kill(bed: &Bed) {
    let load = small();
    let told = bed.kill(&load.to_args(), 400, checked(bed, &load));
    println!("  {told} acknowledgements survived 8 kills");
}

/// Runs a load under the shim, to its end.
fn record(bed: &Bed, load: &Load, extra: &[(&str, &Path)]) -> Ran {
    let ran = bed.record(&load.to_args(), extra, None);
    assert_eq!(ran.code, Some(0), "{}", ran.told);
    ran
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
    let ran = record(bed, load, &[]);
    let moments = moments(bed, &ran.ops, random, around);
    for moment in &moments {
        for form in [Cut::Strict, Cut::Ragged(&bed.chance)] {
            let name = if matches!(form, Cut::Strict) {
                "strict"
            } else {
                "ragged"
            };
            if let Err(wrong) = ran.cut(*moment, &form, checked(bed, load)) {
                panic!("cut at operation {moment} of {}, {name}: {wrong}", ran.ops.len());
            }
        }
    }
    println!(
        "  {} moments in {} operations with {} syncs",
        moments.len(),
        ran.ops.len(),
        ran.syncs().iter().sum::<usize>()
    );
    ran.ops
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
        ("the engine does not sync", record(bed, &careless, &[])),
        (
            "the system ignores syncs",
            record(bed, &quiet, &[("SHIM_IGNORE_SYNC", Path::new("1"))]),
        ),
    ];
    for (what, ran) in runs {
        let found = ran.cut(ran.ops.len(), &Cut::Strict, checked(bed, &quiet));
        let Err(wrong) = found else {
            panic!("{what}, and the audit finds nothing");
        };
        println!("  {what}: {wrong}");
    }
}

/// Runs a load into a fault; answers what was told, the failure among it. What was acknowledged is there.
fn told_until(bed: &Bed, name: &'static str) -> String {
    let load = small();
    let ran = bed.record(&load.to_args(), &[], Some(&Fault { name, after: 50 }));
    assert_eq!(ran.code, Some(3), "the child ends with the failure of a commit");
    checked(bed, &load)(&ran.folder(), &ran.told).unwrap_or_else(|wrong| panic!("after {name}: {wrong}"));
    ran.told
}

fn full_disk(bed: &Bed) {
    let told = told_until(bed, "SHIM_FULL");
    let failure = told.lines().find(|line| line.starts_with('!')).unwrap();
    // Which of the two depends on who writes first, the committer or the tree's background work.
    assert!(
        failure.contains("No space left on device") || failure.contains("full or failing disk"),
        "{failure}"
    );
}

fn failed_sync(bed: &Bed) {
    let told = told_until(bed, "SHIM_FAIL_SYNC");
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
    let counts = record(bed, &load, &[]).syncs();
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
    let ops = record(bed, &load, &[]).ops;
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
