//! `PutItem`: what the platform adds to the disk's own time, what HTTP adds to the engine's, and how writers share a sync.
//!
//! - On the disk, one client: each put beside an append of as many bytes as a put writes and one `fdatasync`, on the same file
//!   system, by turns. The promise is about the difference.
//! - In memory (tmpfs), where a sync costs nothing: CPU time of a put over HTTP beside the same tables over the same engine in
//!   a process of its own.
//! - On the disk, 64 clients: commits a second, beside the engine alone, which counts how many commits share a sync.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::stats::{Spread, micros};
use bench::{
    Connection, Figure, Peer, Platform, Project, Report, Side, Window, create_table, file_system, pairs,
    put_item, write_and_sync,
};
use serde_json::Value;

/// Puts and syncs of one turn.
type Turn = (Vec<Duration>, Vec<Duration>);
/// Commits a second and the window over HTTP, then commits a second and commits a sync of the engine alone.
type Crowd = ((f64, Window), (f64, f64));

const MEMORY: &str = "/dev/shm";
const PAIRS: usize = 24;
/// What a put of a 200-byte row writes: the row, its change with the new image, keys and frames. Within a page or two the
/// disk does not care.
const RAW_BYTES: usize = 1_024;
/// Puts of a pair on the disk.
const DISK_PUTS: usize = 25;
/// Puts of a window in memory.
const MEMORY_PUTS: usize = 400;
const CLIENTS: usize = 64;
const CLIENT_PUTS: usize = 60;
const CLIENT_PAIRS: usize = 20;

fn main() -> Result<()> {
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    ensure!(
        file_system(disk)? == "disk",
        "{} is in memory: set CARGO_TARGET_DIR to a folder on a disk",
        disk.display()
    );
    ensure!(file_system(Path::new(MEMORY))? == "tmpfs", "{MEMORY} is no tmpfs");
    let mut report = Report::new("put");
    beside_a_sync(disk, &mut report)?;
    beside_the_engine(&mut report)?;
    many_clients(disk, &mut report)?;
    report.note("rows of 200 bytes, all new; every put is durable before it is answered");
    report.print();
    Ok(())
}

fn start(parent: &Path) -> Result<(Project, Platform)> {
    let project = Project::new(parent, &[])?;
    let platform = project.start()?;
    create_table(&mut Connection::open(&platform.api)?)?;
    Ok((project, platform))
}

fn beside_a_sync(disk: &Path, report: &mut Report) -> Result<()> {
    let (project, platform) = start(disk)?;
    let mut side = Side::open(&platform.api, 1, platform.tree()?)?;
    let mut raw = write_and_sync(project.place(), RAW_BYTES)?;
    side.run(DISK_PUTS, |_, number| put_item(number))?;
    // One put, one sync, and so on: the disk's mood changes within milliseconds.
    let pair = |turn: usize| {
        let number = (turn + 1) * DISK_PUTS;
        let both = pairs(
            DISK_PUTS,
            |at| {
                Ok(side
                    .run(1, |_, _| put_item(number + at))?
                    .times
                    .first()
                    .copied()
                    .unwrap_or_default())
            },
            |_| raw.once(),
        )?;
        Ok(both.into_iter().unzip())
    };
    let found: Vec<Turn> = (0..PAIRS).map(pair).collect::<Result<_>>()?;
    let spread = |of: &dyn Fn(&Turn) -> f64| Spread::of(found.iter().map(of));
    let added = spread(&|(put, sync)| micros(put, 0.5) - micros(sync, 0.5));
    let all = |part: f64| {
        let (put, sync): (Vec<_>, Vec<_>) = found.iter().cloned().unzip();
        (micros(&put.concat(), part), micros(&sync.concat(), part))
    };
    report.figure(Figure::spread("p50 of a put less one fdatasync, disk", added, "µs").at_most(300.0));
    report.figure(Figure::spread(
        "p50 of a put, disk",
        spread(&|(put, _)| micros(put, 0.5)),
        "µs",
    ));
    report.figure(Figure::spread(
        "p50 of append and fdatasync, disk",
        spread(&|(_, sync)| micros(sync, 0.5)),
        "µs",
    ));
    report.figure(Figure::single("p99 of a put, disk", all(0.99).0, "µs"));
    report.figure(Figure::single(
        "p99 of append and fdatasync, disk",
        all(0.99).1,
        "µs",
    ));
    Ok(())
}

fn engine(folder: &Path) -> Result<Peer> {
    Peer::start(Command::new(env!("CARGO_BIN_EXE_peer-engine")).arg(folder))
}

/// CPU time of puts in the engine alone, in microseconds each.
fn engine_cpu(peer: &mut Peer, first: usize, count: usize, tasks: usize) -> Result<f64> {
    peer.ask(&format!("make {first} {count} {tasks}"))?;
    let tree = peer.tree()?;
    let before = tree.cpu()?;
    peer.ask("put")?;
    let used = tree.cpu()?.since(&before);
    Ok(used.as_secs_f64() * 1e6 / (count * tasks) as f64)
}

fn beside_the_engine(report: &mut Report) -> Result<()> {
    let (project, platform) = start(Path::new(MEMORY))?;
    let mut peer = engine(&project.place().join("engine"))?;
    let mut first = 0;
    for clients in [1, 16] {
        let each = MEMORY_PUTS / clients;
        let mut side = Side::open(&platform.api, clients, platform.tree()?)?;
        // The last turn warms both up, before the others.
        let at = |turn: usize, client: usize| first + (turn * clients + client) * each;
        let mut over_http =
            |turn: usize| side.run(each, |client, number| put_item(at(turn, client) + number));
        over_http(PAIRS)?;
        engine_cpu(&mut peer, at(PAIRS, 0), each, clients)?;
        let found = pairs(PAIRS, over_http, |turn| {
            engine_cpu(&mut peer, at(turn, 0), each, clients)
        })?;
        first += (PAIRS + 1) * MEMORY_PUTS;
        let title = |what: &str| {
            let plural = if clients == 1 { "client" } else { "clients" };
            format!("{what}, tmpfs, {clients} {plural}")
        };
        let ratio = Spread::of(found.iter().map(|(window, engine)| window.cpu_micros() / engine));
        report.figure(Figure::spread(title("CPU a put, HTTP / engine"), ratio, "×").at_most(2.5));
        let ours = Spread::of(found.iter().map(|(window, _)| window.cpu_micros()));
        report.figure(Figure::spread(title("CPU a put, HTTP"), ours, "µs"));
        let theirs = Spread::of(found.iter().map(|(_, engine)| *engine));
        report.figure(Figure::spread(title("CPU a put, engine"), theirs, "µs"));
        let p50 = Spread::of(found.iter().map(|(window, _)| window.p50()));
        report.figure(Figure::spread(title("p50 of a put"), p50, "µs"));
    }
    Ok(())
}

fn many_clients(disk: &Path, report: &mut Report) -> Result<()> {
    let (project, platform) = start(disk)?;
    let mut peer = engine(&project.place().join("engine"))?;
    let mut side = Side::open(&platform.api, CLIENTS, platform.tree()?)?;
    let at = |turn: usize| turn * CLIENTS * CLIENT_PUTS;
    let ours = |turn: usize| {
        let window = side.run(CLIENT_PUTS, |client, number| {
            put_item(at(turn) + client * CLIENT_PUTS + number)
        })?;
        Ok((window.times.len() as f64 / window.wall.as_secs_f64(), window))
    };
    let theirs = |turn: usize| {
        peer.ask(&format!("make {} {CLIENT_PUTS} {CLIENTS}", at(turn)))?;
        let answer: Value = serde_json::from_str(&peer.ask("put")?)?;
        let count = |key: &str| {
            let value = answer.get(key).and_then(Value::as_f64);
            value.with_context(|| format!("no {key} in {answer}"))
        };
        let (commits, syncs, nanos) = (count("commits")?, count("syncs")?, count("nanos")?);
        Ok((commits / nanos * 1e9, commits / syncs.max(1.0)))
    };
    let found = pairs(CLIENT_PAIRS, ours, theirs)?;
    let spread = |of: &dyn Fn(&Crowd) -> f64| Spread::of(found.iter().map(of));
    report.figure(Figure::spread(
        "commits a second, HTTP, disk, 64 clients",
        spread(&|(ours, _)| ours.0),
        "/s",
    ));
    report.figure(Figure::spread(
        "commits a second, engine, disk, 64 writers",
        spread(&|(_, peer)| peer.0),
        "/s",
    ));
    report.figure(Figure::spread(
        "commits that share a sync, engine, 64 writers",
        spread(&|(_, peer)| peer.1),
        "",
    ));
    let p50 = spread(&|((_, window), _)| window.p50() / 1e3);
    report.figure(Figure::spread("p50 of a put, disk, 64 clients", p50, "ms"));
    let p99 = spread(&|((_, window), _)| micros(&window.times, 0.99) / 1e3);
    report.figure(Figure::spread("p99 of a put, disk, 64 clients", p99, "ms"));
    report.figure(Figure::spread(
        "CPU a put, HTTP, disk, 64 clients",
        spread(&|((_, window), _)| window.cpu_micros()),
        "µs",
    ));
    Ok(())
}
