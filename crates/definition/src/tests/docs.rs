//! The reference page says what the checker does, and the checker reads what is declared.

use std::fs;
use std::path::PathBuf;

use crate::keys::{Absent, Form, Key, SECTIONS, Section};
use crate::*;

const BEGIN: &str = "<!-- keys: written by the tests of aloft-definition; run them with ALOFT_WRITE_DOCS=1 after a change -->\n";
const END: &str = "<!-- end of keys -->";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/aloft-toml.md")
}

#[test]
fn the_reference_page_is_up_to_date() {
    let text = fs::read_to_string(page()).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the first mark");
    let (tables, after) = rest.split_once(END).expect("the page has the second mark");
    if tables != reference() && std::env::var_os("ALOFT_WRITE_DOCS").is_some() {
        fs::write(page(), format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
        return;
    }
    assert_eq!(
        tables,
        reference(),
        "docs/aloft-toml.md is old: run the tests of aloft-definition with ALOFT_WRITE_DOCS=1"
    );
}

#[test]
fn every_file_on_the_reference_page_is_right() {
    let text = fs::read_to_string(page()).unwrap();
    let files: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the block ends").0)
        .collect();
    assert!(!files.is_empty());
    for file in files {
        if let Err(problems) = Definition::parse(file, "aloft.toml", None) {
            panic!("{file}\n{problems}");
        }
    }
}

#[test]
fn every_pattern_on_the_reference_page_is_right() {
    let text = fs::read_to_string(page()).unwrap();
    let (_, table) = text
        .split_once("\n| value | matches |")
        .expect("the page has the table of matchers");
    let values = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(value, _)| value));
    let values: Vec<&str> = values.collect();
    assert!(values.len() >= aloft_event::MATCHERS.len());
    for value in &values {
        let file = format!(
            "[project]\nname = \"p\"\n[tables.orders]\nhash = \"id:S\"\n[functions.f]\nruntime = \"python3\"\nsource = \"s\"\n\
             handler = \"f.g\"\n[rules.r]\non = \"table:orders\"\nrun = \"f\"\nwhen.data.new.x = [{value}]\n"
        );
        if let Err(problems) = Definition::parse(&file, "aloft.toml", None) {
            panic!("{value}\n{problems}");
        }
    }
    for matcher in aloft_event::MATCHERS {
        assert!(
            values.iter().any(|value| value.contains(matcher)),
            "{matcher} is not on the page"
        );
    }
}

/// A file in which the section has the given entry instead of its own of that name.
fn file_with(section: &Section, name: &str, value: &str) -> String {
    let body = |own: &Section, fixed: &str| {
        let mut lines = String::new();
        for key in own.keys {
            match std::ptr::eq(own, section) && key.name == name {
                true => lines.push_str(&format!("{name} = {value}\n")),
                false if matches!(key.absent, Absent::Refused) => {
                    lines.push_str(&format!("{} = {}\n", key.name, key.example))
                }
                false => {}
            }
        }
        if std::ptr::eq(own, SECTIONS[1]) {
            // Which of the two a function has depends on its runtime.
            let is_server = std::ptr::eq(own, section) && ["command", "calls"].contains(&name);
            let (wanted, example) = if is_server {
                lines = lines.replace("runtime = \"python3\"", "runtime = \"http\"");
                ("command", "[\"node\", \"server.js\"]")
            } else {
                ("handler", "\"create.handler\"")
            };
            if std::ptr::eq(own, section) && name == "output" {
                lines.push_str("build = \"npm run build\"\n");
            }
            if !(std::ptr::eq(own, section) && name == wanted) {
                lines.push_str(&format!("{wanted} = {example}\n"));
            }
        }
        format!("[{fixed}]\n{lines}\n")
    };
    [
        body(SECTIONS[0], "project"),
        body(SECTIONS[1], "functions.receipt"),
        if section.title == SECTIONS[2].title {
            body(SECTIONS[2], "functions.receipt.queue")
        } else {
            String::new()
        },
        match (section.title == SECTIONS[3].title, name) {
            (false, _) => String::new(),
            (true, "format") => body(SECTIONS[3], "functions.receipt.logging"),
            // Levels are for this format only.
            (true, _) => {
                body(SECTIONS[3], "functions.receipt.logging").replace("\n\n", "\nformat = \"json\"\n\n")
            }
        },
        body(SECTIONS[5], "routes.\"/\""),
        body(SECTIONS[6], "tables.orders"),
        body(SECTIONS[7], "rules.receipt"),
        match section.title == SECTIONS[8].title {
            true => body(SECTIONS[8], "functions.receipt.environment.PASSWORD"),
            false => String::new(),
        },
    ]
    .concat()
}

fn each_key(mut visit: impl FnMut(&Section, &Key)) {
    SECTIONS
        .iter()
        .for_each(|section| section.keys.iter().for_each(|key| visit(section, key)));
}

#[test]
fn every_example_is_right() {
    each_key(|section, key| {
        let file = file_with(section, key.name, key.example);
        assert!(file.contains(&format!("{} = {}", key.name, key.example)));
        if let Err(problems) = Definition::parse(&file, "aloft.toml", None) {
            panic!("{file}\n{problems}");
        }
    });
}

#[test]
fn every_declared_key_is_read() {
    each_key(|section, key| {
        // No key takes a time, so whoever reads the key refuses it, and says what is declared.
        let file = file_with(section, key.name, "07:32:00");
        let problems = Definition::parse(&file, "aloft.toml", None).expect_err(&file).0;
        let line = file
            .lines()
            .position(|line| line.ends_with("= 07:32:00"))
            .unwrap()
            + 1;
        assert_eq!(problems.len(), 1, "{file}\n{problems:#?}");
        assert_eq!(
            (problems[0].line, problems[0].column),
            (line, key.name.len() + 4),
            "{file}"
        );
        assert_eq!(problems[0].expected.as_deref(), Some(key.expected().as_str()));
    });
}

#[test]
fn bounds_hold_as_declared() {
    use crate::keys::Bounded;
    use crate::read::Unit;
    fn check<U: Unit>(section: &Section, key: &Key, bounds: &Bounded<U>) {
        assert_eq!(key.name, bounds.name);
        assert!(
            bounds.least <= bounds.default && bounds.default <= bounds.most,
            "{}",
            key.name
        );
        for value in [bounds.least, bounds.default, bounds.most] {
            let file = file_with(section, key.name, &value.show());
            assert!(Definition::parse(&file, "aloft.toml", None).is_ok(), "{file}");
        }
    }
    each_key(|section, key| match &key.form {
        Form::Size(bounds) => check(section, key, bounds),
        Form::Duration(bounds) => check(section, key, bounds),
        Form::Count(bounds) => check(section, key, bounds),
        Form::Text(_) | Form::Table(_) => {}
    });
}
