//! From text to a definition. First the names of everything, then each thing, so that a reference to something that is
//! itself wrong is not a second mistake.

mod build;
mod command;
mod egress;
mod files;
mod function;
mod handler;
mod logging;
mod route;
mod rule;
mod secret;
mod table;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

use crate::problem::{Problem, Problems};
use crate::read::{Block, Checker, Entry, quoted};
use crate::types::{Definition, Project};
use crate::{keys, source::Span};

/// The file that defines a project.
pub const FILE: &str = "aloft.toml";
/// The largest file. A project of 500 functions with everything spelt out has half of it.
pub const MAX_FILE_BYTES: usize = 256 << 10;

/// The names that others refer to.
#[derive(Default)]
struct Names<'t> {
    functions: BTreeSet<&'t str>,
    tables: BTreeSet<&'t str>,
}

impl Definition {
    /// Reads and checks the file of the project in a folder.
    pub fn read(dir: &Path) -> Result<Self, Problems> {
        let path = dir.join(FILE);
        let refuse = |message: String, expected: String| {
            let (file, expected) = (FILE.to_owned(), Some(expected));
            Problems(vec![Problem {
                file,
                line: 1,
                column: 1,
                message,
                expected,
                nearest: None,
            }])
        };
        let mut bytes = vec![];
        File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| {
                refuse(
                    format!("{} cannot be read: {error}", path.display()),
                    "a file that can be read".to_owned(),
                )
            })?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, FILE, Some(dir)),
            // Cutting a file at the bound may cut a character: it is the size that is wrong.
            Err(_) if bytes.len() > MAX_FILE_BYTES => {
                Self::parse(&" ".repeat(MAX_FILE_BYTES + 1), FILE, None)
            }
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let text = String::from_utf8_lossy(valid);
                let mut checker = Checker::new(FILE, &text, None);
                checker.report(&at(text.len()), "the file is not UTF-8 here", "text in UTF-8");
                Err(Problems(checker.finish()))
            }
        }
    }

    /// Checks a file's text. Folders and files that it names are looked up in `dir`, if it is given.
    pub fn parse(text: &str, file: &str, dir: Option<&Path>) -> Result<Self, Problems> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut checker = Checker::new(file, text, dir);
        if text.len() > MAX_FILE_BYTES {
            checker.report(
                &at(0),
                "the file is too large",
                format!("at most {MAX_FILE_BYTES} bytes"),
            );
            return Err(Problems(checker.finish()));
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What was understood of such a file would only be guessed at.
            return Err(Problems(syntax_problems(checker, &errors)));
        }
        let definition = check(&mut checker, document.get_ref());
        let problems = checker.finish();
        match definition {
            Some(definition) if problems.is_empty() => Ok(definition),
            _ => Err(Problems(problems)),
        }
    }
}

/// The parser's errors, the first of each line: what follows on a line is mostly their consequence.
fn syntax_problems(mut checker: Checker<'_>, errors: &[toml::de::Error]) -> Vec<Problem> {
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let (message, expected) = error
            .message()
            .split_once(", expected ")
            .unwrap_or((error.message(), ""));
        checker.report(&span, format!("this is not TOML: {message}"), expected);
    }
    let mut problems = checker.finish();
    problems.dedup_by_key(|problem| problem.line);
    problems
}

fn check(checker: &mut Checker<'_>, document: &DeTable<'_>) -> Option<Definition> {
    let top = Block::new("the file", 0..0, document);
    checker.unknown_names(&top, &keys::TOP);
    let project = project(checker, &top);
    let functions = entries(
        checker,
        &top,
        "functions",
        "a table for each function: [functions.create]",
    );
    let tables = entries(checker, &top, "tables", "a table for each table: [tables.orders]");
    let rules = entries(checker, &top, "rules", "a table for each rule: [rules.receipt]");
    let routes = entries(checker, &top, "routes", "a table of routes: [routes]");
    let names = Names {
        functions: functions.iter().map(|entry| entry.name).collect(),
        tables: tables.iter().map(|entry| entry.name).collect(),
    };
    let mut definition = Definition::empty(project?.name);
    for entry in &functions {
        if let Some((name, function)) = function::check(checker, entry, &names) {
            definition.functions.insert(name, function);
        }
    }
    for entry in &tables {
        if let Some((name, table)) = table::check(checker, entry) {
            definition.tables.insert(name, table);
        }
    }
    for entry in &rules {
        if let Some((name, rule)) = rule::check(checker, entry, &names) {
            definition.rules.insert(name, rule);
        }
    }
    route::check(checker, &routes, &names, &mut definition);
    Some(definition)
}

fn project(checker: &mut Checker<'_>, top: &Block<'_>) -> Option<Project> {
    let expected = "[project] with a name";
    let Some(entry) = top.get("project") else {
        checker.report(&at(0), "\"project\" is missing in the file", expected);
        return Some(Project { name: String::new() });
    };
    let Some(block) = checker.block(&entry, "[project]", expected) else {
        return Some(Project { name: String::new() });
    };
    checker.unknown_keys(&block, keys::PROJECT.keys);
    let [name] = keys::PROJECT.keys else { return None };
    let found = checker.text(&block, name);
    if let Some(found) = &found {
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if found.text.is_empty() || found.text.len() > 64 || !found.text.bytes().all(is_word) {
            checker.report(
                &found.at,
                format!("the project's name {} is not valid", quoted(found.text)),
                name.expected(),
            );
        }
    }
    Some(Project {
        name: found.map_or(String::new(), |found| found.text.to_owned()),
    })
}

/// The entries of a table at the top of the file.
fn entries<'t>(checker: &mut Checker<'_>, top: &Block<'t>, name: &str, expected: &str) -> Vec<Entry<'t>> {
    let Some(entry) = top.get(name) else {
        return vec![];
    };
    checker
        .block(&entry, &format!("[{name}]"), expected)
        .map(|block| block.entries())
        .unwrap_or_default()
}

fn at(byte: usize) -> Span {
    byte..byte
}
