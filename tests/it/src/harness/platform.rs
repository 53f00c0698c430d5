//! `aloft dev` as a child: started on free ports, known by its ready line, watched by its events, always ended.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::try_call;
use super::environment::{binary, quiet_aws};
use super::process::{aloft, ended};
use super::{Finished, PATIENCE};

/// A first start fetches the project's requirements.
const START: Duration = Duration::from_secs(240);

/// What is kept of the events: a function that writes without end must not fill the tester's memory.
const KEPT: usize = 20_000;

/// How many events a story tells.
const STORY: usize = 100;

/// How to start `aloft dev`, or `aloft serve`.
pub(crate) struct Dev {
    /// Without one, a service is started.
    project: Option<PathBuf>,
    data: PathBuf,
    more: Vec<String>,
    /// A folder of programs that come before those of the machine.
    programs: Option<PathBuf>,
    /// What it is started with: `unshare` or `nsenter` and their arguments, the binary, and nothing more.
    within: Command,
}

impl Dev {
    /// This project with this data folder.
    pub(crate) fn new(project: &Path, data: &Path) -> Self {
        Self {
            project: Some(project.into()),
            data: data.into(),
            more: Vec::new(),
            programs: None,
            within: Command::new(binary()),
        }
    }

    /// As a service, which has no project.
    pub(crate) fn served(mut self) -> Self {
        self.project = None;
        self
    }

    /// Started by this command, which ends with the binary and becomes it: see `inside`.
    pub(crate) fn within(mut self, command: Command) -> Self {
        self.within = command;
        self
    }

    /// With the programs of this folder before those of the machine.
    pub(crate) fn programs(mut self, folder: PathBuf) -> Self {
        self.programs = Some(folder);
        self
    }

    /// With these arguments besides.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.more
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn command(self) -> Command {
        let mut command = self.within;
        match &self.project {
            Some(project) => command.arg("dev").arg(project),
            None => command.arg("serve"),
        };
        command.arg("--data").arg(&self.data);
        command
            .args(["--port", "0", "--api-port", "0", "--json"])
            .args(&self.more);
        quiet_aws(&mut command)
            .env_remove("ALOFT_URL")
            .env("NO_COLOR", "1");
        if let Some(folder) = &self.programs {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).unwrap());
        }
        command
    }

    /// Starts it with nobody reading what it prints.
    pub(crate) fn start_unread(self) -> Unread {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Unread { child, lines }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(self) -> Platform {
        self.try_start()
            .unwrap_or_else(|end| panic!("aloft dev ended before it was ready:\n{end}"))
    }

    /// Starts it; the error is how it ended without ever being ready.
    pub(crate) fn try_start(self) -> Result<Platform, Finished> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let said = Arc::new(Said::default());
        listen(child.stdout.take().unwrap(), &said, Said::event);
        listen(child.stderr.take().unwrap(), &said, Said::complain);
        let mut platform = Platform {
            child,
            said,
            app: String::new(),
            api: String::new(),
        };
        let ready = platform.said.wait(START, |state| {
            state.ready.clone().or(state.ended.then(|| Value::Null))
        });
        match ready {
            Some(Value::Null) => Err(platform.finish()),
            Some(ready) => {
                let address = |key: &str| {
                    ready[key]
                        .as_str()
                        .unwrap_or_else(|| panic!("{ready}"))
                        .to_owned()
                };
                (platform.app, platform.api) = (address("app"), address("api"));
                Ok(platform)
            }
            None => panic!(
                "aloft dev was not ready within {} s:\n{}",
                START.as_secs(),
                platform.finish()
            ),
        }
    }
}

/// A running platform whose output is read when a test wants it to be.
pub(crate) struct Unread {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Unread {
    /// Its first line.
    pub(crate) fn ready(&mut self) -> Value {
        self.lines_until(|line| line["ready"] == true)
    }

    /// Reads up to a line that `wanted` accepts.
    pub(crate) fn lines_until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            let length = self.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "the platform has ended");
            let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
            if wanted(&line) {
                return line;
            }
        }
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        ended(&mut self.child, PATIENCE).expect("it does not end")
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running platform.
pub(crate) struct Platform {
    child: Child,
    said: Arc<Said>,
    /// The application's address, `http://127.0.0.1:P`.
    pub(crate) app: String,
    /// The services' address.
    pub(crate) api: String,
}

impl Platform {
    /// An address of the application.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event that `wanted` accepts, among those that came and those that will.
    pub(crate) fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.said.wait(PATIENCE, |state| {
            state.events.iter().find(|event| wanted(event)).cloned()
        });
        found.unwrap_or_else(|| panic!("no event: {what}; the last ones:\n{}", self.said.tail()))
    }

    /// How many events came that `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(&Value) -> bool) -> usize {
        let counted = self.said.wait(PATIENCE, |state| {
            Some(state.events.iter().filter(|event| wanted(event)).count())
        });
        counted.unwrap_or_default()
    }

    /// What became of a rule's deliveries to a function: what was given up, what was counted, what the function wrote and how
    /// its calls ended. For a failure to tell its cause.
    pub(crate) fn story(&self, rule: &str, function: &str) -> String {
        let here = Path::new("/");
        let letters = aloft(here, &["deliveries", "ls", "--json", "--to", &self.api]);
        let scraped = try_call("GET", &format!("{}/_aloft/metrics", self.api), &[], b"");
        let scraped = scraped.map_or_else(|error| error, |answer| answer.text());
        let (of_rule, of_function) = (format!("rule=\"{rule}\""), format!("function=\"{function}\""));
        let counted: Vec<&str> = scraped
            .lines()
            .filter(|line| line.contains(&of_rule) || line.contains(&of_function))
            .filter(|line| !line.contains("_bucket{"))
            .collect();
        let state = self.said.state.lock().unwrap();
        let events: Vec<String> = state
            .events
            .iter()
            .filter(|event| event["function"] == function)
            .map(Value::to_string)
            .collect();
        let last = events.len().saturating_sub(STORY);
        format!(
            "-- aloft deliveries ls: {letters}\n-- what rule {rule} and function {function} count\n{}\n\
             -- the last of {} calls and lines of {function}\n{}",
            counted.join("\n"),
            events.len(),
            events[last..].join("\n")
        )
    }

    /// The most memory it has had resident.
    pub(crate) fn resident_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// What an SDK needs to find this platform. Both names of the region: botocore knows only the second one.
    pub(crate) fn exports(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ENDPOINT_URL", self.api.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ]
    }

    /// SIGTERM, SIGINT: asks it to end.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// `kill -9`, and the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(&mut self) -> Finished {
        let code = ended(&mut self.child, PATIENCE);
        self.said
            .wait(Duration::from_secs(5), |state| state.ended.then_some(()));
        let stderr = self.said.state.lock().unwrap().stderr.clone();
        Finished {
            code: code.flatten(),
            stdout: self.said.tail(),
            stderr,
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("-- the platform's last events\n{}", self.said.tail());
            eprintln!(
                "-- the platform's stderr\n{}",
                self.said.state.lock().unwrap().stderr
            );
        }
    }
}

/// What it has said so far.
#[derive(Default)]
struct Said {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    ready: Option<Value>,
    events: VecDeque<Value>,
    stderr: String,
    /// Both pipes are closed.
    ended: bool,
    closed: u8,
}

impl Said {
    /// A line of stdout: first the ready line, then events. Anything else breaks the promise of `--json`.
    fn event(state: &mut State, line: &str) {
        match serde_json::from_str::<Value>(line) {
            Ok(value) if state.ready.is_none() && value["ready"] == true => state.ready = Some(value),
            Ok(value) => {
                state.events.push_back(value);
                if state.events.len() > KEPT {
                    state.events.pop_front();
                }
            }
            Err(_) => state.stderr.push_str(&format!("(not JSON, on stdout) {line}\n")),
        }
    }

    fn complain(state: &mut State, line: &str) {
        if state.stderr.len() < 1 << 20 {
            state.stderr.push_str(line);
            state.stderr.push('\n');
        }
    }

    fn wait<T>(&self, bound: Duration, mut answer: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let started = Instant::now();
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(answer) = answer(&state) {
                return Some(answer);
            }
            let left = bound.checked_sub(started.elapsed())?;
            state = self.news.wait_timeout(state, left).unwrap().0;
        }
    }

    fn tail(&self) -> String {
        let state = self.state.lock().unwrap();
        let from = state.events.len().saturating_sub(20);
        state
            .events
            .iter()
            .skip(from)
            .map(|event| format!("{event}\n"))
            .collect()
    }
}

/// Reads a pipe to its end on a thread of its own.
fn listen(pipe: impl Read + Send + 'static, said: &Arc<Said>, take: fn(&mut State, &str)) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            take(&mut said.state.lock().unwrap(), &String::from_utf8_lossy(&line));
            said.news.notify_all();
        }
        let mut state = said.state.lock().unwrap();
        state.closed += 1;
        state.ended = state.closed == 2;
        drop(state);
        said.news.notify_all();
    });
}
