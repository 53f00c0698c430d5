//! `aloft dev` as a child. Its output goes into files: somebody who reads a pipe at each event would take CPU time from what
//! is measured.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Tree;

/// A first start installs the project's requirements.
const START: Duration = Duration::from_secs(240);
/// A drain takes at most 30 s.
const END: Duration = Duration::from_secs(40);

/// A running platform.
pub struct Platform {
    child: Child,
    events: PathBuf,
    /// The application's address, `http://127.0.0.1:P`.
    pub app: String,
    /// The services' address.
    pub api: String,
}

impl Platform {
    /// Starts it on a project, with its data and its output in folders of their own, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn start(project: &Path, data: &Path, output: &Path) -> Result<Self> {
        let binary = std::env::var_os("ALOFT_TEST_BIN")
            .context("ALOFT_TEST_BIN is not set: run the benchmarks with `cargo xtask bench`")?;
        Self::start_by(Command::new(binary), project, data, output)
    }

    /// Starts it by this command, which has no arguments yet.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_by(mut program: Command, project: &Path, data: &Path, output: &Path) -> Result<Self> {
        let (events, errors) = (output.join("events"), output.join("errors"));
        // Node.js is not on every machine's path.
        let kit = std::env::var_os("ALOFT_TEST_TOOLS").map(|kit| Path::new(&kit).join("nodejs"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::env::split_paths(&path).chain(kit))?;
        let mut child = program
            .env("PATH", path)
            .arg("dev")
            .arg(project)
            .arg("--data")
            .arg(data)
            .args(["--port", "0", "--api-port", "0", "--json"])
            .stdin(Stdio::null())
            .stdout(File::create(&events)?)
            .stderr(File::create(&errors)?)
            .spawn()
            .context("cannot start the platform")?;
        let started = Instant::now();
        let ready = loop {
            let text = std::fs::read_to_string(&events)?;
            if let Some((line, _)) = text.split_once('\n') {
                break serde_json::from_str::<Value>(line)
                    .with_context(|| format!("the first line of --json is {line:?}"))?;
            }
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(&errors)?;
                bail!("the platform ended with {status} before it was ready:\n{said}");
            }
            if started.elapsed() > START {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the platform was not ready within {} s", START.as_secs());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        };
        let address = |key: &str| {
            let value = ready.get(key).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .with_context(|| format!("no {key} in {ready}"))
        };
        Ok(Self {
            app: address("app")?,
            api: address("api")?,
            child,
            events,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processes, those of functions among them.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn tree(&self) -> Result<Tree> {
        Tree::of(self.child.id())
    }

    /// The events so far.
    ///
    /// # Errors
    /// When a line is not JSON.
    pub fn events(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(&self.events)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().skip(1);
        lines
            .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}")))
            .collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < END {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
