//! The log: what functions said is found by whoever asks later, also after a kill, on the AWS wire and by `aloft logs`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Platform, Project, aloft, binary, get, nodejs, script, wait_for};

const DEFINITION: &str = r#"[project]
name = "logs"
[functions.hello]
runtime = "python3"
source = "functions"
handler = "app.hello"
[functions.other]
runtime = "python3"
source = "functions"
handler = "app.other"
[functions.silent]
runtime = "python3"
source = "functions"
handler = "app.other"
[routes]
"GET /hello" = "hello"
"GET /other" = "other"
"#;

const CODE: &str = r#"
import json
import sys


def hello(event, context):
    n = event.get("n", 1)
    print("hello", n)
    print("to stderr", file=sys.stderr)
    print(json.dumps({"level": "WARNING", "n": n}))
    print("in", context.log_group_name, context.log_stream_name)
    return context.aws_request_id


def other(event, context):
    print("the other one")
    return context.aws_request_id
"#;

fn project() -> Project {
    Project::new(&[("aloft.toml", DEFINITION), ("functions/app.py", CODE)])
}

/// What `aloft logs` shows, as text.
fn logs(project: &Project, platform: &Platform, arguments: &[&str]) -> String {
    let shown = aloft(
        &project.folder(),
        &[&["logs", "--to", &platform.api][..], arguments].concat(),
    );
    assert_eq!(shown.code, Some(0), "{shown}");
    shown.stdout
}

#[test]
fn an_unmodified_sdk_reads_what_functions_said_also_after_a_kill() {
    let project = project();
    let platform = project.start();
    let said = script("logs.py", &["functions"], &platform.exports()).stdout;
    let invocation = said.trim();
    platform.kill();
    let platform = project.start();
    script("logs.py", &["again", invocation], &platform.exports());
    // By the call's id alone, and in the order in which it happened.
    let shown = logs(&project, &platform, &["--invocation", invocation]);
    let words = ["START RequestId", "hello 7", "END RequestId", "REPORT RequestId"];
    let places: Vec<_> = words.iter().map(|word| shown.find(word)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{shown}"
    );
    assert!(shown.lines().all(|line| line.contains(" hello ")), "{shown}");
}

#[test]
fn an_unmodified_sdk_and_command_line_put_and_find_events() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("logs.py", &["groups"], &platform.exports());
}

#[test]
fn logs_are_written_as_json_from_a_level_on() {
    let project = project();
    let logging = "\nlogging = { format = \"json\", system_level = \"warn\" }\n[functions.other]";
    project.replace("aloft.toml", &DEFINITION.replace("\n[functions.other]", logging));
    let platform = project.dev().programs(nodejs()).start();
    script("logs.py", &["json"], &platform.exports());
    let id = get(&platform.url("/hello")).is(200).text();
    let id = id.trim_matches('"');
    let lines = wait_for("its line", || {
        Some(logs(&project, &platform, &["--invocation", id])).filter(|lines| lines.contains("hello 1"))
    });
    assert!(!lines.contains("platform."), "{lines}");
    // The call whose report is left out is explained all the same, also when nothing but the log knows of it.
    let explained = |platform: &Platform| {
        let shown = aloft(&project.folder(), &["explain", id, "--to", &platform.api]).stdout;
        shown.starts_with("hello ($LATEST): ok").then_some(())
    };
    wait_for("it is explained", || explained(&platform));
    platform.signal(Signal::TERM);
    let mut platform = platform;
    platform.finish();
    let platform = project.dev().programs(nodejs()).start();
    explained(&platform).expect("it is explained from the log");
}

#[test]
fn pythons_logging_writes_lines_as_on_lambda() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("logs.py", &["text"], &platform.exports());
}

#[test]
fn logs_are_chosen_by_function_time_and_pattern() {
    let project = project();
    let platform = project.start();
    let id = get(&platform.url("/hello")).is(200).text();
    let id = id.trim_matches('"');
    get(&platform.url("/other")).is(200);
    let all = wait_for("both reports", || {
        let shown = logs(&project, &platform, &[]);
        (shown.matches("REPORT RequestId").count() == 2).then_some(shown)
    });
    assert!(all.contains("the other one") && all.contains("hello 1"), "{all}");
    let only = logs(&project, &platform, &["hello"]);
    assert!(
        only.contains("hello 1") && !only.contains("the other one"),
        "{only}"
    );
    // Each once, though the feed holds what the log has taken.
    assert_eq!(only.matches("START RequestId").count(), 1, "{only}");
    let found = logs(
        &project,
        &platform,
        &["--filter", "{ $.level = \"WARN*\" }", "--since", "1h"],
    );
    assert_eq!(found.lines().count(), 1, "{found}");
    let found = logs(&project, &platform, &["--filter", "stderr -other"]);
    assert!(
        found.lines().count() == 1 && found.contains("to stderr"),
        "{found}"
    );
    let json = aloft(
        &project.folder(),
        &["logs", "--to", &platform.api, "--json", "--invocation", id],
    )
    .json_lines();
    let records: Vec<&Value> = json.iter().filter(|line| line["event"] == "invocation").collect();
    assert_eq!(
        (records.len(), &records[0]["outcome"]),
        (1, &Value::from("ok")),
        "{json:?}"
    );
    let wrong = aloft(
        &project.folder(),
        &["logs", "--to", &platform.api, "--filter", "\"open"],
    );
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("a closing \" is missing"),
        "{wrong}"
    );
    let none = logs(&project, &platform, &["hello", "--filter", "nobody-said-this"]);
    assert_eq!(none, "");
    assert_eq!(
        logs(&project, &platform, &["silent"]),
        "",
        "it has printed nothing"
    );
    let stranger = "5c0f6e1e-4c2f-4f0a-9f5e-0f5f3f6c7d8e";
    for (asked, said) in [
        (&["nobody"][..], "there is no function \"nobody\""),
        (&["-f", "nobody"], "there is no function \"nobody\""),
        (&["--invocation", stranger], "nothing is known of an invocation"),
        (
            &["other", "--invocation", id],
            "nothing is known of an invocation",
        ),
    ] {
        let refused = aloft(
            &project.folder(),
            &[&["logs", "--to", &platform.api][..], asked].concat(),
        );
        assert!(
            refused.code == Some(4) && refused.stderr.contains(said),
            "{refused}"
        );
    }
}

/// Whoever follows sees what comes, each line once, and lets go when the platform ends.
#[test]
fn who_follows_sees_what_comes() {
    let project = project();
    let mut platform = project.start();
    get(&platform.url("/hello")).is(200);
    let mut follower = Command::new(binary())
        .args(["logs", "-f", "hello", "--to", &platform.api])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first line tells that it follows.
    let mut output = BufReader::new(follower.stdout.take().unwrap());
    let mut shown = String::new();
    output.read_line(&mut shown).unwrap();
    for _ in 0..3 {
        get(&platform.url("/hello")).is(200);
        get(&platform.url("/other")).is(200);
    }
    let is_there = |word: &str| {
        let shown = logs(&project, &platform, &["hello"]);
        shown.matches(word).count()
    };
    wait_for("four reports", || {
        (is_there("REPORT RequestId") == 4).then_some(())
    });
    platform.signal(Signal::TERM);
    assert_eq!(platform.finish().code, Some(0));
    output.read_to_string(&mut shown).unwrap();
    assert!(follower.wait().unwrap().success());
    for word in ["START RequestId", "hello 1", "END RequestId", "REPORT RequestId"] {
        assert_eq!(shown.matches(word).count(), 4, "{word}: {shown}");
    }
    assert!(!shown.contains("the other one"), "{shown}");
}
