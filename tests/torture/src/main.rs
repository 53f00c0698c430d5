//! Torture: the orders sample under load over real HTTP, while everything under it fails by a schedule that a seed draws; then the
//! faults end, everything must come to rest, and what is there is held against what was acknowledged.
//!
//! The platform is the real binary in a process of its own; this one knows of it what a user can see, and keeps its books in its
//! own memory. `cargo xtask torture` brings what it needs. The simulation runs more orders of events in a second than this in an hour;
//! what it cannot see is what this is for: the disk, the wire to PostgreSQL, processes, and the sample itself.
//!
//! One thing is changed in the sample: its rule tries on for hours instead of five times, so that nothing may end as a dead
//! letter however long the run is.
#![allow(
    clippy::disallowed_methods,
    reason = "an auditor outside the platform lives in real time"
)]

mod audit;
mod book;
mod chance;
mod disk;
mod fault;
mod http;
#[cfg(test)]
mod lies;
mod load;
mod platform;
mod tally;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use test_postgres::{Durability, Proxy, Server};

use crate::book::Book;
use crate::chance::Chance;
use crate::disk::Disk;
use crate::fault::{Database, Fault, Schedule, World};
use crate::load::{Load, WRITERS, Writer};
use crate::platform::Platform;
use crate::tally::Tally;

const USAGE: &str = "torture --minutes N --seed S --store embedded|postgres";
/// Room for the data folder of a long run, artifacts included.
const FOLDER_BYTES: u64 = 512 << 20;
/// Room for PostgreSQL, whose log alone may grow to 1 GiB before it is used again.
const DATABASE_BYTES: u64 = 1_536 << 20;

struct Options {
    time: Duration,
    seed: u64,
    is_postgres: bool,
}

fn main() -> ExitCode {
    if std::env::var_os(disk::INSIDE).is_none() {
        return disk::enter().unwrap_or_else(|error| {
            eprintln!("torture: {error:#}");
            ExitCode::FAILURE
        });
    }
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torture: seed {} failed: {error:#}", options.seed);
            ExitCode::FAILURE
        }
    }
}

fn options() -> Option<Options> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)
    };
    Some(Options {
        time: Duration::from_secs_f64(value("--minutes")?.parse::<f64>().ok()?.clamp(0.1, 1e5) * 60.0),
        seed: value("--seed")?.parse().ok()?,
        is_postgres: match value("--store")?.as_str() {
            "embedded" => false,
            "postgres" => true,
            _ => return None,
        },
    })
}

fn told(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable);
    Ok(PathBuf::from(value.with_context(|| {
        format!("{variable} is not set: run this with `cargo xtask torture`")
    })?))
}

fn run(options: &Options) -> Result<()> {
    let place = TempDir::with_prefix("aloft-torture-")?;
    // PostgreSQL runs as `nobody` when root is who tests, and must get to its disk.
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let bytes = if options.is_postgres {
        DATABASE_BYTES
    } else {
        FOLDER_BYTES
    };
    let disk = Disk::mount(&place.path().join("disk"), bytes)?;
    let project = sample(place.path())?;
    let mut database = if options.is_postgres {
        Some(database(&disk)?)
    } else {
        None
    };
    let mut platform = platform(place.path(), &project, &disk, database.as_ref())?;
    let tally = Tally::of(&Fault::names(options.is_postgres), audit::CHECKS);
    let mut books: Vec<Book> = (0..WRITERS).map(|_| Book::default()).collect();
    platform.end_with_input();
    platform.start()?;
    println!("torture: seed {}", options.seed);
    let world = World {
        platform: &mut platform,
        database: database.as_mut(),
        disk: &disk,
        tally: &tally,
        chance: Chance::new(options.seed, 1),
    };
    torment(options, world, &mut books)?;
    println!("torture: the faults have ended; everything comes to rest");
    let address = platform.known().context("the platform runs")?;
    audit::audit(&address, &mut books, &tally, audit::REST)?;
    // And from the disk alone.
    platform.stop()?;
    let address = platform.start()?;
    audit::audit(&address, &mut books, &tally, audit::REST)?;
    platform.stop()?;
    println!("{tally}torture: {} MB on the disk at the end", disk.used()? >> 20);
    let missing = tally.missing();
    if !missing.is_empty() {
        bail!(
            "nothing came of: {}; a longer run has more of everything",
            missing.join(", ")
        );
    }
    println!("torture: seed {} passed", options.seed);
    Ok(())
}

/// The sample, with a rule that tries on.
fn sample(place: &Path) -> Result<PathBuf> {
    let (from, to) = (
        told("ALOFT_TEST_ROOT")?.join("examples/orders"),
        place.join("orders"),
    );
    let copied = Command::new("cp").arg("-r").arg(&from).arg(&to).status()?;
    if !copied.success() {
        bail!("cannot copy {}", from.display());
    }
    let file = to.join("aloft.toml");
    let text = std::fs::read_to_string(&file)?;
    let changed = text.replace("retries = 5", "retries = 185");
    if changed == text {
        bail!("{} has no `retries = 5` to be changed", from.display());
    }
    std::fs::write(&file, changed)?;
    Ok(to)
}

fn database(disk: &Disk) -> Result<Database> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let server = Server::start_in(disk.folder(), Durability::Synced)?;
    let proxy = {
        let _inside = runtime.enter();
        Proxy::start(server.folder())?
    };
    Ok(Database {
        server,
        proxy,
        runtime,
    })
}

fn platform(place: &Path, project: &Path, disk: &Disk, database: Option<&Database>) -> Result<Platform> {
    let data = match database {
        Some(_) => place.join("data"),
        None => disk.folder().join("data"),
    };
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut arguments = vec!["dev".to_owned(), path(project), "--data".to_owned(), path(&data)];
    arguments.extend(["--port", "0", "--api-port", "0", "--json"].map(str::to_owned));
    if let Some(database) = database {
        arguments.extend(["--store".to_owned(), database.proxy.url()]);
    }
    Ok(Platform::new(
        told("ALOFT_TEST_BIN")?,
        arguments,
        place.join("log"),
    ))
}

/// The load, and one fault after the other, until the time is over or something is wrong.
fn torment(options: &Options, mut world: World<'_>, books: &mut [Book]) -> Result<()> {
    let (stop, acknowledged, wrong) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::new(Vec::new()));
    let address = world.platform.address();
    let load = Load {
        address: &address,
        stop: &stop,
        acknowledged: &acknowledged,
        tally: world.tally,
        wrong: &wrong,
    };
    std::thread::scope(|scope| {
        for (number, book) in books.iter_mut().enumerate() {
            let chance = Chance::new(options.seed, 100 + number as u64);
            let writer = Writer::new(&load, book, number, chance);
            scope.spawn(move || writer.run());
        }
        let done = faults(options, &mut world, &acknowledged, &wrong);
        stop.store(true, Ordering::SeqCst);
        done
    })?;
    first(&wrong)
}

fn faults(
    options: &Options,
    world: &mut World<'_>,
    acknowledged: &AtomicU64,
    wrong: &Mutex<Vec<String>>,
) -> Result<()> {
    let mut schedule = Schedule::new(Chance::new(options.seed, 0), options.is_postgres);
    let started = Instant::now();
    while started.elapsed() < options.time {
        let (calm, fault) = schedule.next();
        std::thread::sleep(calm);
        let took = world.strike(fault)?;
        println!(
            "torture: {:>5} s  {:>6} acknowledged  {} (well again after {} ms)",
            started.elapsed().as_secs(),
            acknowledged.load(Ordering::SeqCst),
            fault.name(),
            took.as_millis()
        );
        first(wrong)?;
    }
    Ok(())
}

fn first(wrong: &Mutex<Vec<String>>) -> Result<()> {
    match wrong.lock().unwrap_or_else(PoisonError::into_inner).first() {
        None => Ok(()),
        Some(wrong) => bail!("{wrong}"),
    }
}
