//! What a warm call costs that can be counted: the platform's allocations and system calls, whatever the machine's mood.
//!
//! The counts are of the platform's own process, with everything that a call causes in it (metering, the log's lines, the feed). A
//! program that counts its allocations runs for them, and strace counts the system calls.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use bench::{Connection, Language, Platform, Project, wait_for};
use rustix::process::{Pid, Signal, kill_process};

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: test\r\n\r\n";
/// Calls before the first that counts: buffers have their size, and the interpreter's start is over.
const WARMING: usize = 300;
const CALLS: usize = 1_000;

#[test]
fn a_warm_call_costs_as_many_allocations_and_system_calls_as_documented() {
    let project = Project::hello(Path::new(env!("CARGO_TARGET_TMPDIR")), Language::Python).unwrap();
    let counts = project.place().join("counts");
    let mut program = Command::new(env!("CARGO_BIN_EXE_counted"));
    program.env("ALOFT_COUNTED", &counts);
    let platform = project.start_by(program).unwrap();
    let mut connection = Connection::open(&platform.app).unwrap();
    let mut calls = |count: usize| {
        for _ in 0..count {
            connection.expect(200, REQUEST).unwrap();
        }
    };
    calls(WARMING);
    let before = told(&counts).unwrap();
    calls(CALLS);
    let allocations = (told(&counts).unwrap() - before) as f64 / CALLS as f64;
    let tracer = Tracer::attach(&platform, project.place()).unwrap();
    calls(CALLS);
    let (system_calls, which) = tracer.end().unwrap();
    let system_calls = system_calls as f64 / CALLS as f64;
    println!("a warm call: {allocations:.1} allocations, {system_calls:.1} system calls\n{which}");
    // Somewhat above the 144 and 9.6 that were there when this was written, and not far below: a counter that does not count would agree with
    // everything. How often threads sleep and wake depends on the machine; what is sent and received does not.
    assert!((90.0..=180.0).contains(&allocations), "{allocations} allocations");
    assert!((6.0..=16.0).contains(&system_calls), "{which}");
    for name in ["writev", "recvfrom"] {
        let count = count(&which, name).unwrap() as f64 / CALLS as f64;
        assert!((2.0..2.1).contains(&count), "{name}:\n{which}");
    }
}

/// How many allocations there were.
fn told(place: &Path) -> Result<u64> {
    let mut text = String::new();
    UnixStream::connect(place)?.read_to_string(&mut text)?;
    text.trim()
        .parse()
        .with_context(|| format!("the count is {text:?}"))
}

/// strace on all threads of the platform's process.
struct Tracer {
    child: Child,
    summary: std::path::PathBuf,
}

impl Tracer {
    fn attach(platform: &Platform, place: &Path) -> Result<Self> {
        let tools = std::env::var_os("ALOFT_TEST_TOOLS")
            .context("ALOFT_TEST_TOOLS is not set: run the tests with `cargo xtask test`")?;
        let summary = place.join("summary");
        let mut child = Command::new(Path::new(&tools).join("bin/strace"))
            .args(["-f", "-c", "-U", "calls,name", "-o"])
            .arg(&summary)
            .args(["-p", &platform.pid().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start strace")?;
        let mut said = BufReader::new(child.stderr.take().context("a piped child has a stderr")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.contains("attached"), "strace says: {line}");
        // What it says further, of threads that come, must not stop it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let threads = format!("/proc/{}/task", platform.pid());
        wait_for("every thread to be traced", || {
            for thread in std::fs::read_dir(&threads)? {
                let status = std::fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
                if status.contains("TracerPid:\t0\n") {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
        Ok(Self { child, summary })
    }

    /// How many system calls there were, and the table of which.
    fn end(mut self) -> Result<(u64, String)> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a child has an id")?, Signal::INT)?;
        self.child.wait()?;
        let table = std::fs::read_to_string(&self.summary)?;
        Ok((count(&table, "total")?, table))
    }
}

/// The count of this name in the tracer's table.
fn count(table: &str, name: &str) -> Result<u64> {
    let found = table.lines().find_map(|line| line.trim().strip_suffix(name));
    let count = found.and_then(|count| count.trim().parse().ok());
    count.with_context(|| format!("no {name} in {table}"))
}
