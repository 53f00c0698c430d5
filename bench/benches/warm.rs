//! A warm call of a function in Python and in Node.js through the gateway, beside the least that could stand in its place: a hyper
//! reverse proxy before a raw-socket loop that imports the same handler in the same interpreter.
//!
//! One connection and thirty-two, twenty-four pairs of windows each, by turns. CPU time is that of the whole server side: the
//! platform, its spawner and the instances against the proxy and the loops.

use std::path::Path;

use anyhow::Result;
use bench::stats::{Spread, micros};
use bench::{Figure, Interpreter, Language, Platform, Project, Report, Side, Stacked, Window, pairs};

const PROXY: &str = env!("CARGO_BIN_EXE_peer-proxy");
const PAIRS: usize = 24;
/// Requests of a window, over all its connections.
const REQUESTS: usize = 640;
/// Windows before the first that counts: the platform starts an instance for each call that would wait.
const WARMING: usize = 3;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";
/// Of the time and of the processor's.
const LIMIT: f64 = 1.3;

fn main() -> Result<()> {
    let mut report = Report::new("warm");
    for (language, name) in [(Language::Python, "Python"), (Language::Node, "Node.js")] {
        let project = Project::hello(Path::new(env!("CARGO_TARGET_TMPDIR")), language)?;
        let platform = project.start()?;
        // The first call starts the instance whose interpreter the peer takes over.
        bench::Connection::open(&platform.app)?.expect(200, REQUEST)?;
        let interpreter = Interpreter::of(&platform)?;
        for connections in [1, 32] {
            let peer = Stacked::start(
                PROXY,
                &project,
                (&interpreter, language),
                language.hello().1,
                connections,
            )?;
            let found = measure(&platform, &peer, connections)?;
            describe(&mut report, name, connections, &found);
        }
        report.note(format!(
            "peer: hyper proxy and {}, by {}",
            language.peer(),
            interpreter.describe()
        ));
    }
    report.note(format!(
        "{PAIRS} pairs of {REQUESTS} requests, the handlers are peers/hello.py and hello.js"
    ));
    report.print();
    Ok(())
}

fn measure(platform: &Platform, peer: &Stacked, connections: usize) -> Result<Vec<(Window, Window)>> {
    let each = REQUESTS / connections;
    let mut ours = Side::open(&platform.app, connections, platform.tree()?)?;
    let mut peers = Side::open(&peer.address(), connections, peer.tree()?)?;
    for _ in 0..WARMING {
        ours.run(each, |_, _| REQUEST.to_vec())?;
        peers.run(each, |_, _| REQUEST.to_vec())?;
    }
    ours.look()?;
    pairs(
        PAIRS,
        |_| ours.run(each, |_, _| REQUEST.to_vec()),
        |_| peers.run(each, |_, _| REQUEST.to_vec()),
    )
}

fn describe(report: &mut Report, language: &str, connections: usize, found: &[(Window, Window)]) {
    let title = |what: &str| {
        let plural = if connections == 1 {
            "connection"
        } else {
            "connections"
        };
        format!("{language}, {connections} {plural}: {what}")
    };
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let tail = |window: &Window| micros(&window.times, 0.99);
    for (what, ratio) in [
        ("p50, platform / peer", spread(&|(a, b)| a.p50() / b.p50())),
        (
            "CPU a call, platform / peer",
            spread(&|(a, b)| a.cpu_micros() / b.cpu_micros()),
        ),
    ] {
        report.figure(Figure::spread(title(what), ratio, "×").at_most(LIMIT));
    }
    for (what, figure) in [
        ("p50, platform", spread(&|(a, _)| a.p50())),
        ("p50, peer", spread(&|(_, b)| b.p50())),
        ("p99, platform", spread(&|(a, _)| tail(a))),
        ("p99, peer", spread(&|(_, b)| tail(b))),
        ("CPU a call, platform", spread(&|(a, _)| a.cpu_micros())),
        ("CPU a call, peer", spread(&|(_, b)| b.cpu_micros())),
    ] {
        report.figure(Figure::spread(title(what), figure, "µs"));
    }
}
