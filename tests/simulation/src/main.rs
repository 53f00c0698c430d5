//! `aloft-simulation [--seeds N] [--minutes M] [--first S] [--seed S] [--trace]`: runs seeds on all cores and says what it
//! found. `cargo xtask simulate` builds it as it must be built, and calls it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aloft_base::{Clock as _, SystemClock};
use aloft_simulation::{Options, Report, Totals, any_seed, run};
use anyhow::{Context as _, Result, bail};

/// How many seeds run when nothing else is said.
const SEEDS: u64 = 400;

struct Words {
    seeds: u64,
    minutes: Option<u64>,
    seed: Option<u64>,
    first: Option<u64>,
    is_shown: bool,
}

fn main() -> ExitCode {
    match words().and_then(|words| work(&words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulation: failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn words() -> Result<Words> {
    let mut words = Words {
        seeds: SEEDS,
        minutes: None,
        seed: None,
        first: None,
        is_shown: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        let mut number = || -> Result<u64> {
            let text = given.next();
            let text = text.with_context(|| format!("{word} needs a number behind it"))?;
            text.parse()
                .with_context(|| format!("{word} {text}: not a number"))
        };
        match word.as_str() {
            "--seeds" => words.seeds = number()?,
            "--minutes" => words.minutes = Some(number()?),
            "--seed" => words.seed = Some(number()?),
            "--first" => words.first = Some(number()?),
            "--trace" => words.is_shown = true,
            _ => bail!(
                "{word} is not known; there are --seeds N, --minutes M, --first S (begin with this seed), --seed S (only this one), --trace"
            ),
        }
    }
    Ok(words)
}

fn work(words: &Words) -> Result<()> {
    match words.seed {
        Some(seed) => replay(seed, words.is_shown),
        None => many(words),
    }
}

/// One seed, with all that is known of it. Zeros fail nothing here: one run cannot meet everything.
fn replay(seed: u64, is_shown: bool) -> Result<()> {
    let options = Options {
        is_shown,
        ..Options::default()
    };
    let report = run(seed, options)?;
    let mut totals = Totals::default();
    totals.add(&report);
    print!("{totals}");
    println!(
        "seed {seed}: trace {:016x} of {} lines",
        report.trace, report.lines
    );
    match complaints(&report) {
        None => Ok(()),
        Some(wrong) => bail!("{wrong}"),
    }
}

fn complaints(report: &Report) -> Option<String> {
    if report.verdict.wrong.is_empty() {
        return None;
    }
    let lines = report.verdict.wrong.iter().take(10);
    let lines: String = lines
        .map(|(check, why)| format!("\n  {}: {why}", check.word()))
        .collect();
    let (seed, count) = (report.seed, report.verdict.wrong.len());
    Some(format!(
        "seed {seed} ({}): {count} complaints{lines}\n  replay it with `cargo xtask simulate --seed {seed}`",
        report.scenario.name
    ))
}

/// What all threads share.
struct Round {
    first: u64,
    count: u64,
    until: Option<Instant>,
    next: AtomicU64,
    has_failed: AtomicBool,
    totals: Mutex<Totals>,
    failed: Mutex<Vec<String>>,
}

impl Round {
    /// Runs seeds until there are no more, time is over, or one has failed.
    fn work(&self) {
        let mut own = Totals::default();
        let is_late = || self.until.is_some_and(|until| SystemClock.instant() >= until);
        while !self.has_failed.load(Ordering::SeqCst) && !is_late() {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.count {
                break;
            }
            let seed = self.first.wrapping_add(number);
            let wrong = match std::panic::catch_unwind(|| run(seed, Options::default())) {
                Ok(Ok(report)) => {
                    own.add(&report);
                    complaints(&report)
                }
                Ok(Err(error)) => Some(format!("seed {seed}: {error:#}")),
                Err(_) => Some(format!("seed {seed}: the simulation panicked")),
            };
            if let Some(wrong) = wrong {
                self.has_failed.store(true, Ordering::SeqCst);
                lock(&self.failed).push(wrong);
            }
        }
        lock(&self.totals).merge(own);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn many(words: &Words) -> Result<()> {
    let began = SystemClock.instant();
    let minutes = words.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let round = Round {
        first: words.first.unwrap_or_else(any_seed),
        count: if minutes.is_some() { u64::MAX } else { words.seeds },
        until: minutes.map(|minutes| began + minutes),
        next: AtomicU64::new(0),
        has_failed: AtomicBool::new(false),
        totals: Mutex::default(),
        failed: Mutex::default(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| round.work());
        }
    });
    let totals = lock(&round.totals);
    print!("{totals}");
    let took = SystemClock.instant().duration_since(began);
    println!("seeds from {}, in {:.1} s", round.first, took.as_secs_f64());
    let failed = lock(&round.failed);
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    let zeros = totals.zeros();
    if !zeros.is_empty() {
        bail!("what did not happen proves nothing: {}", zeros.join("; "));
    }
    Ok(())
}
