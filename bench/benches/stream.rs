//! The first byte of a streamed answer: a handler in Node.js that writes a piece and, two milliseconds later, another, through a route,
//! beside a hyper proxy before a plain socket with the same handler.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use bench::stats::{Spread, micros};
use bench::{Connection, Figure, Interpreter, Language, Project, Report, Stacked, pairs};

const PAIRS: usize = 24;
/// Answers of a window.
const ANSWERS: usize = 100;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";
const HANDLER: &str = include_str!("../peers/stream.js");
const LIMIT: f64 = 1.5;

fn main() -> Result<()> {
    let project = Project::one(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        Language::Node.runtime(),
        ("hello.js", HANDLER),
        "",
    )?;
    let platform = project.start()?;
    let mut ours = Connection::open(&platform.app)?;
    window(&mut ours)?;
    let interpreter = Interpreter::of(&platform)?;
    let proxy = env!("CARGO_BIN_EXE_peer-proxy");
    let peer = Stacked::start(proxy, &project, (&interpreter, Language::Node), HANDLER, 1)?;
    let mut peers = Connection::open(&peer.address())?;
    window(&mut peers)?;
    let found = pairs(PAIRS, |_| window(&mut ours), |_| window(&mut peers))?;
    let p50 = |times: &[Duration]| micros(times, 0.5);
    let mut report = Report::new("stream");
    let ratio = Spread::of(found.iter().map(|(ours, peers)| p50(ours) / p50(peers)));
    report.figure(Figure::spread("first byte, p50, platform / peer", ratio, "×").at_most(LIMIT));
    let ours = Spread::of(found.iter().map(|(ours, _)| p50(ours)));
    report.figure(Figure::spread("first byte, p50, platform", ours, "µs"));
    let peers = Spread::of(found.iter().map(|(_, peers)| p50(peers)));
    report.figure(Figure::spread("first byte, p50, peer", peers, "µs"));
    report.note(format!(
        "peer: hyper proxy and {}, by {}",
        Language::Node.peer(),
        interpreter.describe()
    ));
    report.note(format!(
        "{PAIRS} pairs of {ANSWERS} answers, one connection, the handler is peers/stream.js"
    ));
    report.print();
    Ok(())
}

/// How long the first byte of each answer took.
fn window(connection: &mut Connection) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(ANSWERS);
    for _ in 0..ANSWERS {
        let (first, length) = connection.stream(REQUEST)?;
        ensure!(length > "firstsecond".len(), "an answer of {length} bytes");
        times.push(first);
    }
    Ok(times)
}
