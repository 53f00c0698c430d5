//! The command of a function that is a server or runs once for each call, and how many calls one instance of a server takes.

use std::path::Path;

use toml::de::DeValue;

use super::files::{self, Kind};
use crate::keys::{self, Key};
use crate::read::{Block, Checker, Located, describe};
use crate::types::Runtime;

/// Words of a command, and bytes of all of them.
const WORDS: usize = 64;
const BYTES: usize = 4 << 10;

/// Reads the command, which only some runtimes have, and looks for its program if that lies in the source's folder.
pub(super) fn read(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
    folder: Option<&Path>,
    runtime: Option<Runtime>,
) -> Option<Vec<String>> {
    let is_wanted = runtime?.has_command();
    let Some(entry) = block.get(key.name) else {
        if is_wanted {
            checker.missing(block, key);
            return None;
        }
        return Some(Vec::new());
    };
    if !is_wanted {
        let message = "\"command\" is for the runtimes \"http\" and \"command\" only";
        checker.report(&entry.at, message, "a handler");
        return None;
    }
    let DeValue::Array(words) = entry.value.get_ref() else {
        let message = format!("\"command\" is {}", describe(entry.value.get_ref()));
        checker.report(&entry.value.span(), message, key.expected());
        return None;
    };
    let mut command = Vec::new();
    for word in words.iter() {
        match word.get_ref() {
            DeValue::String(text) if !text.contains('\0') => command.push(text.to_string()),
            other => {
                let message = format!("a word of \"command\" is {}", describe(other));
                checker.report(&word.span(), message, "text without a zero byte");
                return None;
            }
        }
    }
    let bytes: usize = command.iter().map(String::len).sum();
    let is_right = command.first().is_some_and(|program| !program.is_empty());
    if !is_right || command.len() > WORDS || bytes > BYTES {
        let expected =
            format!("a program and its arguments: 1 to {WORDS} texts, at most {BYTES} bytes together");
        checker.report(&entry.value.span(), "\"command\" is not valid", expected);
        return None;
    }
    if let (Some(folder), Some(program), Some(first)) = (folder, command.first(), words.first())
        && program.contains('/')
        && !program.starts_with('/')
    {
        let found = Located {
            text: program.trim_start_matches("./"),
            at: first.span(),
        };
        files::check(checker, &found, folder, Kind::File)?;
    }
    Some(command)
}

/// How many calls one instance takes at once.
pub(super) fn read_calls(checker: &mut Checker<'_>, block: &Block<'_>, runtime: Option<Runtime>) -> u32 {
    if runtime == Some(Runtime::Http) {
        return checker.bounded(block, &keys::CALLS);
    }
    if let (Some(entry), Some(_)) = (block.get(keys::CALLS.name), runtime) {
        let message = "\"calls\" is for the runtime \"http\" only: the others take one call at a time";
        checker.report(&entry.at, message, "\"concurrency\", for more instances");
    }
    1
}

/// Whether a command is run by Python.
pub(super) fn is_python(command: &[String]) -> bool {
    let name = command.first().map(String::as_str).unwrap_or_default();
    name == "python" || name.starts_with("python3")
}
