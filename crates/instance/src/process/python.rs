//! The Python interpreters of this machine.
//!
//! Each candidate is asked; the answer names the real executable and what of the host a sandbox needs to see for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aloft_function::Interpreter;
use aloft_sandbox::Mount;
use serde::Deserialize;

use super::ask::{NoInterpreter, ask, outermost};

/// What each candidate is asked.
const QUESTION: &str = include_str!("interpreter.py");
/// Below this, handlers and the bootstrap may miss what they use.
const OLDEST_MINOR: u32 = 8;

#[derive(Debug, Deserialize)]
struct Reply {
    major: u32,
    minor: u32,
    micro: u32,
    executable: PathBuf,
    needs: Vec<PathBuf>,
}

impl From<Reply> for Interpreter {
    fn from(reply: Reply) -> Self {
        Self {
            runtime: format!("python3.{}", reply.minor),
            executable: reply.executable,
            needs: outermost(reply.needs),
        }
    }
}

/// The Python interpreters of this machine, by minor version.
#[derive(Debug, Clone, Default)]
pub struct Pythons(BTreeMap<u32, Interpreter>);

impl Pythons {
    /// Asks every Python 3 in the folders of a search path, and those of pyenv where its shims are on it.
    pub async fn find(search: &[PathBuf]) -> Self {
        let mut found: BTreeMap<u32, (u32, Interpreter)> = BTreeMap::new();
        let system = Mount::system();
        let seen: Vec<&Path> = system.iter().map(Mount::target).collect();
        let answers = candidates(search).into_iter().map(|candidate| {
            let seen = &seen;
            async move { answer(&candidate, seen).await }
        });
        let replies = futures_util::future::join_all(answers).await;
        for reply in replies.into_iter().flatten() {
            // Of two of the same minor version the newer counts; of two equal ones the first on the path.
            let is_newer = found
                .get(&reply.minor)
                .is_none_or(|(micro, _)| *micro < reply.micro);
            if is_newer {
                found.insert(reply.minor, (reply.micro, reply.into()));
            }
        }
        Self(
            found
                .into_iter()
                .map(|(minor, (_, interpreter))| (minor, interpreter))
                .collect(),
        )
    }

    /// The Python 3 that is this program; nothing if it is none that can be used.
    pub async fn at(program: &Path) -> Option<Interpreter> {
        let system = Mount::system();
        let seen: Vec<&Path> = system.iter().map(Mount::target).collect();
        answer(program, &seen).await.map(Interpreter::from)
    }

    /// The interpreter of a minor version, or the newest.
    pub fn get(&self, minor: Option<u32>) -> Result<&Interpreter, NoInterpreter> {
        let found = match minor {
            Some(minor) => self.0.get(&minor),
            None => self.0.values().next_back(),
        };
        self.found(found, minor)
    }

    /// The interpreter of a minor version, or of the nearest newer one.
    pub fn nearest(&self, minor: u32) -> Result<&Interpreter, NoInterpreter> {
        let found = self.0.range(minor..).next().map(|(_, interpreter)| interpreter);
        self.found(found, Some(minor))
    }

    fn found<'a>(
        &'a self,
        found: Option<&'a Interpreter>,
        minor: Option<u32>,
    ) -> Result<&'a Interpreter, NoInterpreter> {
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

/// What a candidate says of itself, if it is a Python that can be used.
async fn answer(candidate: &Path, seen: &[&Path]) -> Option<Reply> {
    let reply = ask::<Reply>(candidate, &["-I", "-S", "-c", QUESTION], seen).await?;
    (reply.major == 3 && reply.minor >= OLDEST_MINOR).then_some(reply)
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

#[cfg(test)]
mod tests;
