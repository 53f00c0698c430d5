//! Functions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aloft_base::{FunctionName, Size, TableName};

use super::files::{self, Kind};
use super::{Names, build, command, egress, handler, logging, secret};
use crate::keys::{self, Key};
use crate::problem::nearest;
use crate::read::{Block, Checker, Entry, Located, quoted};
use crate::types::{Access, Function, Provided, Queue, Runtime, Variable};

const DEFAULT_REQUIREMENTS: &str = "requirements.txt";

pub(super) fn check(
    checker: &mut Checker<'_>,
    entry: &Entry<'_>,
    names: &Names<'_>,
) -> Option<(FunctionName, Function)> {
    let name: Option<FunctionName> = checker.name(entry, "function");
    let title = format!("[functions.{}]", entry.name);
    let block = checker.block(entry, &title, "a table with runtime, source and handler")?;
    checker.unknown_keys(&block, keys::FUNCTION.keys);
    let [
        runtime,
        source,
        handler,
        command,
        requirements,
        build,
        output,
        _,
        _,
        _,
        _,
        _,
        queue,
        environment,
        logging,
        access,
        secrets,
        places,
    ] = keys::FUNCTION.keys
    else {
        return None;
    };
    let runtime = read_runtime(checker, &block, runtime);
    let source = read_source(checker, &block, source);
    // What lies in a folder that is not there is not missing, too.
    let folder = source
        .as_ref()
        .filter(|(_, is_there)| *is_there)
        .map(|(folder, _)| folder.as_path());
    let build = build::read(checker, &block, (build, output));
    // What a build makes cannot be looked for before.
    let handler = handler::read(checker, &block, handler, folder, (runtime, &build));
    let made = folder.filter(|_| !build.is_own());
    let command = command::read(checker, &block, command, made, runtime);
    let is_python = match runtime {
        Some(runtime) if runtime.has_command() => command.as_deref().map(command::is_python),
        runtime => runtime.map(|runtime| matches!(runtime, Runtime::Python3 { .. })),
    };
    let requirements = read_requirements(checker, &block, requirements, folder, is_python);
    let calls = command::read_calls(checker, &block, runtime);
    let memory = read_memory(checker, &block);
    let timeout = checker.bounded(&block, &keys::TIMEOUT);
    let idle = checker.bounded(&block, &keys::IDLE);
    let concurrency = checker.bounded(&block, &keys::CONCURRENCY);
    let queue = read_queue(checker, &block, queue);
    let environment = read_environment(checker, &block, environment);
    let logging = logging::read(checker, &block, logging);
    let access = read_access(checker, &block, access, names);
    let secrets = secret::read_granted(checker, &block, secrets);
    let egress = egress::read(checker, &block, places);
    let function = Function {
        runtime: runtime?,
        source: source?.0,
        handler: handler?,
        command: command?,
        calls,
        requirements,
        build,
        memory,
        timeout,
        idle,
        concurrency,
        queue,
        environment,
        logging,
        access,
        secrets,
        egress,
    };
    Some((name?, function))
}

fn read_runtime(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Option<Runtime> {
    let found = checker.text(block, key)?;
    let number = |text: &str| {
        let is_short = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 3;
        text.parse().ok().filter(|_| is_short)
    };
    let (python, node) = (
        found.text.strip_prefix("python3"),
        found.text.strip_prefix("nodejs"),
    );
    let runtime = match (found.text, python, node) {
        ("http", ..) => Some(Runtime::Http),
        ("command", ..) => Some(Runtime::Command),
        ("wasm", ..) => Some(Runtime::Wasm),
        ("provided", ..) => Some(Runtime::Provided(Provided::Plain)),
        ("provided.al2", ..) => Some(Runtime::Provided(Provided::Al2)),
        ("provided.al2023", ..) => Some(Runtime::Provided(Provided::Al2023)),
        (_, Some(""), _) => Some(Runtime::Python3 { minor: None }),
        (_, _, Some("")) => Some(Runtime::Node { major: None }),
        (_, Some(rest), _) => rest
            .strip_prefix('.')
            .and_then(number)
            .map(|minor| Runtime::Python3 { minor: Some(minor) }),
        (_, _, Some(rest)) => rest
            .strip_suffix(".x")
            .and_then(number)
            .map(|major| Runtime::Node { major: Some(major) }),
        _ => None,
    };
    if runtime.is_none() {
        let message = format!("there is no runtime {}", quoted(found.text));
        let known = [
            "python3",
            "nodejs",
            "provided",
            "provided.al2",
            "provided.al2023",
            "http",
            "command",
            "wasm",
        ];
        checker.report_near(&found.at, message, key.expected(), nearest(found.text, known));
    }
    runtime
}

/// The folder, and whether it is there (or nobody can tell).
fn read_source(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Option<(PathBuf, bool)> {
    let found = checker.text(block, key)?;
    let folder = files::check(checker, &found, Path::new(""), Kind::Folder)?;
    let is_there = checker.dir.is_none_or(|dir| dir.join(&folder).is_dir());
    Some((folder, is_there))
}

fn read_memory(checker: &mut Checker<'_>, block: &Block<'_>) -> Size {
    let memory = checker.bounded(block, &keys::MEMORY);
    if !memory.bytes().is_multiple_of(Size::from_mib(1).bytes())
        && let Some(entry) = block.get(keys::MEMORY.name)
    {
        checker.report(
            &entry.value.span(),
            format!("\"memory\" is {}", quoted(&memory.to_string())),
            "a whole number of MB",
        );
    }
    memory
}

fn read_requirements(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
    folder: Option<&Path>,
    is_python: Option<bool>,
) -> Option<PathBuf> {
    if !is_python? {
        if let Some(entry) = block.get(key.name) {
            checker.report(
                &entry.value.span(),
                "\"requirements\" is for Python only".to_owned(),
                "what the code requires in its folder, such as node_modules",
            );
        }
        return None;
    }
    if block.get(key.name).is_some() {
        let found = checker.text(block, key)?;
        // Without the folder there is nothing to look in, but the path itself can be wrong.
        let dir = if folder.is_some() {
            checker.dir
        } else {
            checker.dir.take()
        };
        let path = files::check(checker, &found, folder.unwrap_or(Path::new("")), Kind::File);
        checker.dir = dir;
        return path;
    }
    let path = checker.dir?.join(folder?).join(DEFAULT_REQUIREMENTS);
    path.is_file().then(|| PathBuf::from(DEFAULT_REQUIREMENTS))
}

fn read_queue(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Queue {
    let Some(queue) = checker.inner(block, key) else {
        return Queue {
            length: keys::QUEUE_LENGTH.default,
            wait: keys::QUEUE_WAIT.default,
        };
    };
    checker.unknown_keys(&queue, keys::QUEUE.keys);
    let length = checker.bounded(&queue, &keys::QUEUE_LENGTH);
    Queue {
        length,
        wait: checker.bounded(&queue, &keys::QUEUE_WAIT),
    }
}

fn read_environment(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> BTreeMap<String, Variable> {
    let mut environment = BTreeMap::new();
    let mut bytes = 0;
    let Some(variables) = checker.inner(block, key) else {
        return environment;
    };
    for entry in variables.entries() {
        let is_word = entry.name.len() >= 2
            && entry.name.starts_with(|c: char| c.is_ascii_alphabetic())
            && entry.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if keys::RESERVED.contains(&entry.name) {
            let message = format!("the variable {} is set by the platform", quoted(entry.name));
            checker.report(&entry.at, message, "another name");
        } else if !is_word {
            let expected = "a letter, then letters, digits and _, two characters or more";
            checker.report(
                &entry.at,
                format!("the variable's name {} is not valid", quoted(entry.name)),
                expected,
            );
        }
        if let Some(reference) = secret::read_reference(checker, &entry) {
            bytes += entry.name.len();
            environment.extend(reference.map(|it| (entry.name.to_owned(), Variable::Secret(it))));
            continue;
        }
        let Some(value) = checker.text_of(&entry, "text, in quotes") else {
            continue;
        };
        if value.text.contains('\0') {
            checker.report(
                &value.at,
                format!("{} has a zero byte", quoted(entry.name)),
                "text without a zero byte",
            );
        }
        bytes += entry.name.len() + value.text.len();
        environment.insert(entry.name.to_owned(), Variable::Text(value.text.to_owned()));
    }
    if bytes > keys::MAX_ENVIRONMENT_BYTES {
        let message = format!("the environment has {bytes} bytes, which is too large");
        checker.report(
            &variables.at,
            message,
            format!("at most {} bytes, names and values", keys::MAX_ENVIRONMENT_BYTES),
        );
    }
    environment
}

fn read_access(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
    names: &Names<'_>,
) -> BTreeMap<TableName, Access> {
    let mut access = BTreeMap::new();
    let Some(tables) = checker.inner(block, key) else {
        return access;
    };
    for entry in tables.entries() {
        let name = Located {
            text: entry.name,
            at: entry.at.clone(),
        };
        let is_known = super::table::is_known(checker, &name, names);
        let expected = "\"read\", or \"write\" for reading and writing";
        let Some(value) = checker.text_of(&entry, expected) else {
            continue;
        };
        let granted = match value.text {
            "read" => Access::Read,
            "write" => Access::Write,
            other => {
                let message = format!("there is no access {}", quoted(other));
                checker.report_near(&value.at, message, expected, nearest(other, ["read", "write"]));
                continue;
            }
        };
        if is_known && let Ok(name) = entry.name.parse() {
            access.insert(name, granted);
        }
    }
    access
}

/// Whether the file defines a function of that name; notes it if not.
pub(super) fn is_known(checker: &mut Checker<'_>, found: &Located<'_>, names: &Names<'_>) -> bool {
    let is_known = names.functions.contains(found.text);
    if !is_known {
        let message = format!("there is no function {}", quoted(found.text));
        let near = nearest(found.text, names.functions.iter().copied());
        checker.report_near(&found.at, message, "a function that this file defines", near);
    }
    is_known
}
