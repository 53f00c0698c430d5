//! What a definition says, in types that hold only what is right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aloft_base::{Egress, FunctionName, Logging, RuleName, Size, TableName};
use aloft_event::Pattern;
use serde_json::Value;

use crate::RoutePattern;

/// A project, as its file defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The project itself.
    pub project: Project,
    /// Its functions.
    pub functions: BTreeMap<FunctionName, Function>,
    /// Which function answers which request, in the order of the file.
    pub routes: Vec<Route>,
    /// Which folders of files are served where, in the order of the file. Routes come first.
    pub files: Vec<Files>,
    /// Its tables.
    pub tables: BTreeMap<TableName, Table>,
    /// Its rules.
    pub rules: BTreeMap<RuleName, Rule>,
}

impl Definition {
    /// A project with nothing in it: what runs where there is no file.
    pub fn empty(name: impl Into<String>) -> Self {
        Self {
            project: Project { name: name.into() },
            functions: BTreeMap::new(),
            routes: vec![],
            files: vec![],
            tables: BTreeMap::new(),
            rules: BTreeMap::new(),
        }
    }
}

/// The project itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its name: 1 to 64 characters of a-z, 0-9 and -.
    pub name: String,
}

/// A function. The bounds of its fields are those of the reference page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// What runs it.
    pub runtime: Runtime,
    /// The folder of its code, relative to the project's.
    pub source: PathBuf,
    /// What is called, as the runtime reads it; empty where there is a command.
    pub handler: String,
    /// The program and its arguments, of a runtime that [has a command](Runtime::has_command); else empty.
    pub command: Vec<String>,
    /// How many calls one instance takes at once.
    pub calls: u32,
    /// The file that lists what it requires, relative to `source`; `None` if it requires nothing.
    pub requirements: Option<PathBuf>,
    /// How its code is built.
    pub build: Build,
    /// The most memory that an instance may use; a whole number of MB.
    pub memory: Size,
    /// How long a call may run.
    pub timeout: Duration,
    /// How long an instance is kept without a call.
    pub idle: Duration,
    /// How many instances may run at once.
    pub concurrency: u32,
    /// The calls that wait for an instance.
    pub queue: Queue,
    /// Variables of its environment.
    pub environment: BTreeMap<String, Variable>,
    /// How its log is written.
    pub logging: Logging,
    /// The tables that it may use.
    pub access: BTreeMap<TableName, Access>,
    /// The secrets that it may read, by name.
    pub secrets: BTreeSet<String>,
    /// Where it may connect to.
    pub egress: Egress,
}

/// How a function's code is built before it runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Build {
    /// `auto`: by the files in its source.
    #[default]
    Auto,
    /// `none`: its source is its code.
    None,
    /// `make`: its Makefile's target `build-NAME` puts the code into `ARTIFACTS_DIR`.
    Make,
    /// A command line of `sh`.
    Command {
        /// The line.
        line: String,
        /// The folder that becomes the code, relative to the source; `None` is the whole.
        output: Option<PathBuf>,
    },
}

impl Build {
    /// Whether the definition itself says that files are made which are not in the source.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Make | Self::Command { .. })
    }
}

/// What a variable of an environment is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// This text.
    Text(String),
    /// The value that a secret has when an instance starts.
    Secret(SecretReference),
}

/// A secret's value, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// The secret's name.
    pub name: String,
    /// The member of the JSON object that the value is; `None` for the whole value.
    pub key: Option<String>,
    /// The staging label of its version; `None` for the current one.
    pub stage: Option<String>,
}

/// Text as it is, and of a secret its name, never its value.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Secret(SecretReference { name, .. }) => write!(f, "secret:{name}"),
        }
    }
}

impl From<String> for Variable {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A runtime: a language and how exactly its version is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// `python3`, the newest on the host; or `python3.11`, exactly that minor version.
    Python3 {
        /// The minor version, if the definition gives one.
        minor: Option<u32>,
    },
    /// `nodejs`, the newest on the host; or `nodejs20.x`, exactly that major version.
    Node {
        /// The major version, if the definition gives one.
        major: Option<u32>,
    },
    /// The code's own program.
    Provided(Provided),
    /// `http`: a server of the code's own.
    Http,
    /// `command`: a program that runs once for each call.
    Command,
    /// `wasm`: a WebAssembly component.
    Wasm,
}

impl Runtime {
    /// Whether it is started by a command instead of a handler.
    pub fn has_command(self) -> bool {
        matches!(self, Self::Http | Self::Command)
    }
}

/// Lambda's names for a runtime that the code brings itself. They mean the same here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provided {
    /// `provided`.
    Plain,
    /// `provided.al2`.
    Al2,
    /// `provided.al2023`.
    Al2023,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python3 { minor: None } => f.write_str("python3"),
            Self::Python3 { minor: Some(minor) } => write!(f, "python3.{minor}"),
            Self::Node { major: None } => f.write_str("nodejs"),
            Self::Node { major: Some(major) } => write!(f, "nodejs{major}.x"),
            Self::Http => f.write_str("http"),
            Self::Command => f.write_str("command"),
            Self::Wasm => f.write_str("wasm"),
            Self::Provided(Provided::Plain) => f.write_str("provided"),
            Self::Provided(Provided::Al2) => f.write_str("provided.al2"),
            Self::Provided(Provided::Al2023) => f.write_str("provided.al2023"),
        }
    }
}

/// The calls that wait for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait.
    pub length: u32,
    /// How long one may wait.
    pub wait: Duration,
}

/// How far a function's permission goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// A route to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Which requests.
    pub pattern: RoutePattern,
    /// Who answers.
    pub function: FunctionName,
}

/// A folder of files that is served as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The path under which it is served, as segments; none is `/`.
    pub prefix: Vec<String>,
    /// The folder, relative to the project's.
    pub folder: PathBuf,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The partition key.
    pub hash: KeySchema,
    /// The sort key, if it has one.
    pub range: Option<KeySchema>,
}

/// One attribute of a table's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// The attribute's name.
    pub name: String,
    /// Its type.
    pub kind: KeyKind,
}

/// The types that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// `S`: text.
    Text,
    /// `N`: a number.
    Number,
    /// `B`: bytes.
    Bytes,
}

/// What happens when something happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whose events.
    pub on: Source,
    /// Which of them: the pattern as written, `{}` for all.
    pub when: Value,
    /// The same, compiled.
    pub pattern: Pattern,
    /// The function that runs.
    pub run: FunctionName,
    /// How often it is tried again.
    pub retries: u32,
    /// After what age an event is given up.
    pub maximum_age: Duration,
    /// How many events are with the function at a time.
    pub concurrency: u32,
    /// Which events wait for one another.
    pub order: Order,
}

/// Which of a rule's events are delivered one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// `key`: those of one row.
    #[default]
    Key,
    /// `none`: none.
    None,
}

/// What emits events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The changes of a table.
    Table(TableName),
}
