//! Pages that tell the truth: the map names every crate on its floor, links lead somewhere, commands exist.

use std::path::{Path, PathBuf};

use super::facts::{files, read, root};
use super::floors::FLOORS;

/// What a user reads: the pages at the root and those in `docs/`.
fn pages() -> Vec<PathBuf> {
    let pages: Vec<PathBuf> = files("md")
        .into_iter()
        .filter(|file| file.components().count() == 1 || file.starts_with("docs"))
        .collect();
    assert!(
        pages.contains(&PathBuf::from("README.md")),
        "there is no README.md"
    );
    pages
}

/// The map in ARCHITECTURE.md is a block of lines; one that opens with a digit starts a floor, and the first word of
/// each cell of such a line, and of the indented ones under it, is a crate. Cells are parted by two or more spaces.
fn map(text: &str) -> Vec<(String, u8)> {
    let mut floor = None;
    let mut found = Vec::new();
    let map = text
        .split("```text")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap_or_default();
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let digit = line.chars().next().and_then(|first| first.to_digit(10));
        floor = digit.and_then(|digit| u8::try_from(digit).ok()).or(floor);
        let rest = if digit.is_some() { &line[1..] } else { line };
        let name = rest.split_whitespace().next().unwrap_or_default();
        if let Some(floor) = floor {
            found.push((name.to_owned(), floor));
        }
    }
    found
}

#[test]
fn the_map_names_every_crate_on_its_floor() {
    let mut drawn = map(&read(Path::new("ARCHITECTURE.md")));
    let mut built: Vec<(String, u8)> = FLOORS
        .iter()
        .map(|(name, floor)| (name.strip_prefix("aloft-").unwrap_or(name).to_owned(), *floor))
        .collect();
    drawn.sort();
    built.sort();
    let missing: Vec<_> = built.iter().filter(|room| !drawn.contains(room)).collect();
    let gone: Vec<_> = drawn.iter().filter(|room| !built.contains(room)).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "ARCHITECTURE.md's map (its first ```text block, one crate a line, floors opened by a digit) lacks \
         {missing:?} and names what is not there: {gone:?}"
    );
}

/// The targets of a page's links, `[text](target)`, pictures too; code is not looked into.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let mut rest = if fenced { "" } else { line };
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else {
                break;
            };
            found.push(target.split(' ').next().unwrap_or_default().to_owned());
            rest = tail;
        }
    }
    found
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&read(&page)) {
            let outside = link.contains("://") || link.starts_with("mailto:") || link.starts_with('#');
            let file = link.split('#').next().unwrap_or_default();
            let target = root().join(&page).parent().unwrap().join(file);
            if !outside && !target.exists() {
                broken.push(format!("{} → {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The `aloft …` commands that a page shows, with the first word after it.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in code(text) {
        let piece = piece.trim().trim_start_matches("$ ");
        let called = [
            "aloft ",
            "./target/release/aloft ",
            "target/release/aloft ",
            "cargo run --release -- ",
            "cargo run -- ",
        ];
        if let Some(rest) = called.iter().find_map(|call| piece.strip_prefix(call)) {
            let word = rest.split_whitespace().next().unwrap_or_default();
            if word.chars().all(|letter| letter.is_ascii_lowercase()) && !word.is_empty() {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// Lines of fenced blocks, and what stands between single backquotes.
fn code(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push(line);
        } else {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Which commands there are, from the source of truth that users see: `aloft help`, next to this very test program.
fn known_commands() -> Vec<String> {
    let aloft = std::env::var_os("ALOFT_TEST_BIN")
        .unwrap_or_else(|| panic!("ALOFT_TEST_BIN is not set: run the tests with `cargo xtask test`"));
    let help = std::process::Command::new(aloft).arg("help").output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    let list = text
        .split("Commands:")
        .nth(1)
        .unwrap_or_else(|| panic!("`aloft help` lists no commands:\n{text}"));
    let indented = list
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with(' ') || line.is_empty());
    let depth = |line: &str| line.len() - line.trim_start().len();
    let words = indented
        .filter(|line| depth(line) == 2)
        .filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_docs_exists() {
    let known = known_commands();
    let mut unknown = Vec::new();
    for page in pages() {
        let shown = commands(&read(&page))
            .into_iter()
            .filter(|command| !known.contains(command));
        unknown.extend(shown.map(|command| format!("{}: aloft {command}", page.display())));
    }
    assert!(
        unknown.is_empty(),
        "`aloft help` knows {known:?}, not:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn the_rules_can_fail() {
    let text = "Intro\n```text\n7  aloft  the binary\n   cli  commands\n0  base  ids\n```\n";
    let expected = [
        ("aloft".to_owned(), 7),
        ("cli".to_owned(), 7),
        ("base".to_owned(), 0),
    ];
    assert_eq!(map(text), expected);
    assert_eq!(
        links("See [a](docs/a.md#b) and ![c](c.png \"d\").\n```\n[e](f)\n```\n"),
        ["docs/a.md#b", "c.png"]
    );
    let page =
        "Run `aloft dev .`, not `cargo build`.\n```sh\n$ cargo run --release -- check\naloft --help\n```\n";
    assert_eq!(commands(page), ["dev", "check"]);
}
