//! Hundreds of seeds, the same in every run of the tests, by the program that `cargo xtask simulate` runs: it fails at the first
//! complaint, and when a fault or a check never came about.

use std::process::{Command, Output};

#[cfg(test)]
fn simulate(words: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_aloft-simulation"))
        .args(words)
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn hundreds_of_seeds_pass_and_nothing_is_left_out() {
    let (output, said) = simulate(&["--first", "1", "--seeds", "420"]);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_run_in_which_something_never_happened_fails() {
    let (output, said) = simulate(&["--first", "10", "--seeds", "1"]);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("no run of \"a busy row\""), "{said}");
    assert!(said.contains("never struck"), "{said}");
    assert!(said.contains("\"order per key\" had nothing to check"), "{said}");
}

#[test]
fn words_that_mean_nothing_are_refused() {
    for words in [&["--sead", "1"][..], &["--seed"], &["--seed", "x"]] {
        let (output, said) = simulate(words);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(words[0]), "{said}");
    }
}
