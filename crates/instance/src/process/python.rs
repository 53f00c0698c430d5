//! The Python interpreters of this machine.
//!
//! Asking each candidate is the only sure way: distributions, pyenv, conda and the official installers all lay their
//! files out differently. The answer names the real executable and the prefixes that a sandbox needs to see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aloft_function::Interpreter;
use serde::Deserialize;

/// What each candidate is asked. It must also be able to open a socket and read JSON, which a broken build cannot.
const QUESTION: &str = "import sys, os, json, socket
print(json.dumps({'major': sys.version_info[0], 'minor': sys.version_info[1], 'micro': sys.version_info[2],
 'executable': os.path.realpath(sys.executable), 'prefixes': sorted({sys.base_prefix, sys.base_exec_prefix})}))";
/// The bound of a candidate's answer. A cold disk takes seconds, a hanging wrapper forever.
const PATIENCE: Duration = Duration::from_secs(20);
/// Below this, handlers and the bootstrap may miss what they use.
const OLDEST_MINOR: u32 = 8;

#[derive(Debug, Deserialize)]
struct Reply {
    major: u32,
    minor: u32,
    micro: u32,
    executable: PathBuf,
    prefixes: Vec<PathBuf>,
}

/// No interpreter fits.
#[derive(Debug, thiserror::Error)]
#[error("no interpreter for runtime \"{wanted}\" was found; this machine has {found}")]
pub struct NoInterpreter {
    /// The runtime that was asked for.
    pub wanted: String,
    /// Those that were found, for people.
    pub found: String,
}

/// The Python interpreters of this machine, by minor version.
#[derive(Debug, Clone, Default)]
pub struct Pythons(BTreeMap<u32, Interpreter>);

impl Pythons {
    /// Asks every Python 3 in the folders of a search path, and those of pyenv where its shims are on it.
    pub async fn find(search: &[PathBuf]) -> Self {
        let mut found: BTreeMap<u32, (u32, Interpreter)> = BTreeMap::new();
        let answers = candidates(search)
            .into_iter()
            .map(|candidate| async move { ask(&candidate).await });
        for reply in futures_util::future::join_all(answers)
            .await
            .into_iter()
            .flatten()
        {
            if reply.major != 3 || reply.minor < OLDEST_MINOR {
                continue;
            }
            let interpreter = Interpreter {
                runtime: format!("python3.{}", reply.minor),
                executable: reply.executable,
                prefixes: reply.prefixes,
            };
            // Of two of the same minor version the newer counts; of two equal ones the first on the path.
            let is_newer = found
                .get(&reply.minor)
                .is_none_or(|(micro, _)| *micro < reply.micro);
            if is_newer {
                found.insert(reply.minor, (reply.micro, interpreter));
            }
        }
        Self(
            found
                .into_iter()
                .map(|(minor, (_, interpreter))| (minor, interpreter))
                .collect(),
        )
    }

    /// The interpreter of a minor version, or the newest.
    pub fn get(&self, minor: Option<u32>) -> Result<&Interpreter, NoInterpreter> {
        let found = match minor {
            Some(minor) => self.0.get(&minor),
            None => self.0.values().next_back(),
        };
        found.ok_or_else(|| NoInterpreter {
            wanted: minor.map_or_else(|| "python3".to_owned(), |minor| format!("python3.{minor}")),
            found: if self.0.is_empty() {
                "none: install python3 and make sure that it is on the PATH".to_owned()
            } else {
                self.0
                    .values()
                    .map(|interpreter| interpreter.runtime.clone())
                    .collect::<Vec<_>>()
                    .join(", ")
            },
        })
    }
}

/// Executables that may be a Python 3, without repetition, in the order of the path.
fn candidates(search: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in search {
        // pyenv's shims are shell scripts that find the real ones beside them.
        match folder
            .parent()
            .filter(|_| folder.ends_with("shims"))
            .map(|root| root.join("versions"))
        {
            Some(versions) if versions.is_dir() => {
                let entries = std::fs::read_dir(&versions).into_iter().flatten().flatten();
                folders.extend(entries.map(|entry| entry.path().join("bin")));
            }
            _ => folders.push(folder.clone()),
        }
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let names = std::iter::once("python3".to_owned())
            .chain((OLDEST_MINOR..30).map(|minor| format!("python3.{minor}")));
        for name in names {
            // The real file, so that a link and its target are asked once.
            let Ok(real) = std::fs::canonicalize(folder.join(name)) else {
                continue;
            };
            if !found.contains(&real) {
                found.push(real);
            }
        }
    }
    found
}

async fn ask(candidate: &Path) -> Option<Reply> {
    let mut command = tokio::process::Command::new(candidate);
    command
        .args(["-I", "-S", "-c", QUESTION])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .ok()?
        .ok()?;
    let reply = output
        .status
        .success()
        .then(|| serde_json::from_slice(&output.stdout).ok())
        .flatten();
    if reply.is_none() {
        tracing::debug!(candidate = %candidate.display(), "is not a usable Python 3");
    }
    reply
}

#[cfg(test)]
mod tests;
