//! A call of a WebAssembly component through the gateway, a fresh instance for each request, beside hyper and wasmtime with nothing
//! between them and the same component.
//!
//! One connection and eight, twenty-four pairs of windows each, by turns. Then the same beside workerd with as small a worker in
//! JavaScript, whose isolate stays from call to call.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bench::stats::Spread;
use bench::{Connection, Figure, Peer, Platform, Project, Report, Side, Window, pairs};

const PAIRS: usize = 24;
/// Requests of a window, over all its connections.
const REQUESTS: usize = 800;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";
/// CPU of a request against that of wasmtime, and of workerd.
const LIMITS: [f64; 2] = [1.1, 1.0];
/// workerd's version in the npm registry.
const WORKERD: &str = "1.20261117.1";
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
    let bare = Peer::start(Command::new(env!("CARGO_BIN_EXE_peer-component")).arg(&component))?;
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/workerd/run.sh");
    let workerd = Peer::start(Command::new(run).arg(workerd(Path::new(&tools))?))?;
    let mut report = Report::new("wasm");
    for ((peer, name), limit) in [(&bare, "wasmtime"), (&workerd, "workerd")]
        .into_iter()
        .zip(LIMITS)
    {
        for connections in [1, 8] {
            let found = measure(&platform, peer, connections)?;
            describe(&mut report, (name, limit), connections, &found);
        }
    }
    report.note("wasmtime: with hyper, pooling, epochs, a task for each guest");
    report.note(format!(
        "workerd: {WORKERD}, a worker in JavaScript in an isolate that stays"
    ));
    report.note(format!(
        "{PAIRS} pairs of {REQUESTS} requests, the component is tests/component"
    ));
    report.print();
    Ok(())
}

fn measure(platform: &Platform, peer: &Peer, connections: usize) -> Result<Vec<(Window, Window)>> {
    let each = REQUESTS / connections;
    let mut ours = Side::open(&platform.app, connections, platform.tree()?)?;
    let mut peers = Side::open(&peer.address(), connections, peer.tree()?)?;
    for side in [&mut ours, &mut peers] {
        side.run(each, |_, _| REQUEST.to_vec())?;
        side.look()?;
    }
    pairs(
        PAIRS,
        |_| ours.run(each, |_, _| REQUEST.to_vec()),
        |_| peers.run(each, |_, _| REQUEST.to_vec()),
    )
}

/// The program of workerd, fetched once from the npm registry.
fn workerd(tools: &Path) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("workerd-{WORKERD}"));
    let program = folder.join("node_modules/@cloudflare/workerd-linux-64/bin/workerd");
    if !program.exists() {
        let node = tools.join("nodejs/node");
        let mut npm = Command::new(&node);
        npm.arg(tools.join("nodejs/npm"))
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
            ])
            .arg(&folder)
            .arg(format!("workerd@{WORKERD}"));
        let status = npm
            .status()
            .with_context(|| format!("cannot run {}", node.display()))?;
        ensure!(
            status.success(),
            "npm could not install workerd {WORKERD}: {status}"
        );
    }
    Ok(program)
}

fn describe(report: &mut Report, (peer, limit): (&str, f64), connections: usize, found: &[(Window, Window)]) {
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let title = |what: &str| format!("{what}, connections: {connections}");
    let cpu = spread(&|(a, b)| a.cpu_micros() / b.cpu_micros());
    report.figure(Figure::spread(title(&format!("CPU a call, platform / {peer}")), cpu, "×").at_most(limit));
    for (what, figure) in [
        ("CPU a call, platform", spread(&|(a, _)| a.cpu_micros())),
        (
            format!("CPU a call, {peer}").as_str(),
            spread(&|(_, b)| b.cpu_micros()),
        ),
        ("p50, platform", spread(&|(a, _)| a.p50())),
        (format!("p50, {peer}").as_str(), spread(&|(_, b)| b.p50())),
    ] {
        report.figure(Figure::spread(title(what), figure, "µs"));
    }
}
