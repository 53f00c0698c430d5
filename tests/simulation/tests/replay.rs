//! The same seed is the same run: twice in one process, and in another.

use std::process::Command;

use aloft_simulation::{Options, SCENARIOS, run};

#[cfg(test)]
fn trace(seed: u64) -> (u64, u64) {
    let report = run(seed, Options::default()).unwrap();
    (report.trace, report.lines)
}

#[test]
fn a_seed_twice_is_the_same_run() {
    let seeds = 0..3 * SCENARIOS.len() as u64;
    let mut hashes = std::collections::BTreeSet::new();
    for seed in seeds {
        let first = trace(seed);
        assert_eq!(first, trace(seed), "seed {seed}");
        assert!(first.1 > 100, "seed {seed} has hardly anything in it");
        assert!(hashes.insert(first.0), "two seeds are one run");
    }
}

#[test]
fn another_process_runs_it_the_same_way() {
    for seed in 100..100 + SCENARIOS.len() as u64 {
        let (hash, lines) = trace(seed);
        let other = Command::new(env!("CARGO_BIN_EXE_aloft-simulation"))
            .args(["--seed", &seed.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8(other.stdout).unwrap();
        let wanted = format!("seed {seed}: trace {hash:016x} of {lines} lines");
        assert!(said.contains(&wanted), "{wanted}\n{said}");
        assert!(other.status.success(), "{said}");
    }
}
