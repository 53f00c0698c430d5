//! Crashes of the folder of blobs, in real processes (`tests/power` makes the bed).
//!
//! - `kill`: a child that uploads is killed with `kill -9` at random points, and the folder opened and audited, again and again.
//! - `power`: a child runs under the shim, which records every write and sync; the folder is rebuilt as a power cut at chosen
//!   moments leaves it, opened and audited.
//! - the same with syncs suppressed: there the audit must find losses, or it could not fail.
//! - a full disk and a failed sync, which must be errors of the upload.
//! - the count of real syncs: two for a blob.
//!
//! The test needs `cc`. It is its own harness, because the child is this same program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test; without the usual harness clippy does not know"
)]

mod load;

use std::path::Path;

use aloft_base::Chance;
use test_power::disk::{self, Cut};
use test_power::{Bed, Fault, Ran, Test};

use crate::load::{audit, run};

const TESTS: &[Test] = &[
    ("killed_at_random_points_nothing_acknowledged_is_missing", kill),
    ("a_power_cut_takes_nothing_acknowledged", power_cut),
    ("the_audit_finds_losses_when_syncs_are_suppressed", suppressed),
    ("a_full_disk_is_an_error_and_leaves_nothing", full_disk),
    ("a_failed_sync_is_an_error_and_names_nothing", failed_sync),
    ("a_blob_costs_two_real_syncs", counted_syncs),
];

fn main() {
    test_power::main(TESTS, |folder, words| run(folder, words[0].parse().unwrap()));
}

/// The child's words: after so many blobs it ends by itself.
fn words(enough: u64) -> [String; 1] {
    [enough.to_string()]
}

fn checked(bed: &Bed) -> impl Fn(&Path, &str) -> Result<(), String> {
    |folder, told| bed.runtime.block_on(audit(folder, told))
}

/// A run under the shim that leaves its folder as it told.
fn record(bed: &Bed, enough: u64, extra: &[(&str, &Path)], fault: Option<&Fault>) -> Ran {
    let ran = bed.record(&words(enough), extra, fault);
    checked(bed)(&ran.folder(), &ran.told).unwrap_or_else(|wrong| panic!("without a cut: {wrong}"));
    ran
}

fn kill(bed: &Bed) {
    let told = bed.kill(&words(u64::MAX), 60, checked(bed));
    println!("  {told} blobs survived 8 kills");
}

fn power_cut(bed: &Bed) {
    let ran = record(bed, 24, &[], None);
    assert_eq!(ran.code, Some(0));
    // One blob after the other makes few operations: each of the first blobs' is a moment, and some of the others'.
    let (first, all) = (60, ran.ops.len());
    let later = (0..60).map(|_| first + bed.chance.below((all - first) as u64 + 1) as usize);
    let moments: Vec<usize> = (0..first).chain(later).chain([all]).collect();
    for moment in &moments {
        for form in [Cut::Strict, Cut::Ragged(&bed.chance)] {
            if let Err(wrong) = ran.cut(*moment, &form, checked(bed)) {
                panic!("cut at operation {moment} of {all}: {wrong}");
            }
        }
    }
    let names = disk::names_ending(&ran.ops, "");
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
    println!("  {} moments in {all} operations", moments.len());
}

/// Without syncs a power cut takes acknowledged blobs, and the audit says so: it can fail.
fn suppressed(bed: &Bed) {
    let ran = record(bed, 10, &[("SHIM_IGNORE_SYNC", Path::new("1"))], None);
    let found = ran.cut(ran.ops.len(), &Cut::Strict, checked(bed));
    println!(
        "  {}",
        found.expect_err("the system ignores syncs, and the audit finds nothing")
    );
}

/// The failure that ended a run into a fault.
fn failure(bed: &Bed, name: &'static str) -> String {
    let ran = record(bed, u64::MAX, &[], Some(&Fault { name, after: 10 }));
    assert_eq!(ran.code, Some(3));
    let failure = ran.told.lines().last().unwrap();
    assert!(failure.starts_with('!'), "{failure}");
    failure.to_owned()
}

fn full_disk(bed: &Bed) {
    let failure = failure(bed, "SHIM_FULL");
    assert!(failure.contains("No space left on device"), "{failure}");
}

fn failed_sync(bed: &Bed) {
    let failure = failure(bed, "SHIM_FAIL_SYNC");
    assert!(failure.contains("cannot sync"), "{failure}");
}

/// Between two acknowledgements lie two real syncs, and a third when the folder of the name is new.
fn counted_syncs(bed: &Bed) {
    let counts = record(bed, 40, &[], None).syncs();
    // Before the first acknowledgement the folders are made, after the last nothing is written.
    let between = &counts[1..counts.len() - 1];
    assert_eq!(between.len(), 39);
    assert!(
        between.iter().all(|count| *count == 2 || *count == 3),
        "{between:?}"
    );
    assert!(between.contains(&2), "{between:?}");
}
