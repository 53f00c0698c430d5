//! The checker against files: right ones, wrong ones with the place of each mistake, and nonsense.

mod disk;
mod docs;
mod mistakes;

use std::path::PathBuf;
use std::time::Duration;

use aloft_base::{Level, Logging, Size, SystemLevel};
use proptest::prelude::*;
use serde_json::json;

use crate::*;

/// A file with every key.
const FULL: &str = r#"
[project]
name = "orders"

[functions.create]
runtime = "python3"            # the newest on the host
source = "functions"
handler = "create.handler"
requirements = "more/requirements.txt"
memory = "256MB"
timeout = "1500ms"
idle = "10m"
concurrency = 7
queue = { length = 0, wait = "1s" }
environment = { CURRENCY = "EUR", DB = { secret = "app/db", key = "url" } }
logging = { format = "json", level = "debug", system_level = "warn" }
access = { orders = "write" }
secrets = ["app/db", "pay"]
egress = ["api.example.com:443", "*.example.org:8443"]

[functions.receipt]
runtime = "python3.11"
source = "./functions/receipts/"
handler = "issue/receipt.handle"

[routes]
"POST /orders" = "create"
"ANY /orders/{id}/{rest+}" = "receipt"
"/" = { static = "web" }
"/assets/v1" = { static = "assets" }

[tables.orders]
hash = "id:S"
range = "at:N"

[rules.receipt]
on = "table:orders"
when = { type = ["aloft.table.insert"], data.new.total = [{ numeric = [">=", 10.5] }] }
run = "receipt"
retries = 0
maximum_age = "1d"
order = "none"
"#;

fn parse(text: &str) -> Definition {
    Definition::parse(text, "aloft.toml", None).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

#[test]
fn every_key_arrives_in_the_types() {
    let definition = parse(FULL);
    assert_eq!(definition.project.name, "orders");
    let create = &definition.functions[&"create".parse().unwrap()];
    assert_eq!(create.runtime, Runtime::Python3 { minor: None });
    assert_eq!(create.source, PathBuf::from("functions"));
    assert_eq!(create.handler, "create.handler");
    assert_eq!(create.requirements, Some("more/requirements.txt".into()));
    assert_eq!(create.memory, Size::from_mib(256));
    assert_eq!(create.timeout, Duration::from_millis(1_500));
    assert_eq!(create.idle, Duration::from_secs(600));
    assert_eq!(create.concurrency, 7);
    assert_eq!(
        create.logging,
        Logging::Json {
            application: Level::Debug,
            system: SystemLevel::Warn
        }
    );
    assert_eq!(
        create.queue,
        Queue {
            length: 0,
            wait: Duration::from_secs(1)
        }
    );
    assert_eq!(
        create.environment,
        [
            ("CURRENCY".to_owned(), Variable::Text("EUR".to_owned())),
            (
                "DB".to_owned(),
                Variable::Secret(SecretReference {
                    name: "app/db".to_owned(),
                    key: Some("url".to_owned()),
                    stage: None,
                })
            ),
        ]
        .into()
    );
    assert_eq!(create.access, [("orders".parse().unwrap(), Access::Write)].into());
    assert_eq!(create.secrets, ["app/db".to_owned(), "pay".to_owned()].into());
    assert_eq!(
        create.egress.to_string(),
        "[\"api.example.com:443\", \"*.example.org:8443\"]"
    );
    let receipt = &definition.functions[&"receipt".parse().unwrap()];
    assert_eq!(receipt.runtime.to_string(), "python3.11");
    assert_eq!(receipt.source, PathBuf::from("functions/receipts"));
    assert_eq!(receipt.handler, "issue.receipt.handle");
    let routes: Vec<String> = definition
        .routes
        .iter()
        .map(|route| route.pattern.to_string())
        .collect();
    assert_eq!(routes, ["POST /orders", "ANY /orders/{id}/{rest+}"]);
    assert_eq!(definition.routes[0].function.as_str(), "create");
    let files: Vec<_> = definition
        .files
        .iter()
        .map(|files| (files.prefix.join("/"), files.folder.clone()))
        .collect();
    assert_eq!(
        files,
        [
            (String::new(), "web".into()),
            ("assets/v1".to_owned(), "assets".into())
        ]
    );
    let table = &definition.tables[&"orders".parse().unwrap()];
    assert_eq!(
        table.hash,
        KeySchema {
            name: "id".into(),
            kind: KeyKind::Text
        }
    );
    assert_eq!(
        table.range,
        Some(KeySchema {
            name: "at".into(),
            kind: KeyKind::Number
        })
    );
    let rule = &definition.rules[&"receipt".parse().unwrap()];
    assert_eq!(rule.on, Source::Table("orders".parse().unwrap()));
    assert_eq!(rule.run.as_str(), "receipt");
    assert_eq!((rule.retries, rule.maximum_age), (0, Duration::from_secs(86_400)));
    assert_eq!(rule.order, Order::None);
    assert_eq!(
        rule.when,
        json!({"type": ["aloft.table.insert"], "data": {"new": {"total": [{"numeric": [">=", 10.5]}]}}})
    );
    assert!(
        rule.pattern
            .matches_value(&json!({"type": "aloft.table.insert", "data": {"new": {"total": 11}}}))
    );
    assert!(
        !rule
            .pattern
            .matches_value(&json!({"type": "aloft.table.insert", "data": {"new": {"total": 10}}}))
    );
}

#[test]
fn what_is_not_written_has_its_default() {
    let definition = parse(
        "[project]\nname = \"p\"\n[functions.f]\nruntime = \"python3\"\nsource = \".\"\nhandler = \"f.g\"\n\
         [tables.ttt]\nhash = \"a:b:B\"\n[rules.r]\non = \"table:ttt\"\nrun = \"f\"\n",
    );
    let function = &definition.functions[&"f".parse().unwrap()];
    assert_eq!(function.source, PathBuf::from("."));
    assert_eq!(function.requirements, None);
    assert_eq!(function.memory, Size::from_mib(128));
    assert_eq!(function.timeout, Duration::from_secs(3));
    assert_eq!(function.idle, Duration::from_secs(300));
    assert_eq!(function.concurrency, 100);
    assert_eq!(
        function.queue,
        Queue {
            length: 1_000,
            wait: Duration::from_secs(10)
        }
    );
    assert!(function.environment.is_empty() && function.access.is_empty());
    assert_eq!(function.egress, aloft_base::Egress::None);
    let table = &definition.tables[&"ttt".parse().unwrap()];
    assert_eq!(
        table.hash,
        KeySchema {
            name: "a:b".into(),
            kind: KeyKind::Bytes
        }
    );
    let rule = &definition.rules[&"r".parse().unwrap()];
    assert_eq!((rule.retries, rule.maximum_age), (5, Duration::from_secs(21_600)));
    assert_eq!((rule.concurrency, rule.order), (16, Order::Key));
    assert!(rule.pattern.matches_value(&json!({"type": "anything"})));
    assert_eq!(parse("[project]\nname = \"p\"\n"), Definition::empty("p"));
}

#[test]
fn other_spellings_of_toml_are_the_same() {
    let dotted = "project.name = \"p\"\ntables.orders.hash = \"id:S\"\nfunctions.f = { runtime = \"python3\", source = \"s\", \
                  handler = 'f.g', queue.length = 0x10, queue.wait = \"1s\" }\r\nrules.r.on = \"table:orders\"\n\
                  rules.r.run = \"f\"\nrules.r.when.type = [\n  'aloft.table.insert', # and no other\n]\n";
    let header = "\u{feff}[project]\nname = \"p\"\n[tables.orders]\nhash = \"id:S\"\n[functions.f]\nruntime = \"python3\"\n\
                  source = \"s\"\nhandler = \"f.g\"\n[functions.f.queue]\nlength = 16\nwait = \"1s\"\n[rules.r]\n\
                  on = \"table:orders\"\nrun = \"f\"\n[rules.r.when]\ntype = [\"aloft.table.insert\"]\n";
    assert_eq!(parse(dotted), parse(header));
}

#[test]
fn routes_print_as_written_and_know_their_shape() {
    for text in [
        "GET /",
        "POST /orders",
        "ANY /a/{id}/b/{rest+}",
        "PUT /é/a.b-c_d~e",
        "HEAD /x",
        "OPTIONS /x",
        "PATCH /x",
        "DELETE /x",
    ] {
        assert_eq!(text.parse::<RoutePattern>().unwrap().to_string(), text);
    }
    let shape = |text: &str| text.parse::<RoutePattern>().unwrap().shape();
    assert_eq!(shape("GET /a/{x}"), shape("GET /a/{y}"));
    assert_ne!(shape("GET /a/{x}"), shape("GET /a/{x+}"));
    assert_ne!(shape("GET /a"), shape("ANY /a"));
}

/// A file with something put somewhere, taken out or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let snippets = [
        "\"",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\n",
        ".",
        "-1",
        "1e999",
        "nan",
        "é",
        "\u{0}",
        "#",
        "'''",
        "2026-01-01",
        "x",
    ];
    let edit = (
        any::<prop::sample::Index>(),
        0usize..40,
        prop::sample::select(snippets.to_vec()),
        any::<bool>(),
    );
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, count, snippet, is_copied) in edits {
            let at = at.index(text.len());
            let end = (at + count).min(text.len());
            let cut: Vec<char> = text[at..end].to_vec();
            let new = snippet.chars().chain(if is_copied {
                [cut.clone(), cut].concat()
            } else {
                vec![]
            });
            let new: Vec<char> = new.collect();
            text.splice(at..end, new);
        }
        text.into_iter().collect()
    })
}

fn check_places(text: &str) {
    let Err(problems) = Definition::parse(text, "aloft.toml", None) else {
        return;
    };
    assert!(!problems.0.is_empty() && problems.0.len() <= 100);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &problems.0 {
        assert!((1..=lines.len()).contains(&problem.line), "{problem}\n{text}");
        let length = lines[problem.line - 1].chars().count();
        assert!((1..=length + 1).contains(&problem.column), "{problem}\n{text}");
    }
    assert!(
        problems
            .0
            .is_sorted_by_key(|problem| (problem.line, problem.column))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_mutation_panics_or_points_outside(text in mutated()) {
        check_places(&text);
    }

    #[test]
    fn no_text_panics_or_points_outside(text in "\\PC{0,80}|([a-z]{1,3}[\\[\\]{}=.\"'\n #0-9-]{0,4}){0,20}") {
        check_places(&text);
    }

    #[test]
    fn no_route_panics_and_a_valid_one_prints_as_written(text in "(GET|ANY|POST|get)? ?(/|/[a-z{}+.]{0,6}){0,5}|\\PC{0,30}") {
        if let Ok(route) = text.parse::<RoutePattern>() {
            prop_assert_eq!(route.to_string(), text);
        }
    }
}
