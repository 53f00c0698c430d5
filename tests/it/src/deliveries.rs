//! What a user does about events that could not be delivered: sees them, mends the function, delivers them anew or forgets them.

use serde_json::{Value, json};

use crate::harness::{Finished, Platform, Project, aloft, call, get, wait_for};

const DEFINITION: &str = r#"
[project]
name = "deliveries"
[functions.note]
runtime = "python3"
source = "functions"
handler = "note.handler"
[tables.notes]
hash = "id:S"
[rules.note]
on = "table:notes"
run = "note"
retries = 1
"#;
const FAILS: &str = "def handler(event, context):\n    raise ValueError('not today')\n";
const BROKEN: &str = "import nowhere_to_be_found\n";
const WORKS: &str = "def handler(event, context):\n    for record in event['Records']:\n        print('noted', record['dynamodb']['Keys']['id']['S'])\n";

/// On loopback any key is good, but there must be one.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, \
     SignedHeaders=host, Signature=00";

fn put(platform: &Platform, id: &str) {
    let headers = [
        ("X-Amz-Target", "DynamoDB_20120810.PutItem"),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("Authorization", AUTHORIZATION),
    ];
    let body = json!({"TableName": "notes", "Item": {"id": {"S": id}}}).to_string();
    call("POST", &platform.api, &headers, body.as_bytes()).is(200);
}

/// `aloft deliveries …` on the project's node.
fn deliveries(project: &Project, arguments: &[&str], code: i32) -> Finished {
    let data = project.data();
    let arguments = [
        &["deliveries"],
        arguments,
        &["--json", "--data", data.to_str().unwrap()],
    ]
    .concat();
    let finished = aloft(&project.folder(), &arguments);
    assert_eq!(finished.code, Some(code), "{finished}");
    finished
}

fn letters(project: &Project) -> Vec<Value> {
    let list = deliveries(project, &["ls"], 0).json();
    list["items"].as_array().unwrap().clone()
}

/// Waits until the function has taken these, by what it prints.
fn taken(project: &Project, ids: &[&str]) {
    let data = project.data();
    let arguments = ["logs", "note", "--json", "--data", data.to_str().unwrap()];
    wait_for("the events", || {
        let logs = aloft(&project.folder(), &arguments).stdout;
        ids.iter()
            .all(|id| logs.contains(&format!("noted {id}")))
            .then_some(())
    });
}

#[test]
fn what_could_not_be_delivered_is_shown_retried_and_dropped() {
    let project = Project::new(&[("aloft.toml", DEFINITION), ("functions/note.py", FAILS)]);
    let platform = project.start();
    for id in ["a", "b", "c"] {
        put(&platform, id);
    }
    let items = wait_for("the dead letters", || {
        let items = letters(&project);
        (items.len() == 3).then_some(items)
    });
    let id = items[0]["id"].as_str().unwrap();
    let shown = deliveries(&project, &["show", id], 0).json();
    assert_eq!(shown["reason"], "exhausted", "{shown}");
    assert_eq!(shown["attempts"], 2, "{shown}");
    let message = shown["failures"]["message"].as_str().unwrap();
    assert!(message.starts_with("ValueError: not today"), "{shown}");
    assert_eq!(shown["content"]["source"], "/tables/notes", "{shown}");
    assert_eq!(shown["content"]["type"], "aloft.table.insert", "{shown}");

    // What is not there, and what is not said.
    let nobody = "00000000000000000000000000000000";
    deliveries(&project, &["retry", nobody], 4);
    deliveries(&project, &["drop"], 2);
    deliveries(&project, &["drop", id, "--all"], 2);
    let other = deliveries(&project, &["drop", "--rule", "other"], 0).json();
    assert_eq!(other, json!({"dropped": 0, "left": []}));
    assert_eq!(letters(&project).len(), 3);

    // What is delivered before the new code is ready still fails.
    project.replace("functions/note.py", WORKS);
    platform.event("the reload", |line| {
        line["event"] == "reload" && line["ok"] == true
    });
    let of_key = |key: &str| {
        let found = items.iter().find(|item| {
            let shown = deliveries(&project, &["show", item["id"].as_str().unwrap()], 0).json();
            shown["content"]["subject"] == key
        });
        found.unwrap()["id"].as_str().unwrap()
    };
    let (a, c) = (of_key("a"), of_key("c"));
    deliveries(&project, &["drop", c], 0);
    deliveries(&project, &["retry", a], 0);
    deliveries(&project, &["show", c], 4);
    let rest = deliveries(&project, &["retry", "--rule", "note"], 0).json();
    assert_eq!(rest, json!({"retried": 1, "left": []}));
    taken(&project, &["a", "b"]);
    assert!(letters(&project).is_empty());
}

/// Each of so many events would have used up its retries within seconds.
#[test]
fn events_wait_for_a_function_whose_code_does_not_load() {
    let project = Project::new(&[("aloft.toml", DEFINITION), ("functions/note.py", BROKEN)]);
    let platform = project.start();
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for id in ids {
        put(&platform, id);
    }
    let held = || {
        let metrics = get(&format!("{}/_aloft/metrics", platform.api)).is(200).text();
        metrics.contains("aloft_delivery_held{rule=\"note\"} 1")
    };
    wait_for("the breaker", || held().then_some(()));
    assert!(letters(&project).is_empty());
    project.replace("functions/note.py", WORKS);
    taken(&project, &ids);
    assert!(letters(&project).is_empty());
    assert!(!held());
}

/// What `examples/signups` and its README promise, step by step.
#[test]
fn the_example_shows_what_becomes_of_a_failure() {
    let project = Project::example("signups");
    let platform = project.start();
    let sign_up = |address: &str| {
        let body = json!({ "address": address }).to_string();
        // As curl sends it.
        let form = [("content-type", "application/x-www-form-urlencoded")];
        call("POST", &platform.url("/signups"), &form, body.as_bytes())
    };
    let said = |function: &str, text: &str| {
        platform.event(text, |line| {
            line["event"] == "log" && line["function"] == function && line["text"] == text
        });
    };
    sign_up("nobody").is(400);
    sign_up("jürgen@example.org").is(202);
    sign_up("ada@example.org").is(202);
    said("welcome", "Welcome, ada@example.org");
    said("announce", "insert: ada@example.org");
    said("announce", "insert: jürgen@example.org");
    let letter = wait_for("the dead letter", || letters(&project).pop());
    let shown = deliveries(&project, &["show", letter["id"].as_str().unwrap()], 0).json();
    assert_eq!(
        (&shown["reason"], &shown["attempts"]),
        (&json!("exhausted"), &json!(3))
    );
    assert!(
        shown["failures"]["message"]
            .as_str()
            .unwrap()
            .contains("UnicodeEncodeError"),
        "{shown}"
    );

    let file = project.folder().join("functions/welcome.py");
    let code = std::fs::read_to_string(file).unwrap();
    let mended = code.replace("        address.encode(\"ascii\")\n", "");
    assert_ne!(code, mended);
    project.replace("functions/welcome.py", &mended);
    platform.event("the reload", |line| {
        line["event"] == "reload" && line["ok"] == true
    });
    deliveries(&project, &["retry", "--rule", "welcome"], 0);
    said("welcome", "Welcome, jürgen@example.org");
    assert!(letters(&project).is_empty());

    project.replace("functions/welcome.py", &format!("import nowhere\n{mended}"));
    let more: Vec<String> = (0..6).map(|n| format!("{n}@example.org")).collect();
    for address in &more {
        sign_up(address).is(202);
    }
    let data = project.data();
    wait_for("the held rule", || {
        let shown = aloft(&project.folder(), &["ps", "--data", data.to_str().unwrap()]);
        shown.stdout.contains("held").then_some(())
    });
    project.replace("functions/welcome.py", &mended);
    for address in &more {
        said("welcome", &format!("Welcome, {address}"));
    }
    assert!(letters(&project).is_empty());
}
