//! A call of a WebAssembly component through the gateway, a fresh instance for each request, beside hyper and wasmtime with nothing
//! between them and the same component.
//!
//! One connection and eight, twenty-four pairs of windows each, by turns.

use std::path::Path;

use anyhow::{Context as _, Result};
use bench::stats::Spread;
use bench::{Connection, Figure, Peer, Project, Report, Side, Window, pairs};

const PAIRS: usize = 24;
/// Requests of a window, over all its connections.
const REQUESTS: usize = 800;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";
/// CPU of a request against the peer's.
const LIMIT: f64 = 1.1;
const DEFINITION: &str = "[project]\nname = \"wasm\"\n\n[functions.hello]\nruntime = \"wasm\"\nsource = \"code\"\n\
    handler = \"hello.wasm\"\n\n[routes]\n\"GET /hello\" = \"hello\"\n";

fn main() -> Result<()> {
    let tools = std::env::var_os("ALOFT_TEST_TOOLS")
        .context("ALOFT_TEST_TOOLS is not set: run the benchmarks with `cargo xtask bench`")?;
    let component = Path::new(&tools).join("components/component.wasm");
    let project = Project::new(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        &[("aloft.toml", DEFINITION), ("code/note", "")],
    )?;
    std::fs::copy(&component, project.folder().join("code/hello.wasm"))
        .with_context(|| format!("cannot copy {}", component.display()))?;
    let platform = project.start()?;
    Connection::open(&platform.app)?.expect(200, REQUEST)?;
    let peer = Peer::start(std::process::Command::new(env!("CARGO_BIN_EXE_peer-component")).arg(&component))?;
    let mut report = Report::new("wasm");
    for connections in [1, 8] {
        let each = REQUESTS / connections;
        let mut ours = Side::open(&platform.app, connections, platform.tree()?)?;
        let mut peers = Side::open(&peer.address(), connections, peer.tree()?)?;
        for side in [&mut ours, &mut peers] {
            side.run(each, |_, _| REQUEST.to_vec())?;
            side.look()?;
        }
        let found = pairs(
            PAIRS,
            |_| ours.run(each, |_, _| REQUEST.to_vec()),
            |_| peers.run(each, |_, _| REQUEST.to_vec()),
        )?;
        describe(&mut report, connections, &found);
    }
    report.note("peer: hyper and wasmtime, pooling, epochs, a task for each guest".to_owned());
    report.note(format!(
        "{PAIRS} pairs of {REQUESTS} requests, the component is tests/component"
    ));
    report.print();
    Ok(())
}

fn describe(report: &mut Report, connections: usize, found: &[(Window, Window)]) {
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let title = |what: &str| format!("{what}, connections: {connections}");
    let cpu = spread(&|(a, b)| a.cpu_micros() / b.cpu_micros());
    report.figure(Figure::spread(title("CPU a call, platform / peer"), cpu, "×").at_most(LIMIT));
    for (what, figure) in [
        ("CPU a call, platform", spread(&|(a, _)| a.cpu_micros())),
        ("CPU a call, peer", spread(&|(_, b)| b.cpu_micros())),
        ("p50, platform", spread(&|(a, _)| a.p50())),
        ("p50, peer", spread(&|(_, b)| b.p50())),
    ] {
        report.figure(Figure::spread(title(what), figure, "µs"));
    }
}
