//! Accepting an asynchronous call: 202 once the event is durable, beside hyper that reads the same request and answers.
//!
//! The function runs one call at a time and sleeps, so that what is measured is accepting and hardly running. One client and
//! thirty-two; the syncs are those that the platform itself counts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use bench::stats::Spread;
use bench::{Connection, Figure, Peer, Platform, Project, Report, Side, Window, invoke_event, pairs};

const PAIRS: usize = 24;
/// Events of a window, over all its connections.
const EVENTS: usize = 320;
const HANDLER: &str = "import time\n\n\ndef handler(event, context):\n    time.sleep(5)\n";
const SYNCS: &str = "aloft_store_fsyncs_total";

fn main() -> Result<()> {
    let project = Project::one(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        "python3",
        ("hello.py", HANDLER),
        "timeout = \"60s\"\nconcurrency = 1",
    )?;
    let platform = project.start()?;
    Connection::open(&platform.api)?.expect(202, &invoke_event("hello", 0))?;
    let peer = Peer::start(Command::new(env!("CARGO_BIN_EXE_peer-answer")).arg(""))?;
    let mut report = Report::new("accept");
    for clients in [1, 32] {
        let each = EVENTS / clients;
        let mut ours = Side::open(&platform.api, clients, platform.tree()?)?.expecting(202);
        let mut peers = Side::open(&peer.address(), clients, peer.tree()?)?;
        let event = |client: usize, number: usize| invoke_event("hello", client * EVENTS + number);
        ours.run(each, event)?;
        peers.run(each, event)?;
        ours.look()?;
        let before = syncs(&platform)?;
        let found = pairs(PAIRS, |_| ours.run(each, event), |_| peers.run(each, event))?;
        let shared = (syncs(&platform)? - before) / (PAIRS * each * clients) as f64;
        describe(&mut report, clients, &found, shared);
    }
    report.note("peer: hyper that reads the request and answers 200; it writes nothing");
    report.note(format!(
        "{PAIRS} pairs of {EVENTS} events, durable before they are answered"
    ));
    report.print();
    Ok(())
}

fn describe(report: &mut Report, clients: usize, found: &[(Window, Window)], syncs: f64) {
    let title = |what: &str| {
        let plural = if clients == 1 { "client" } else { "clients" };
        format!("{clients} {plural}: {what}")
    };
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let ratio = spread(&|(a, b)| a.cpu_micros() / b.cpu_micros());
    report.figure(Figure::spread(
        title("CPU a 202, platform / bare hyper"),
        ratio,
        "×",
    ));
    for (what, figure) in [
        ("CPU a 202, platform", spread(&|(a, _)| a.cpu_micros())),
        ("CPU an answer, bare hyper", spread(&|(_, b)| b.cpu_micros())),
        ("p50 of a 202", spread(&|(a, _)| a.p50())),
    ] {
        report.figure(Figure::spread(title(what), figure, "µs"));
    }
    report.figure(Figure::single(title("syncs a 202"), syncs, "").at_most(1.0));
}

/// How many syncs the store has made since the start.
fn syncs(platform: &Platform) -> Result<f64> {
    let mut connection = Connection::open(&platform.api)?;
    let request = b"GET /_aloft/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = String::from_utf8_lossy(connection.expect(200, request)?.body).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(SYNCS));
    let value = line.with_context(|| format!("no {SYNCS} among the metrics"))?;
    value
        .trim()
        .parse()
        .with_context(|| format!("{SYNCS} is {value:?}"))
}
