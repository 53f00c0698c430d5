//! One run: a scenario under a seed, from the first request to the verdict. And the sums of many.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aloft_base::Chance as _;
use anyhow::Result;

use crate::check::{self, Check, Verdict};
use crate::fault::Fault;
use crate::lie::Lie;
use crate::scenario::{SCENARIOS, Scenario};
use crate::shared::Shared;
use crate::trace::Trace;
use crate::world::World;

/// What is asked for besides the seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Another scenario than the seed's.
    pub scenario: Option<&'static Scenario>,
    /// What the store does wrong; none but in tests of the checker.
    pub lie: Option<Lie>,
    /// At which effect a node crashes besides, before it (`false`) or after it (`true`).
    pub crash_at: Option<(u64, bool)>,
    /// Whether the trace goes to stderr.
    pub is_shown: bool,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The hash of everything that happened.
    pub trace: u64,
    /// How many lines the trace has.
    pub lines: u64,
    /// Effects of all nodes: the places where one may crash.
    pub effects: u64,
    /// Those before everything came to rest.
    pub busy_effects: u64,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// How often the store lied.
    pub lied: u64,
    /// What the checks found.
    pub verdict: Verdict,
}

/// Runs a seed.
///
/// # Errors
/// When the simulation itself does not work: a failed check is part of the report.
pub fn run(seed: u64, options: Options) -> Result<Report> {
    let scenario = options.scenario.unwrap_or_else(|| Scenario::of(seed));
    let trace = Trace::new(options.is_shown);
    let own = (options.lie, options.crash_at);
    let shared = Arc::new(Shared::new(scenario, seed, trace, own));
    World::new(shared.clone())?.run()?;
    let state = shared.state();
    Ok(Report {
        seed,
        scenario,
        trace: state.trace.hash(),
        lines: state.trace.lines(),
        effects: state.effects,
        busy_effects: state.busy_effects,
        faults: state.faults.struck().clone(),
        lied: state.lied,
        verdict: check::check(scenario, state.history.seen()),
    })
}

/// The sums of many runs.
#[derive(Debug, Default)]
pub struct Totals {
    /// How many runs.
    pub runs: u64,
    /// Runs of each scenario.
    pub scenarios: BTreeMap<&'static str, u64>,
    /// How often each fault struck.
    pub faults: BTreeMap<Fault, u64>,
    /// How often each check had something to check.
    pub checked: BTreeMap<Check, u64>,
    /// Effects.
    pub effects: u64,
}

impl Totals {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        self.merge(Self {
            runs: 1,
            scenarios: BTreeMap::from([(report.scenario.name, 1)]),
            faults: report.faults.clone(),
            checked: report.verdict.checked.clone(),
            effects: report.effects,
        });
    }

    /// Adds the sums of others.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.effects += other.effects;
        sum(&mut self.scenarios, other.scenarios);
        sum(&mut self.faults, other.faults);
        sum(&mut self.checked, other.checked);
    }

    /// What never happened and so proves nothing: scenarios, faults and checks with a zero.
    pub fn zeros(&self) -> Vec<String> {
        let scenarios = SCENARIOS
            .iter()
            .filter(|scenario| !self.scenarios.contains_key(scenario.name))
            .map(|scenario| format!("no run of \"{}\"", scenario.name));
        let faults = Fault::ALL
            .iter()
            .filter(|fault| !self.faults.contains_key(fault))
            .map(|fault| format!("\"{}\" never struck", fault.word()));
        let checks = Check::ALL
            .iter()
            .filter(|check| !self.checked.contains_key(check))
            .map(|check| format!("\"{}\" had nothing to check", check.word()));
        scenarios.chain(faults).chain(checks).collect()
    }
}

fn sum<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, times) in from {
        *to.entry(key).or_default() += times;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} runs, {} effects", self.runs, self.effects)?;
        for (name, times) in &self.scenarios {
            writeln!(f, "  scenario  {times:>9}  {name}")?;
        }
        for fault in Fault::ALL {
            let times = self.faults.get(fault).copied().unwrap_or(0);
            writeln!(f, "  fault     {times:>9}  {}", fault.word())?;
        }
        for check in Check::ALL {
            let times = self.checked.get(check).copied().unwrap_or(0);
            writeln!(f, "  checked   {times:>9}  {}", check.word())?;
        }
        Ok(())
    }
}

/// A seed that nobody chose, to begin from.
pub fn any_seed() -> u64 {
    aloft_base::SystemChance.next_u64() >> 16
}
