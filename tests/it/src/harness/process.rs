//! Programs that run to their end, within a bound; outputs and exit code are kept apart.

use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::environment::{binary, quiet_aws};

/// A browser or an SDK on two busy cores.
const BOUND: Duration = Duration::from_secs(240);

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// All of stdout as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}):\n{self}"))
    }

    /// Each line of stdout as a JSON value.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exit {:?}\n-- stdout\n{}\n-- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

/// Runs it to its end. Outputs go to files, so that no pipe can fill up and block it.
pub(crate) fn run(command: &mut Command) -> Finished {
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let code = ended(&mut child, BOUND);
    let read = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let finished = Finished {
        code: code.flatten(),
        stdout: read(&mut stdout),
        stderr: read(&mut stderr),
    };
    assert!(
        code.is_some(),
        "{command:?} did not end within {} s:\n{finished}",
        BOUND.as_secs()
    );
    finished
}

/// Waits for the end: the exit code (none after a signal). Past the bound it is killed and the answer is `None`.
pub(crate) fn ended(child: &mut Child, bound: Duration) -> Option<Option<i32>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        if started.elapsed() > bound {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The binary, to be started in namespaces of its own that a shell line has changed. Both exec, so that its pid is the child's.
pub(crate) fn inside(flags: &str, line: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args([flags, "sh", "-c", &format!("{line} && exec \"$0\" \"$@\"")])
        .arg(binary());
    command
}

/// Runs an `aloft` command in a folder.
pub(crate) fn aloft(folder: &Path, arguments: &[&str]) -> Finished {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("ALOFT_URL")
        .env("NO_COLOR", "1");
    run(quiet_aws(&mut command))
}
