//! An immutable snapshot of a function.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{FunctionId, Logging, Size};
use aloft_call::Grants;
use aloft_definition::Variable;

/// An immutable snapshot of a function: everything that an instance of it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The function.
    pub function: FunctionId,
    /// Its number; 0 for `$LATEST`.
    pub number: u64,
    /// What tells this version from the function's others: a hash over all fields and the code, in hexadecimal.
    pub id: Arc<str>,
    /// What is started for an instance.
    pub program: Program,
    /// `file.function`, as the runtime reads it.
    pub handler: String,
    /// The code and what it requires.
    pub code: Code,
    /// The most memory that an instance may use.
    pub memory: Size,
    /// The size of `/tmp`.
    pub storage: Size,
    /// How long a call may run.
    pub timeout: Duration,
    /// How long an instance is kept without a call.
    pub idle: Duration,
    /// How many instances may run at once.
    pub concurrency: usize,
    /// How many calls one instance takes at once.
    pub calls: usize,
    /// How many calls may wait for an instance, and how long.
    pub queue: Queue,
    /// Variables of the environment that the definition sets.
    pub environment: BTreeMap<String, Variable>,
    /// How its log is written.
    pub logging: Logging,
    /// What the function may use.
    pub grants: Arc<Grants>,
}

/// How many calls may wait for an instance, and how long. What goes beyond either is refused as busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Calls at most.
    pub length: usize,
    /// The longest wait.
    pub wait: Duration,
}

/// Folders of a version's code. They are never written to once a version names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The function's own files.
    pub task: PathBuf,
    /// What the function requires, installed; absent if it requires nothing.
    pub requirements: Option<PathBuf>,
    /// Layers, put together; absent if it has none.
    pub layers: Option<PathBuf>,
    /// AWS's SDK, which is found behind all else; absent if the code names it nowhere or brings it.
    pub sdk: Option<PathBuf>,
}

/// What is started for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A Python with the platform's bootstrap.
    Python(Interpreter),
    /// A Node.js with the platform's bootstrap.
    Node(Interpreter),
    /// The code's own program `bootstrap`, which speaks the contract itself.
    Own {
        /// The runtime's name as Lambda knows it, such as `provided.al2023`.
        runtime: String,
    },
    /// A command that speaks another contract than Lambda's.
    Command(Command),
    /// A WebAssembly component; the handler names its file in the code's folder.
    Wasm,
}

/// A program with arguments, and by which contract it is talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The contract's name, such as `http`.
    pub contract: Arc<str>,
    /// The program and its arguments. A program with a `/` lies in the code's folder, or is an absolute path.
    pub argv: Vec<String>,
    /// The interpreter that the program's name means, if it is one.
    pub interpreter: Option<Interpreter>,
}

impl Program {
    /// The runtime's name as Lambda knows it.
    pub fn runtime(&self) -> &str {
        match self {
            Self::Python(interpreter) | Self::Node(interpreter) => &interpreter.runtime,
            Self::Own { runtime } => runtime,
            Self::Command(command) => &command.contract,
            Self::Wasm => Self::WASM,
        }
    }

    /// The contract by which it is talked to.
    pub fn contract(&self) -> &str {
        match self {
            Self::Python(_) | Self::Node(_) | Self::Own { .. } => Self::LAMBDA,
            Self::Command(command) => &command.contract,
            Self::Wasm => "wasi:http/proxy",
        }
    }

    /// The runtime's name of WebAssembly components.
    pub const WASM: &'static str = "wasm";

    /// The name of Lambda's contract.
    pub const LAMBDA: &'static str = "lambda";

    /// The Python that it runs in, if it does.
    pub fn python(&self) -> Option<&Interpreter> {
        self.interpreter()
            .filter(|interpreter| interpreter.runtime.starts_with("python"))
    }

    /// The Node.js that it runs in, if it does.
    pub fn node(&self) -> Option<&Interpreter> {
        self.interpreter()
            .filter(|interpreter| interpreter.runtime.starts_with("nodejs"))
    }

    /// The interpreter, if there is one.
    pub fn interpreter(&self) -> Option<&Interpreter> {
        match self {
            Self::Python(interpreter) | Self::Node(interpreter) => Some(interpreter),
            Self::Own { .. } | Self::Wasm => None,
            Self::Command(command) => command.interpreter.as_ref(),
        }
    }
}

/// A language's interpreter on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The runtime's name as Lambda knows it, such as `python3.11`.
    pub runtime: String,
    /// The executable, with all links resolved.
    pub executable: PathBuf,
    /// Files and folders besides the system's own (`/usr`, `/lib`) that it needs to run: itself, its library, what it is linked
    /// with. Not its whole prefix, in which other things of the user may lie.
    pub needs: Vec<PathBuf>,
}
