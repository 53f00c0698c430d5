//! A crash at every await of an effect: a small run is made once, and then again and again with the node ended before its
//! first effect, after it, before its second, and so on, until everything had come to rest.

use aloft_simulation::{Options, SWEEPS, run};

#[cfg(test)]
fn sweep(number: usize, least: u64) {
    let scenario = &SWEEPS[number];
    let plain = Options {
        scenario: Some(scenario),
        ..Options::default()
    };
    let seed = 7;
    let effects = run(seed, plain).unwrap().busy_effects;
    assert!(effects >= least, "{}: only {effects} effects", scenario.name);
    for effect in 1..=effects {
        for is_after in [false, true] {
            let options = Options {
                crash_at: Some((effect, is_after)),
                ..plain
            };
            let wrong = run(seed, options).unwrap().verdict.wrong;
            assert!(
                wrong.is_empty(),
                "{}, {:?}: {wrong:?}",
                scenario.name,
                options.crash_at
            );
        }
    }
}

#[test]
fn orders_on_one_node() {
    sweep(0, 100);
}

#[test]
fn orders_on_two_nodes() {
    sweep(1, 150);
}

#[test]
fn the_node_that_owns_the_store() {
    sweep(2, 100);
}

#[test]
fn rules_that_come_and_go() {
    sweep(3, 100);
}

#[test]
fn jobs() {
    sweep(4, 50);
}

#[test]
fn two_owners() {
    sweep(5, 20);
}

#[test]
fn calls_that_are_made_later() {
    sweep(6, 50);
}

#[test]
fn aliases_that_move() {
    sweep(7, 100);
}
