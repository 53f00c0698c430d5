//! `aloft dev` as a child that is killed, paused and started anew.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http;

/// A first start fetches the sample's requirements; one after a crash may wait for a lease.
const START: Duration = Duration::from_secs(240);
/// How long what was hurt may take until it serves again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(90);

/// Where a running platform listens.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) app: String,
    pub(crate) api: String,
}

/// How it is started, and the process that runs now.
pub(crate) struct Platform {
    binary: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
    address: Arc<Mutex<Option<Address>>>,
    /// Its process id, while it runs.
    running: Arc<Mutex<Option<i32>>>,
}

impl Platform {
    /// Not started yet; `log` gets what it writes to standard error.
    pub(crate) fn new(binary: PathBuf, arguments: Vec<String>, log: PathBuf) -> Self {
        Self {
            binary,
            arguments,
            log,
            child: None,
            address: Arc::new(Mutex::new(None)),
            running: Arc::new(Mutex::new(None)),
        }
    }

    /// Where clients look for it: nothing while it is known to be gone.
    pub(crate) fn address(&self) -> Arc<Mutex<Option<Address>>> {
        self.address.clone()
    }

    /// Starts it and waits until it is ready; the error is how it ended instead.
    pub(crate) fn start(&mut self) -> Result<Address> {
        let ready = self.launch()?;
        let Ok(address) = ready.recv_timeout(START) else {
            let ended = self.ended()?;
            bail!("the platform is not ready ({ended:?}):\n{}", self.tail());
        };
        self.set(Some(address.clone()));
        Ok(address)
    }

    /// Starts it; where it listens comes when it is ready.
    pub(crate) fn launch(&mut self) -> Result<mpsc::Receiver<Address>> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut child = Command::new(&self.binary)
            .args(&self.arguments)
            .env_remove("ALOFT_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let stdout = child.stdout.take().context("a piped child has an output")?;
        self.runs(Some(i32::try_from(child.id())?));
        self.child = Some(child);
        Ok(listen(stdout))
    }

    /// The process.
    fn pid(&self) -> Result<Pid> {
        let id = self.child.as_ref().context("the platform does not run")?.id();
        Pid::from_raw(i32::try_from(id)?).context("a process id is above 0")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).context("cannot signal the platform")
    }

    /// `kill -9`, and it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.set(None);
        let mut child = self.child.take().context("the platform does not run")?;
        child.wait()?;
        self.runs(None);
        Ok(())
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let ended = child.try_wait()?;
        if ended.is_some() {
            self.child = None;
            self.runs(None);
            self.set(None);
        }
        Ok(ended)
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.set(None);
        let mut child = self.child.take().context("the platform does not run")?;
        let status = child.wait()?;
        self.runs(None);
        if !status.success() {
            bail!("asked to end, the platform ended with {status}:\n{}", self.tail());
        }
        Ok(())
    }

    /// Waits until it serves; an end that nobody asked for is an error.
    pub(crate) fn serves(&mut self) -> Result<Duration> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                bail!("the platform ended by itself with {status}:\n{}", self.tail());
            }
            let address = self.known().context("the platform does not run")?;
            let url = format!("{}/orders/00000000-0000-4000-8000-000000000000", address.app);
            // A missing order: the gateway, a function, the wire and the store have all answered.
            if http::call("GET", &url, &[], None).is_some_and(|answer| answer.status == 404) {
                return Ok(started.elapsed());
            }
            if started.elapsed() > RECOVERY {
                bail!(
                    "the platform does not serve again within {} s:\n{}",
                    RECOVERY.as_secs(),
                    self.tail()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it listens now.
    pub(crate) fn known(&self) -> Option<Address> {
        self.address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the platform and this program once its input ends: whoever started it is gone.
    pub(crate) fn end_with_input(&self) {
        let running = self.running.clone();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let pid = *running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(pid) = pid.and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            // PostgreSQL is watched by a shell that ends it when we are gone.
            std::process::exit(130);
        });
    }

    fn set(&self, address: Option<Address>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn runs(&self, pid: Option<i32>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// The last that it wrote to standard error.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(40);
        lines.get(last..).unwrap_or_default().join("\n")
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // A paused process does not hear of anything else.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Reads its lines to the end, for a full pipe would lose them; the first that says "ready" is the answer.
fn listen(stdout: ChildStdout) -> mpsc::Receiver<Address> {
    let (send, receive) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            let Ok(line) = serde_json::from_slice::<Value>(&line) else {
                continue;
            };
            let text = |key| line.get(key).and_then(Value::as_str).map(str::to_owned);
            if let (Some(app), Some(api)) = (text("app"), text("api")) {
                let _ = send.try_send(Address { app, api });
            }
        }
    });
    receive
}
