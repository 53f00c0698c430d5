//! A warm call of a Python function through the gateway, beside the least that could stand in its place: a hyper reverse
//! proxy before a raw-socket loop that imports the same handler in the same interpreter.
//!
//! One connection and four, twenty-four pairs of windows each, by turns. CPU time is that of the whole server side: the
//! platform, its spawner and the instances against the proxy and the loops.

use std::path::Path;

use anyhow::Result;
use bench::stats::{Spread, micros};
use bench::{Figure, HELLO, Peer, Platform, Project, Python, Report, Side, Window, pairs};

const PAIRS: usize = 24;
/// Requests of a window, over all its connections.
const REQUESTS: usize = 400;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";

fn main() -> Result<()> {
    let project = Project::hello(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let platform = project.start()?;
    // The first call starts the instance whose interpreter the peer takes over.
    bench::Connection::open(&platform.app)?.expect(200, REQUEST)?;
    let python = Python::of(&platform)?;
    let mut report = Report::new("warm");
    for connections in [1, 4] {
        let (peer, python_loop) = start_peer(&project, &python, connections)?;
        let found = measure(&platform, &peer, &python_loop, connections)?;
        let limits = (connections == 1).then_some(1.3);
        describe(&mut report, connections, &found, limits);
    }
    report.note(format!("peer: hyper proxy and loop.py, by {}", python.describe()));
    report.note(format!(
        "{PAIRS} pairs of {REQUESTS} requests, the handler is peers/hello.py"
    ));
    report.print();
    Ok(())
}

/// The proxy, and the loop behind it.
fn start_peer(project: &Project, python: &Python, workers: usize) -> Result<(Peer, Peer)> {
    let folder = project.place().join("peer");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("hello.py"), HELLO)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/loop.py");
    let python_loop = Peer::start(python.command().arg(script).arg(&folder).arg(workers.to_string()))?;
    let port = python_loop
        .address()
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let proxy = Peer::start(std::process::Command::new(env!("CARGO_BIN_EXE_peer-proxy")).arg(port))?;
    Ok((proxy, python_loop))
}

fn measure(
    platform: &Platform,
    proxy: &Peer,
    python_loop: &Peer,
    connections: usize,
) -> Result<Vec<(Window, Window)>> {
    let mut their_tree = proxy.tree()?;
    their_tree.processes.extend(python_loop.tree()?.processes);
    let each = REQUESTS / connections;
    let mut ours = Side::open(&platform.app, connections, platform.tree()?)?;
    let mut peers = Side::open(&proxy.address(), connections, their_tree)?;
    // Both warm up: the platform starts as many instances as there are connections.
    ours.run(each, |_, _| REQUEST.to_vec())?;
    peers.run(each, |_, _| REQUEST.to_vec())?;
    ours.look()?;
    pairs(
        PAIRS,
        |_| ours.run(each, |_, _| REQUEST.to_vec()),
        |_| peers.run(each, |_, _| REQUEST.to_vec()),
    )
}

fn describe(report: &mut Report, connections: usize, found: &[(Window, Window)], limit: Option<f64>) {
    let title = |what: &str| {
        let plural = if connections == 1 {
            "connection"
        } else {
            "connections"
        };
        format!("{what}, {connections} {plural}")
    };
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let tail = |window: &Window| micros(&window.times, 0.99);
    let ratio = Figure::spread(
        title("p50, platform / peer"),
        spread(&|(a, b)| a.p50() / b.p50()),
        "×",
    );
    report.figure(match limit {
        Some(limit) => ratio.at_most(limit),
        None => ratio,
    });
    report.figure(Figure::spread(
        title("p50, platform"),
        spread(&|(a, _)| a.p50()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("p50, peer"),
        spread(&|(_, b)| b.p50()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("p99, platform / peer"),
        spread(&|(a, b)| tail(a) / tail(b)),
        "×",
    ));
    report.figure(Figure::spread(
        title("p99, platform"),
        spread(&|(a, _)| tail(a)),
        "µs",
    ));
    report.figure(Figure::spread(
        title("p99, peer"),
        spread(&|(_, b)| tail(b)),
        "µs",
    ));
    let cpu = spread(&|(a, b)| a.cpu_micros() / b.cpu_micros());
    report.figure(Figure::spread(title("CPU a call, platform / peer"), cpu, "×"));
    report.figure(Figure::spread(
        title("CPU a call, platform"),
        spread(&|(a, _)| a.cpu_micros()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("CPU a call, peer"),
        spread(&|(_, b)| b.cpu_micros()),
        "µs",
    ));
}
