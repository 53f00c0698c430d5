//! A burst: a hundred calls at once to a function of which nothing runs, until a hundred instances have answered, beside a hundred
//! bare starts of the same interpreter at once (`-S -c pass`).
//!
//! Each call holds its instance for some seconds, so that no instance can serve two of them, and is answered only then; the peer does the
//! same. These seconds are taken off both sides.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::stats::Spread;
use bench::{Connection, Figure, Interpreter, Platform, Project, Report, Tree, pairs, timed, wait_for};
use serde_json::Value;

const PAIRS: usize = 20;
const INSTANCES: usize = 100;
/// Longer than a hundred starts take on two cores.
const HOLD: Duration = Duration::from_secs(3);
const HANDLER: &str =
    "import time\n\n\ndef handler(event, context):\n    time.sleep(3)\n    return \"held\"\n";
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn main() -> Result<()> {
    let project = Project::one(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        "python3",
        ("hello.py", HANDLER),
        "timeout = \"60s\"\nidle = \"1s\"\nconcurrency = 100\nqueue = { wait = \"30s\" }",
    )?;
    let platform = project.start()?;
    // The first call shows the interpreter, and brings everybody's files into the cache.
    Connection::open(&platform.app)?.expect(200, REQUEST)?;
    let interpreter = Interpreter::of(&platform)?;
    let found = pairs(
        PAIRS,
        |_| {
            all_gone(&platform)?;
            burst(&platform)
        },
        |_| bare(&interpreter),
    )?;
    all_were_cold(&platform)?;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let spread = |of: &dyn Fn(&(Duration, Duration)) -> f64| Spread::of(found.iter().map(of));
    let mut report = Report::new("burst");
    let ratio = spread(&|(ours, bare)| ours.as_secs_f64() / bare.as_secs_f64());
    report.figure(Figure::spread("100 instances from none / 100 bare starts, wall", ratio, "×").at_most(1.5));
    report.figure(Figure::spread(
        "100 instances from none",
        spread(&|(ours, _)| millis(*ours)),
        "ms",
    ));
    report.figure(Figure::spread(
        "100 bare starts",
        spread(&|(_, bare)| millis(*bare)),
        "ms",
    ));
    report.note(format!(
        "peer: {} -c pass, all at once, from the first spawn to the last reaped",
        interpreter.describe()
    ));
    report.note(format!(
        "{PAIRS} pairs; a call holds its instance for {} s, which are taken off",
        HOLD.as_secs()
    ));
    report.print();
    Ok(())
}

/// A hundred calls, each over its own connection, until the last is answered; without the time that they were held.
fn burst(platform: &Platform) -> Result<Duration> {
    let connections: Vec<Connection> = (0..INSTANCES)
        .map(|_| Connection::open(&platform.app))
        .collect::<Result<_>>()?;
    let ((), took) = timed(|| {
        std::thread::scope(|scope| {
            let ask = |mut connection: Connection| connection.expect(200, REQUEST).map(drop);
            let calls: Vec<_> = connections
                .into_iter()
                .map(|connection| scope.spawn(move || ask(connection)))
                .collect();
            for call in calls {
                call.join().ok().context("a thread of the load panicked")??;
            }
            Ok(())
        })
    })?;
    Ok(took.saturating_sub(HOLD))
}

/// A hundred interpreters at once that only hold as long as the calls do.
fn bare(interpreter: &Interpreter) -> Result<Duration> {
    let script = format!("import time; time.sleep({})", HOLD.as_secs());
    let ((), took) = timed(|| {
        let start = |_| {
            let mut command = interpreter.command();
            command.args(["-c", &script]).stdin(Stdio::null());
            Ok(command.spawn()?)
        };
        let children = (0..INSTANCES).map(start).collect::<Result<Vec<_>>>()?;
        for mut child in children {
            let status = child.wait()?;
            ensure!(status.success(), "an interpreter ended with {status}");
        }
        Ok(())
    })?;
    Ok(took.saturating_sub(HOLD))
}

/// Waits until the instances of the last burst are unloaded.
fn all_gone(platform: &Platform) -> Result<()> {
    wait_for("the instances to be unloaded", || {
        let tree: Tree = platform.tree()?;
        // The platform and its spawner.
        Ok((tree.processes.len() <= 2).then_some(()))
    })
}

fn all_were_cold(platform: &Platform) -> Result<()> {
    let all = PAIRS * INSTANCES + 1;
    let calls = wait_for("an event for each call", || {
        let mut events = platform.events()?;
        events.retain(|event| event.get("event").and_then(Value::as_str) == Some("invocation"));
        Ok((events.len() >= all).then_some(events))
    })?;
    let cold = calls
        .iter()
        .filter(|call| call.get("cold") == Some(&Value::Bool(true)))
        .count();
    ensure!(cold == all, "only {cold} of {all} calls were cold");
    Ok(())
}
