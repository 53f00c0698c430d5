//! The interpreters of this machine, by Lambda's names for runtimes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use aloft_definition::Runtime;
use aloft_function::{Command, Interpreter, Program};
use aloft_instance::process::{NoInterpreter, Nodes, Pythons};
use tokio::sync::OnceCell;

/// The interpreters of this machine, looked for once, when the first function needs one.
pub(crate) struct Runtimes {
    search: Vec<PathBuf>,
    /// Those that the operator says, by Lambda's name.
    told: BTreeMap<String, Program>,
    pythons: OnceCell<Pythons>,
    nodes: OnceCell<Nodes>,
}

/// Why a runtime cannot be had here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRuntime {
    /// This machine has no interpreter for it.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// Nobody knows how to run it.
    #[error(
        "the runtime \"{0}\" is not supported yet: python3.x and nodejsNN.x are, as far as this machine has them, and provided, \
         provided.al2, provided.al2023 and wasm"
    )]
    Unknown(String),
}

/// Why what the operator says of a runtime cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Mismapped {
    /// No program can be said of it.
    #[error(
        "\"{0}\" is no runtime of which a program can be said: python3.8 and newer, and nodejs18.x and newer, are"
    )]
    Runtime(String),
    /// The program is not what it should be.
    #[error(
        "{program} cannot run {runtime}: it is not there, or does not say of itself that it is {language}",
        program = program.display(),
        language = if runtime.starts_with("python") { "Python 3.8 or newer" } else { "Node.js 18 or newer" }
    )]
    Program {
        /// The runtime.
        runtime: String,
        /// The program.
        program: PathBuf,
    },
}

/// The minor version in a name such as `python3.12`.
fn python_minor(name: &str) -> Option<u32> {
    number(name.strip_prefix("python3.")?, 8..30)
}

/// The major version in a name such as `nodejs20.x`.
fn node_major(name: &str) -> Option<u32> {
    number(name.strip_prefix("nodejs")?.strip_suffix(".x")?, 18..50)
}

fn number(text: &str, range: Range<u32>) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse()
        .ok()
        .filter(|number| is_plain && range.contains(number))
}

impl Runtimes {
    /// Those in the folders of a search path, and the programs that the operator says. These are asked at once: what cannot run is to
    /// be known before a function needs it.
    pub(crate) async fn new(
        search: Vec<PathBuf>,
        told: &BTreeMap<String, PathBuf>,
    ) -> Result<Self, Mismapped> {
        let mut programs = BTreeMap::new();
        for (runtime, program) in told {
            let found = if python_minor(runtime).is_some() {
                Pythons::at(program).await.map(Program::Python)
            } else if node_major(runtime).is_some() {
                Nodes::at(program).await.map(Program::Node)
            } else {
                return Err(Mismapped::Runtime(runtime.clone()));
            };
            let found = found.ok_or_else(|| Mismapped::Program {
                runtime: runtime.clone(),
                program: program.clone(),
            })?;
            programs.insert(runtime.clone(), found);
        }
        Ok(Self {
            search,
            told: programs,
            pythons: OnceCell::new(),
            nodes: OnceCell::new(),
        })
    }

    /// What runs a runtime of a project: exactly the version that it names, unless the operator says otherwise.
    pub(crate) async fn of(&self, runtime: Runtime, command: &[String]) -> Result<Program, NoInterpreter> {
        if let Some(program) = self.told.get(&runtime.to_string()) {
            return Ok(program.clone());
        }
        Ok(match runtime {
            Runtime::Http | Runtime::Command => Program::Command(Command {
                contract: runtime.to_string().into(),
                argv: command.to_vec(),
                interpreter: self.interpreter(command).await?,
            }),
            Runtime::Python3 { minor } => Program::Python(self.pythons().await.get(minor)?.clone()),
            Runtime::Node { major } => Program::Node(self.nodes().await.get(major)?.clone()),
            Runtime::Wasm => Program::Wasm,
            Runtime::Provided(_) => Program::Own {
                runtime: runtime.to_string(),
            },
        })
    }

    /// The interpreter that a command's program names.
    async fn interpreter(&self, command: &[String]) -> Result<Option<Interpreter>, NoInterpreter> {
        let name = command.first().map(String::as_str).unwrap_or_default();
        if let Some(Program::Python(interpreter)) = self.told.get(name) {
            return Ok(Some(interpreter.clone()));
        }
        let minor = name.strip_prefix("python3.").and_then(|minor| minor.parse().ok());
        Ok(match name {
            "python" | "python3" => Some(self.pythons().await.get(None)?.clone()),
            "node" | "nodejs" => Some(self.nodes().await.get(None)?.clone()),
            _ if minor.is_some() => Some(self.pythons().await.get(minor)?.clone()),
            _ => None,
        })
    }

    /// Every Python 3.
    async fn pythons(&self) -> &Pythons {
        self.pythons.get_or_init(|| Pythons::find(&self.search)).await
    }

    /// Every Node.js.
    async fn nodes(&self) -> &Nodes {
        self.nodes.get_or_init(|| Nodes::find(&self.search)).await
    }

    /// What runs a runtime of this name, such as `python3.12`: what the operator says, that version, or the nearest newer one of the same
    /// language.
    pub(crate) async fn named(&self, name: &str) -> Result<Program, NoRuntime> {
        if let Some(program) = self.told.get(name) {
            return Ok(program.clone());
        }
        if matches!(name, "provided" | "provided.al2" | "provided.al2023") {
            return Ok(Program::Own {
                runtime: name.to_owned(),
            });
        }
        if name == Program::WASM {
            return Ok(Program::Wasm);
        }
        if let Some(minor) = python_minor(name) {
            return Ok(Program::Python(self.pythons().await.nearest(minor)?.clone()));
        }
        if let Some(major) = node_major(name) {
            return Ok(Program::Node(self.nodes().await.nearest(major)?.clone()));
        }
        Err(NoRuntime::Unknown(name.chars().take(64).collect()))
    }
}
