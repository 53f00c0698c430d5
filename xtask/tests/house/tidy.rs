//! The form of every file: a head that says what and why, a size that can be read, nothing left for later.

use std::path::{Path, PathBuf};

use super::facts::{files, read};

/// A file longer than this, tests not counted, holds two things.
const MOST_LINES: usize = 600;

/// Marks of unfinished work. Spelt in two halves, so that this file may stand.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Beginnings of paths that exist on one machine only. `/usr/bin` and the like are the system's and fine; root's home
/// may be spoken of, but no code may lean on it.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), ROOTS_HOME];
const ROOTS_HOME: &str = concat!("/ro", "ot/");

/// What is wrong with a Rust file.
fn complaints(file: &Path, text: &str) -> Vec<String> {
    let name = file.display();
    let mut wrong = Vec::new();
    if !text.starts_with("//! ") {
        wrong.push(format!(
            "{name}: opens without a `//!` head that says what it is and why so"
        ));
    }
    let lines = code_lines(file, text);
    if lines > MOST_LINES {
        wrong.push(format!(
            "{name}: {lines} lines without tests, at most {MOST_LINES}: split it"
        ));
    }
    if text.contains(concat!("#[ig", "nore")) {
        wrong.push(format!("{name}: an ignored test proves nothing"));
    }
    wrong.extend(words(file, text));
    wrong
}

/// Lines before the tests' module; a file that is only tests has none.
fn code_lines(file: &Path, text: &str) -> usize {
    let tests = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
    if tests {
        return 0;
    }
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

/// Marks and paths that no file may hold, in whatever language.
fn words(file: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let marks = UNFINISHED.iter().filter(|mark| whole_word(line, mark));
        wrong.extend(marks.map(|mark| format!("{}:{}: {mark}", file.display(), number + 1)));
        let spoken = line.trim_start().starts_with("//");
        let paths = MACHINE
            .iter()
            .filter(|path| starts_a_path(line, path) && !(spoken && **path == ROOTS_HOME));
        wrong.extend(
            paths.map(|path| format!("{}:{}: a machine's own path, {path}…", file.display(), number + 1)),
        );
    }
    wrong
}

/// Whether `mark` stands there between characters that belong to no word.
fn whole_word(line: &str, mark: &str) -> bool {
    let part = |found: Option<char>| found.is_some_and(|found| found.is_alphanumeric() || found == '_');
    line.match_indices(mark)
        .any(|(at, _)| !part(line[..at].chars().next_back()) && !part(line[at + mark.len()..].chars().next()))
}

/// Whether an absolute path begins so, and not a part of a relative one or of a URL.
fn starts_a_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before
            .is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '.' | '}' | '>' | '~'))
    })
}

#[test]
fn every_rust_file_is_tidy() {
    let wrong: Vec<String> = files("rs")
        .iter()
        .flat_map(|file| complaints(file, &read(file)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_else_is_left_for_later() {
    let kinds = ["py", "toml", "md", "js", "html", "css", "sh"];
    let present = kinds
        .iter()
        .filter(|kind| **kind != "sh" && **kind != "css" && **kind != "md");
    let wrong: Vec<String> = present
        .flat_map(|kind| files(kind))
        .flat_map(|file| words(&file, &read(&file)))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A module nobody includes compiles to nothing, and its tests never run: every file of a crate's sources is named by
/// a `mod` in the file above it.
#[test]
fn every_rust_file_is_part_of_its_crate() {
    let mut orphans = Vec::new();
    for file in files("rs") {
        let text_of_parents: String = parents(&file)
            .iter()
            .filter_map(|parent| include(parent))
            .collect();
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let module = if stem == "mod" {
            folder_name(&file)
        } else {
            stem.clone()
        };
        let root = matches!(stem.as_str(), "lib" | "main" | "build") || is_target(&file);
        let named = text_of_parents.contains(&format!("mod {module};"))
            || text_of_parents.contains(&format!("{stem}.rs\""));
        if !root && !named {
            orphans.push(file.display().to_string());
        }
    }
    assert!(
        orphans.is_empty(),
        "no `mod` names these files:\n{}",
        orphans.join("\n")
    );
}

fn include(file: &Path) -> Option<String> {
    std::fs::read_to_string(super::facts::root().join(file)).ok()
}

fn folder_name(file: &Path) -> String {
    file.parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Cargo finds these by itself: the files directly in `tests`, `benches`, `examples` or `src/bin` of a package.
fn is_target(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = folder_name(file);
    let package = folder.parent().unwrap_or(Path::new(""));
    let beside_sources = super::facts::root().join(package).join("Cargo.toml").exists();
    (matches!(name.as_str(), "tests" | "benches" | "examples") && beside_sources) || name == "bin"
}

/// Where a `mod` for this file could stand: `a/b/c.rs` is named in `a/b.rs`, `a/b/mod.rs`, `a/b/lib.rs`,
/// `a/b/main.rs` or, by `#[path]`, in a target above.
fn parents(file: &Path) -> Vec<PathBuf> {
    let own = file.parent().unwrap_or(Path::new(""));
    let folder = if file.ends_with("mod.rs") {
        own.parent().unwrap_or(Path::new(""))
    } else {
        own
    };
    let mut found: Vec<PathBuf> = ["mod.rs", "lib.rs", "main.rs"]
        .iter()
        .map(|name| folder.join(name))
        .collect();
    found.push(folder.with_extension("rs"));
    found
}

#[test]
fn the_rules_can_fail() {
    let check = |text: &str| complaints(Path::new("crates/a/src/b.rs"), text).len();
    assert_eq!(check("//! A file.\n\nfn main() {}\n"), 0);
    assert_eq!(check("fn main() {}\n"), 1);
    assert_eq!(check(&format!("//! A file.\n{}", "// line\n".repeat(600))), 1);
    assert_eq!(
        check(&format!("//! A file.\n#[cfg(test)]\n{}", "// line\n".repeat(600))),
        0
    );
    assert_eq!(check(concat!("//! A file.\n#[ig", "nore]\nfn a() {}\n")), 1);
    assert_eq!(check(concat!("//! A file. TO", "DO: more\n")), 1);
    assert_eq!(check(concat!("//! A file. TO", "DOS is a word\n")), 0);
    assert_eq!(check(concat!("//! See /ro", "ot/.cargo.\n")), 0);
    assert_eq!(
        check(concat!(
            "//! A file.\nconst CARGO: &str = \"/ro",
            "ot/.cargo\";\n"
        )),
        1
    );
    assert_eq!(check(concat!("//! See /wo", "rk/main.\n")), 1);
    assert_eq!(
        check(concat!(
            "//! See examples/ho",
            "me/x and http://localhost/ho",
            "me/x.\n"
        )),
        0
    );
}
