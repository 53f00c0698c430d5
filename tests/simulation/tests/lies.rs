//! The checker is proven: under each lie that a store may tell, a run fails by the check that is meant for it. Without a lie the
//! same seeds pass, so that it is the lie that is found.

use aloft_simulation::{Check, Lie, Options, Report, Scenario, run};

/// So many seeds at most must be enough to find one.
const SEEDS: u64 = 30;

#[cfg(test)]
fn runs(scenario: &str, lie: Option<Lie>) -> impl Iterator<Item = Report> {
    let scenario = Some(Scenario::named(scenario).unwrap());
    let options = Options {
        scenario,
        lie,
        ..Options::default()
    };
    (1_000..1_000 + SEEDS).map(move |seed| run(seed, options).unwrap())
}

#[cfg(test)]
/// Some run under the lie is blamed by one of these checks.
fn is_found(lie: Lie, scenario: &str, checks: &[Check]) {
    let (mut lied, mut others) = (0, Vec::new());
    for report in runs(scenario, Some(lie)) {
        lied += report.lied;
        if report.lied > 0 && checks.iter().any(|check| report.verdict.blames(*check)) {
            let honest = Options {
                scenario: Some(report.scenario),
                ..Options::default()
            };
            let wrong = run(report.seed, honest).unwrap().verdict.wrong;
            assert!(
                wrong.is_empty(),
                "seed {} fails without a lie: {wrong:?}",
                report.seed
            );
            return;
        }
        others.extend(report.verdict.wrong.into_iter().map(|(check, _)| check));
    }
    panic!("{lie:?} was told {lied} times and never found by {checks:?}, only by {others:?}");
}

#[test]
fn a_write_that_is_acknowledged_and_never_made() {
    is_found(Lie::Acknowledge, "orders on one node", &[Check::Acknowledged]);
}

#[test]
fn a_commit_that_loses_its_record() {
    is_found(Lie::DropRecord, "orders on one node", &[Check::Skip]);
    is_found(Lie::DropRecord, "orders on two nodes", &[Check::Acknowledged]);
}

#[test]
fn a_commit_that_loses_its_row() {
    is_found(Lie::DropRow, "orders on one node", &[Check::Agree]);
}

#[test]
fn a_cursor_that_skips_a_record() {
    is_found(Lie::SkipRecord, "a busy row", &[Check::Skip]);
    is_found(Lie::SkipRecord, "orders on two nodes", &[Check::Delivered]);
}

#[test]
fn records_in_another_order() {
    is_found(Lie::Reorder, "a busy row", &[Check::Order]);
}

#[test]
fn a_token_that_is_honoured_twice() {
    is_found(Lie::KeepTask, "jobs on one node", &[Check::Once]);
    is_found(Lie::KeepTask, "jobs on two nodes", &[Check::Finished]);
}

#[test]
fn a_task_that_is_lost() {
    is_found(Lie::LoseTask, "jobs on one node", &[Check::Once]);
    is_found(Lie::LoseTask, "orders on one node", &[Check::Delivered]);
    is_found(Lie::LoseTask, "calls that are made later", &[Check::Accepted]);
    is_found(
        Lie::LoseTask,
        "letters that are delivered anew",
        &[Check::Redriven],
    );
}

#[test]
fn a_fence_that_does_not_hold() {
    is_found(Lie::IgnoreFence, "two owners of a partition", &[Check::Fence]);
}

#[test]
fn a_read_of_what_was_there_before() {
    is_found(Lie::StaleRead, "orders on one node", &[Check::Read]);
}

#[test]
fn a_batch_that_is_made_twice() {
    is_found(Lie::ForgetBatch, "orders on one node", &[Check::Acknowledged]);
}

#[test]
fn a_node_that_never_idles() {
    is_found(Lie::BusyPoll, "orders on one node", &[Check::Idle]);
}

#[test]
fn a_blob_that_is_acknowledged_and_not_there() {
    is_found(Lie::LoseBlob, "files and their collectors", &[Check::Named]);
}

/// A rule that is added anew begins to read where it was told that the log ends.
#[test]
fn a_commit_that_is_said_to_be_old() {
    is_found(Lie::OldPosition, "rules that come and go", &[Check::Removed]);
}

#[test]
fn a_node_that_goes_on_with_what_was_changed() {
    let checks = &[Check::Resolved];
    is_found(Lie::NeverForget, "aliases that move", checks);
    is_found(Lie::StaleRead, "aliases that move", checks);
}

#[test]
fn a_call_that_gets_its_version_when_it_is_accepted() {
    is_found(Lie::ResolveEarly, "aliases that move", &[Check::ResolvedLater]);
}

#[test]
fn a_version_that_runs_another_ones_code() {
    is_found(Lie::OtherCode, "aliases that move", &[Check::Code]);
}

#[test]
fn a_commit_of_several_rows_that_loses_one() {
    let checks = &[Check::Kept];
    is_found(Lie::HalfBatch, "aliases that move", checks);
    let scenario = "aliases that move on the one of two nodes that owns the store";
    is_found(Lie::HalfBatch, scenario, checks);
}

#[test]
fn a_version_that_is_said_to_be_missing() {
    is_found(Lie::HalfBatch, "aliases that move", &[Check::Found]);
}

/// An alias is moved to a version while that is deleted.
#[test]
fn a_commit_that_does_not_look_at_what_it_was_decided_on() {
    is_found(
        Lie::IgnoreExpect,
        "aliases that move",
        &[Check::Kept, Check::InUse],
    );
}
