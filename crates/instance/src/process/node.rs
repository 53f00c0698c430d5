//! The Node.js of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aloft_function::Interpreter;
use aloft_sandbox::Mount;
use serde::Deserialize;

use super::ask::{NoInterpreter, ask, outermost};

/// What each candidate is asked: its version, its program with all links resolved, and what it is linked with beyond the files and
/// folders that every sandbox sees, which are its arguments.
const QUESTION: &str = r#"
const fs = require("fs"), path = require("path");
const executable = fs.realpathSync(process.execPath);
const isSeen = (file) => process.argv.slice(1).some((place) => file === place || file.startsWith(place + "/"));
const mapped = fs.readFileSync("/proc/self/maps", "utf8").split("\n").map((line) => line.slice(line.indexOf("/")));
const needs = new Set([executable]);
for (const file of mapped) {
  if (!file.startsWith("/") || isSeen(file) || !fs.existsSync(file)) continue;
  needs.add(file);
  for (const name of fs.readdirSync(path.dirname(file))) {
    const link = path.join(path.dirname(file), name);
    try { if (fs.realpathSync(link) === file) needs.add(link); } catch {}
  }
}
console.log(JSON.stringify({
  major: Number(process.versions.node.split(".")[0]), executable, needs: [...needs].filter((file) => !isSeen(file)),
}));
"#;
/// Below this, the bootstrap misses what it uses.
const OLDEST: u32 = 18;

#[derive(Debug, Deserialize)]
struct Reply {
    major: u32,
    executable: PathBuf,
    needs: Vec<PathBuf>,
}

impl From<Reply> for Interpreter {
    fn from(reply: Reply) -> Self {
        Self {
            runtime: format!("nodejs{}.x", reply.major),
            executable: reply.executable,
            needs: outermost(reply.needs),
        }
    }
}

/// What a candidate says of itself, if it is a Node.js that can be used.
async fn answer(candidate: &Path, seen: &[&Path]) -> Option<Reply> {
    let reply = ask::<Reply>(candidate, &["-e", QUESTION, "--"], seen).await?;
    (reply.major >= OLDEST).then_some(reply)
}

/// The Node.js of this machine, by major version.
#[derive(Debug, Clone, Default)]
pub struct Nodes(BTreeMap<u32, Interpreter>);

impl Nodes {
    /// Asks every Node.js in the folders of a search path.
    pub async fn find(search: &[PathBuf]) -> Self {
        let system = Mount::system();
        let seen: Vec<&Path> = system.iter().map(Mount::target).collect();
        let mut candidates: Vec<PathBuf> = Vec::new();
        for folder in search {
            for name in ["node", "nodejs"] {
                // The real file, so that a link and its target are asked once.
                match std::fs::canonicalize(folder.join(name)) {
                    Ok(real) if !candidates.contains(&real) => candidates.push(real),
                    _ => {}
                }
            }
        }
        let answers = candidates.iter().map(|candidate| {
            let seen = &seen;
            async move { answer(candidate, seen).await }
        });
        let mut found = BTreeMap::new();
        let replies = futures_util::future::join_all(answers).await;
        for reply in replies.into_iter().flatten() {
            // Of two of one version the first on the path counts.
            found
                .entry(reply.major)
                .or_insert_with(|| Interpreter::from(reply));
        }
        Self(found)
    }

    /// The Node.js that is this program; nothing if it is none that can be used.
    pub async fn at(program: &Path) -> Option<Interpreter> {
        let system = Mount::system();
        let seen: Vec<&Path> = system.iter().map(Mount::target).collect();
        answer(program, &seen).await.map(Interpreter::from)
    }

    /// The Node.js of a major version, or the newest.
    pub fn get(&self, major: Option<u32>) -> Result<&Interpreter, NoInterpreter> {
        let found = match major {
            Some(major) => self.0.get(&major),
            None => self.0.values().next_back(),
        };
        self.found(found, major)
    }

    /// The Node.js of a major version, or of the nearest newer one.
    pub fn nearest(&self, major: u32) -> Result<&Interpreter, NoInterpreter> {
        let found = self.0.range(major..).next().map(|(_, interpreter)| interpreter);
        self.found(found, Some(major))
    }

    fn found<'a>(
        &'a self,
        found: Option<&'a Interpreter>,
        major: Option<u32>,
    ) -> Result<&'a Interpreter, NoInterpreter> {
        found.ok_or_else(|| NoInterpreter {
            wanted: major.map_or_else(|| "nodejs".to_owned(), |major| format!("nodejs{major}.x")),
            found: if self.0.is_empty() {
                "none: install Node.js and make sure that `node` is on the PATH".to_owned()
            } else {
                let names: Vec<&str> = self.0.values().map(|found| found.runtime.as_str()).collect();
                names.join(", ")
            },
        })
    }
}
