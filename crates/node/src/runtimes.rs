//! The interpreters of this machine, by Lambda's names for runtimes.

use std::ops::Range;
use std::path::PathBuf;

use aloft_definition::Runtime;
use aloft_function::{Command, Interpreter, Program};
use aloft_instance::process::{NoInterpreter, Nodes, Pythons};
use tokio::sync::OnceCell;

/// The interpreters of this machine, looked for once, when the first function needs one.
pub(crate) struct Runtimes {
    search: Vec<PathBuf>,
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

impl Runtimes {
    /// Those in the folders of a search path.
    pub(crate) fn new(search: Vec<PathBuf>) -> Self {
        Self {
            search,
            pythons: OnceCell::new(),
            nodes: OnceCell::new(),
        }
    }

    /// What runs a runtime of a project: exactly the version that it names.
    pub(crate) async fn of(&self, runtime: Runtime, command: &[String]) -> Result<Program, NoInterpreter> {
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

    /// What runs a runtime of this name, such as `python3.12`: that version, or the nearest newer one of the same language.
    pub(crate) async fn named(&self, name: &str) -> Result<Program, NoRuntime> {
        let number =
            |text: &str, range: Range<u32>| text.parse().ok().filter(|number| range.contains(number));
        if matches!(name, "provided" | "provided.al2" | "provided.al2023") {
            return Ok(Program::Own {
                runtime: name.to_owned(),
            });
        }
        if name == Program::WASM {
            return Ok(Program::Wasm);
        }
        if let Some(minor) = name
            .strip_prefix("python3.")
            .and_then(|minor| number(minor, 8..30))
        {
            return Ok(Program::Python(self.pythons().await.nearest(minor)?.clone()));
        }
        let major = name
            .strip_prefix("nodejs")
            .and_then(|rest| rest.strip_suffix(".x"));
        if let Some(major) = major.and_then(|major| number(major, 18..50)) {
            return Ok(Program::Node(self.nodes().await.nearest(major)?.clone()));
        }
        Err(NoRuntime::Unknown(name.chars().take(64).collect()))
    }
}
