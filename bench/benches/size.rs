//! What a store's operations cost when it holds much, beside the same operations in one that holds a thousandth of it: point
//! reads, puts and scans, on both durable engines. A last part kills a process that writes into a large folder and takes the
//! time until the next one has opened it.
//!
//! A million rows of 200 bytes by default, 10,000 beside them; `ALOFT_BENCH_ROWS=10000000` for the figures of the release
//! set (10,000 beside them as well), which takes some minutes and 10 GiB below the target folder. The recovery is
//! always from a million.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures the real clock")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aloft_base::{Chance as _, SeededChance, SystemChance, SystemClock};
use aloft_store::{Batch, BatchId, Direction, Key, KeyRange, Store};
use aloft_store_embedded::{Config, Embedded};
use aloft_store_postgres::Postgres;
use anyhow::{Context as _, Result, ensure};
use bench::stats::{Spread, micros};
use bench::{Figure, Report, pairs};
use test_postgres::{Durability, Server};
use tokio::runtime::Runtime;

const FEW: u64 = 10_000;
const MANY: u64 = 1_000_000;
const VALUE: usize = 200;
const PAIRS: usize = 24;
/// Rows of one scan: a page of a query.
const PAGE: usize = 100;
/// Rows of one batch of the import.
const IMPORT: u64 = 1_000;
/// Batches of the import on their way at once.
const FLYING: usize = 8;
/// Names the folder into which a child process writes until it is killed.
const VICTIM: &str = "ALOFT_BENCH_VICTIM";

fn main() -> Result<()> {
    let runtime = Runtime::new()?;
    if let Some(folder) = std::env::var_os(VICTIM) {
        return runtime.block_on(write_until_killed(Path::new(&folder)));
    }
    let many = match std::env::var("ALOFT_BENCH_ROWS") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("ALOFT_BENCH_ROWS is {text:?}, not a number"))?,
        Err(_) => MANY,
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut report = Report::new("size");
    {
        let few = embedded(&folder.path().join("few"))?;
        let much = embedded(&folder.path().join("much"))?;
        measure(&mut report, &runtime, "embedded", [&few, &much], many)?;
    }
    {
        let server = Server::start(Durability::Synced)?;
        let few = runtime.block_on(postgres(&server, "few"))?;
        let much = runtime.block_on(postgres(&server, "much"))?;
        measure(&mut report, &runtime, "postgres", [&few, &much], many)?;
    }
    recover(&mut report, &runtime, &folder.path().join("killed"))?;
    report.note(format!(
        "{PAIRS} pairs, rows of {VALUE} bytes, scans of {PAGE} rows, one operation at a time; 1: {FEW} rows, 2: {many} rows"
    ));
    report.print();
    Ok(())
}

fn embedded(folder: &Path) -> Result<Embedded> {
    Ok(Embedded::open(folder, &Config::default(), Arc::new(SystemClock))?)
}

async fn postgres(server: &Server, schema: &str) -> Result<Postgres> {
    let config = aloft_store_postgres::Config {
        schema: schema.to_owned(),
        ..aloft_store_postgres::Config::new(server.url())
    };
    Ok(Postgres::open(config, Arc::new(SystemClock), Arc::new(SystemChance)).await?)
}

fn key(n: u64) -> Result<Key> {
    // Rows lie in no order, as hashed partition keys do: neighbours in time are not neighbours on the disk.
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Ok(Key::new([mixed.to_be_bytes(), n.to_be_bytes()].concat())?)
}

fn value(n: u64) -> Vec<u8> {
    let mut value = vec![0; VALUE];
    SeededChance::new(n).fill(&mut value);
    value
}

/// Fills a store with rows, several batches at once, and says how far it is.
async fn import(store: &impl Store, rows: u64, name: &str) -> Result<()> {
    let mut numbers = (0..rows).step_by(usize::try_from(IMPORT)?).peekable();
    let mut said = Instant::now();
    while numbers.peek().is_some() {
        let flying = numbers.by_ref().take(FLYING).map(async |first| {
            let mut batch = Batch::new(BatchId::draw(&SystemChance));
            for n in first..(first + IMPORT).min(rows) {
                batch = batch.put(key(n)?, value(n));
            }
            ensure!(store.commit(batch).await?.is_committed(), "an import was refused");
            Ok(first + IMPORT)
        });
        let done = futures_util::future::try_join_all(flying).await?;
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("{name}: {} of {rows} rows", done.last().copied().unwrap_or(0));
        }
    }
    Ok(())
}

/// One kind of operation on a store of so many rows.
#[derive(Clone, Copy)]
enum Operation {
    Get,
    Put,
    Scan,
}

impl Operation {
    /// How often it is done in a window.
    fn count(self) -> usize {
        match self {
            Self::Get => 1_000,
            Self::Put => 100,
            Self::Scan => 50,
        }
    }

    async fn run(self, store: &impl Store, rows: u64, chance: &SeededChance) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(self.count());
        for _ in 0..self.count() {
            let n = chance.below(rows);
            let key = key(n)?;
            let batch = Batch::new(BatchId::draw(&SystemChance)).put(key.clone(), value(n));
            let range = KeyRange::prefix(&[]).after(&key);
            let began = Instant::now();
            match self {
                Self::Get => ensure!(store.get(&key).await?.is_some(), "row {n} is missing"),
                Self::Put => ensure!(store.commit(batch).await?.is_committed(), "a put was refused"),
                Self::Scan => {
                    let snapshot = store.snapshot().await?;
                    snapshot.scan(&range, Direction::Forward, PAGE).await?;
                }
            }
            times.push(began.elapsed());
        }
        Ok(times)
    }
}

fn measure(
    report: &mut Report,
    runtime: &Runtime,
    engine: &str,
    [few, much]: [&impl Store; 2],
    many: u64,
) -> Result<()> {
    runtime.block_on(import(few, FEW, engine))?;
    let began = Instant::now();
    runtime.block_on(import(much, many, engine))?;
    let rate = many as f64 / began.elapsed().as_secs_f64();
    report.figure(Figure::single(format!("{engine}: rows imported"), rate, "/s"));
    let chance = SeededChance::new(3);
    for (operation, name) in [
        (Operation::Get, "get"),
        (Operation::Put, "put"),
        (Operation::Scan, "scan"),
    ] {
        let run = |store, rows| runtime.block_on(operation.run(store, rows, &chance));
        // The first pair warms both.
        let found = pairs(PAIRS + 1, |_| run(much, many), |_| run(few, FEW))?;
        let found = || found.iter().skip(1);
        let ratio = |part| Spread::of(found().map(|(much, few)| micros(much, part) / micros(few, part)));
        let title = |what: &str| format!("{engine}: {name}, {what}");
        report.figure(Figure::spread(title("p50, 2 / 1"), ratio(0.5), "×").at_most(1.3));
        report.figure(Figure::spread(title("p99, 2 / 1"), ratio(0.99), "×"));
        let smaller = Spread::of(found().map(|(_, few)| micros(few, 0.5)));
        report.figure(Figure::spread(title("p50, 1"), smaller, "µs"));
        let larger = Spread::of(found().map(|(much, _)| micros(much, 0.5)));
        report.figure(Figure::spread(title("p50, 2"), larger, "µs"));
    }
    Ok(())
}

/// The child: writes, says so, and goes on until it is killed.
async fn write_until_killed(folder: &Path) -> Result<()> {
    let store = embedded(folder)?;
    import(&store, MANY, "killed").await?;
    println!("writing");
    import(&store, MANY, "killed").await
}

/// The time from opening a folder whose process was killed to the first row read.
fn recover(report: &mut Report, runtime: &Runtime, folder: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe()?)
            .env(VICTIM, folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let line = BufReader::new(output)
            .lines()
            .next()
            .context("it ended early")??;
        ensure!(line == "writing", "it said {line:?}");
        // It is to die amid its commits: a hundred of them are some milliseconds.
        std::thread::sleep(Duration::from_millis(500));
        child.kill()?;
        child.wait()?;
        let began = Instant::now();
        let store = embedded(folder)?;
        ensure!(
            runtime.block_on(store.get(&key(MANY - 1)?))?.is_some(),
            "a row is missing"
        );
        times.push(began.elapsed());
        runtime.block_on(store.close())?;
    }
    let title = "embedded: opening a million rows and a read after kill -9";
    let slowest = times.iter().max().context("there were three")?;
    report.figure(Figure::single(title, slowest.as_secs_f64() * 1e3, "ms").at_most(1_000.0));
    Ok(())
}
