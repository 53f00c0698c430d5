//! A cold call: the first of a function, through the gateway, beside the same interpreter with the handler's flags doing
//! nothing (`-S -c pass`).
//!
//! Thirty functions with one handler, each called once, by turns with the peer. The platform's own events are counted to make
//! sure that each of these calls was cold: a platform that warms functions ahead must not be measured by accident.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use bench::stats::{Spread, micros};
use bench::{Connection, Figure, Interpreter, Language, Platform, Project, Report, pairs, timed, wait_for};
use serde_json::Value;

const PAIRS: usize = 30;

fn main() -> Result<()> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // One more than is measured: its call shows the interpreter and brings everybody's files into the cache.
    let project = Project::new(
        parent,
        &[
            ("aloft.toml", &definition(PAIRS + 1)),
            ("functions/hello.py", Language::Python.hello().1),
        ],
    )?;
    let platform = project.start()?;
    let mut connection = Connection::open(&platform.app)?;
    connection.expect(200, &request(PAIRS))?;
    let python = Interpreter::of(&platform)?;
    pass(&python)?;
    let cold = |turn: usize| {
        let request = request(turn);
        let (_, took) = timed(|| connection.expect(200, &request).map(drop))?;
        Ok(took)
    };
    let found = pairs(PAIRS, cold, |_| pass(&python))?;
    all_were_cold(&platform)?;
    let (ours, theirs): (Vec<Duration>, Vec<Duration>) = found.iter().copied().unzip();
    let ratios = found
        .iter()
        .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64());
    let millis = |times: &[Duration]| Spread::of(times.iter().map(|time| time.as_secs_f64() * 1e3));
    let mut report = Report::new("cold");
    report.figure(Figure::spread("cold call / -c pass", Spread::of(ratios), "×").at_most(3.0));
    report.figure(Figure::spread("cold call", millis(&ours), "ms"));
    report.figure(Figure::spread("-c pass", millis(&theirs), "ms"));
    report.figure(Figure::single("cold call, p90", micros(&ours, 0.9) / 1e3, "ms"));
    report.figure(Figure::single("-c pass, p90", micros(&theirs, 0.9) / 1e3, "ms"));
    report.note(format!(
        "peer: {} -c pass, from spawn to reaped",
        python.describe()
    ));
    report.note(format!(
        "{PAIRS} pairs, each with a function of its own that was never called before"
    ));
    report.print();
    Ok(())
}

fn definition(functions: usize) -> String {
    let mut text = "[project]\nname = \"cold\"\n".to_owned();
    let mut routes = "\n[routes]\n".to_owned();
    for number in 0..functions {
        let _ = write!(
            text,
            "\n[functions.hello{number}]\nruntime = \"python3\"\nsource = \"functions\"\nhandler = \"hello.handler\"\n"
        );
        let _ = writeln!(routes, "\"GET /hello{number}\" = \"hello{number}\"");
    }
    text + &routes
}

fn request(number: usize) -> Vec<u8> {
    format!("GET /hello{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Starts the interpreter for nothing and waits for its end.
fn pass(python: &Interpreter) -> Result<Duration> {
    let mut command = python.command();
    command
        .args(["-c", "pass"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let (status, took) = timed(|| Ok(command.status()?))?;
    ensure!(
        status.success(),
        "{} -c pass ended with {status}",
        python.describe()
    );
    Ok(took)
}

fn all_were_cold(platform: &Platform) -> Result<()> {
    let calls = wait_for("an event for each call", || {
        let mut events = platform.events()?;
        events.retain(|event| event.get("event").and_then(Value::as_str) == Some("invocation"));
        Ok((events.len() > PAIRS).then_some(events))
    })?;
    let cold = calls
        .iter()
        .filter(|call| call.get("cold") == Some(&Value::Bool(true)))
        .count();
    ensure!(cold == PAIRS + 1, "only {cold} of {} calls were cold", PAIRS + 1);
    Ok(())
}
