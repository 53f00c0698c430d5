//! The commands: data on stdout, the rest on stderr, and exit codes that a script can rely on.

use std::cell::Cell;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Finished, Platform, Project, aloft, get, tool, wait_for};

const DEFINITION: &str = r#"[project]
name = "commands"
[functions.hello]
runtime = "python3"
source = "functions"
handler = "hello.handler"
[functions.fails]
runtime = "python3"
source = "functions"
handler = "hello.fails"
[routes]
"GET /hello" = "hello"
[tables.notes]
hash = "id:S"
[rules.note]
on = "table:notes"
run = "fails"
retries = 1
maximum_age = "1m"
[functions.exits]
runtime = "python3"
source = "functions"
handler = "hello.exits"
[functions.slow]
runtime = "python3"
source = "functions"
handler = "hello.slow"
timeout = "1s"
[functions.busy]
runtime = "python3"
source = "functions"
handler = "hello.slow"
concurrency = 1
queue = { length = 0, wait = "1s" }
timeout = "60s"
[functions.talks]
runtime = "python3"
source = "functions"
handler = "hello.talks"
"#;

const HELLO: &str = r#"
import os
import time


def handler(event, context):
    print("hello was called")
    return {"heard": event}


def fails(event, context):
    raise RuntimeError("cannot be delivered")


def exits(event, context):
    os._exit(7)


def slow(event, context):
    print("slow has begun", flush=True)
    time.sleep(30)


def talks(event, context):
    for number in range(2000):
        print(number, "x" * 1000)
    return "said"
"#;

fn project() -> Project {
    Project::new(&[("aloft.toml", DEFINITION), ("functions/hello.py", HELLO)])
}

/// A command that is told where the node is.
fn to(platform: &Platform, project: &Project, arguments: &[&str]) -> Finished {
    aloft(&project.folder(), &[arguments, &["--to", &platform.api]].concat())
}

fn exits(finished: Finished, code: i32) -> Finished {
    assert_eq!(finished.code, Some(code), "{finished}");
    finished
}

#[test]
fn check_says_where_and_what_and_what_was_meant() {
    let project = project();
    let good = exits(aloft(&project.folder(), &["check", "--json"]), 0).json();
    assert_eq!(good["ok"], true, "{good}");
    assert_eq!(good["problems"], Value::Array(vec![]));

    // What is broken, on which line, and a word that the complaint must hold.
    let broken = [
        ("runtime = \"python3\"", "runtme = \"python3\"", 4, "runtime"),
        ("[tables.notes]", "[table.notes]", 13, "tables"),
        ("hash = \"id:S\"", "hash = \"id:X\"", 14, "S"),
        (
            "\"GET /hello\" = \"hello\"",
            "\"GET /hello\" = \"helo\"",
            12,
            "hello",
        ),
        ("retries = 1", "retries = \"one\"", 18, "retries"),
        ("on = \"table:notes\"", "on = \"table:nots\"", 16, "notes"),
    ];
    for (from, to, line, word) in broken {
        project.write("aloft.toml", &DEFINITION.replacen(from, to, 1));
        let finished = exits(aloft(&project.folder(), &["check", "--json"]), 2);
        let answer = finished.json();
        assert_eq!(answer["ok"], false, "{to}: {answer}");
        // A misspelt key is also a missing one, which is told at the head of its table.
        let problems = answer["problems"].as_array().unwrap();
        let problem = problems.iter().find(|problem| problem["line"] == line);
        let problem = problem.unwrap_or_else(|| panic!("{to}: nothing on line {line}: {answer}"));
        assert!(
            problem["file"]
                .as_str()
                .is_some_and(|file| file.ends_with("aloft.toml")),
            "{to}: {answer}"
        );
        assert!(
            problem["column"].as_u64().is_some_and(|column| column >= 1),
            "{to}: {answer}"
        );
        assert!(problem["message"].is_string(), "{to}: {answer}");
        assert!(
            problem.to_string().contains(word),
            "{to}: no {word:?} in {problem}"
        );
    }
    project.write(
        "aloft.toml",
        &DEFINITION.replace("runtime = \"python3\"", "runtme = \"python3\""),
    );
    let answer = aloft(&project.folder(), &["check", "--json"]).json();
    let nearest: Vec<&Value> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| &problem["nearest"])
        .collect();
    assert!(
        nearest.len() >= 2,
        "every mistake is told, not the first one only: {answer}"
    );
    assert!(nearest.iter().any(|nearest| *nearest == "runtime"), "{answer}");

    project.write("aloft.toml", "[project\nname = 1");
    let answer = exits(aloft(&project.folder(), &["check", "--json"]), 2).json();
    assert_eq!(answer["problems"][0]["line"], 1, "{answer}");
    let text = exits(aloft(&project.folder(), &["check"]), 2);
    assert!(
        format!("{}{}", text.stdout, text.stderr).contains("aloft.toml:1"),
        "{text}"
    );
}

#[test]
fn invoke_shows_the_outcome_and_exits_by_it() {
    let project = project();
    let platform = project.start();
    project.write("event.json", "{\"n\": 7}");
    let finished = exits(
        to(
            &platform,
            &project,
            &["invoke", "hello", "-e", "event.json", "--json"],
        ),
        0,
    );
    let outcome = finished.json();
    assert_eq!(
        outcome["payload"],
        serde_json::json!({"heard": {"n": 7}}),
        "{outcome}"
    );
    assert!(
        outcome["invocation"].as_str().is_some_and(|id| !id.is_empty()),
        "{outcome}"
    );
    assert!(
        outcome["billed_ms"].as_u64().is_some_and(|billed| billed >= 1),
        "{outcome}"
    );
    assert!(
        outcome["cold"].is_boolean() && outcome["error"].is_null(),
        "{outcome}"
    );
    let warm = exits(
        to(
            &platform,
            &project,
            &["invoke", "hello", "-e", "event.json", "--json"],
        ),
        0,
    )
    .json();
    assert_eq!(warm["cold"], false, "{warm}");
    assert_ne!(warm["invocation"], outcome["invocation"]);

    let failed = exits(to(&platform, &project, &["invoke", "fails", "--json"]), 3).json();
    assert!(
        failed["error"].to_string().contains("cannot be delivered"),
        "{failed}"
    );
    exits(to(&platform, &project, &["invoke", "nobody", "--json"]), 4);
    exits(
        aloft(
            &project.folder(),
            &["invoke", "hello", "--to", "http://127.0.0.1:1"],
        ),
        5,
    );
    for malformed in ["127.0.0.1:4566", "http://127.0.0.1:port", "https://127.0.0.1:1"] {
        let finished = exits(aloft(&project.folder(), &["ps", "--to", malformed]), 2);
        assert!(finished.stderr.contains(malformed), "{finished}");
    }
    exits(
        aloft(
            &project.folder(),
            &["ps", "--to", "http://no-such-host.invalid:4566"],
        ),
        5,
    );
    exits(aloft(&project.folder(), &["invoke"]), 2);
    exits(aloft(&project.folder(), &["no-such-command"]), 2);
    exits(
        to(
            &platform,
            &project,
            &["invoke", "hello", "-e", "no-such-file.json"],
        ),
        2,
    );
}

#[test]
fn a_command_finds_the_node_by_its_data_folder() {
    let project = project();
    let platform = project.start();
    let data = project.data();
    let data = data.to_str().unwrap();
    let found = exits(
        aloft(&project.folder(), &["invoke", "hello", "--json", "--data", data]),
        0,
    )
    .json();
    assert!(
        found["payload"]["heard"].is_object() || found["payload"]["heard"].is_null(),
        "{found}"
    );
    let pid = platform.pid().to_string();
    platform.kill();
    let gone = exits(
        aloft(&project.folder(), &["invoke", "hello", "--json", "--data", data]),
        5,
    );
    for word in [
        &format!("process {pid}"),
        "is gone",
        "aloft dev PROJECT --data",
        data,
    ] {
        assert!(gone.stderr.contains(word), "no {word:?} in {gone}");
    }
    // Another node may have the port by now; it is not the one that was asked for.
    let file = project.data().join("address.json");
    let another = self::project();
    let other = another.start();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut address: Value = serde_json::from_str(&text).unwrap();
    address["api"] = Value::from(other.api.as_str());
    std::fs::write(&file, address.to_string()).unwrap();
    exits(aloft(&project.folder(), &["ps", "--data", data]), 5);

    let nobody = exits(aloft(&project.folder(), &["ps", "--data", "elsewhere"]), 5);
    assert!(nobody.stderr.contains("no node runs on elsewhere"), "{nobody}");
}

/// 3 is the function's fault, 1 the platform's state.
#[test]
fn invoke_tells_a_failed_function_from_one_that_did_not_run() {
    let project = project();
    let mut platform = project.start();
    let outcome = exits(to(&platform, &project, &["invoke", "exits", "--json"]), 3).json();
    assert_eq!(outcome["status"], "exited", "{outcome}");
    let outcome = exits(to(&platform, &project, &["invoke", "slow", "--json"]), 3).json();
    assert_eq!(outcome["status"], "timed_out", "{outcome}");

    let folder = project.folder();
    let arguments = ["invoke", "busy", "--json", "--to", &platform.api].map(str::to_owned);
    let first = std::thread::spawn(move || aloft(&folder, &arguments.each_ref().map(String::as_str)));
    platform.event("the one instance is taken", |event| {
        event["event"] == "log" && event["function"] == "busy"
    });
    let outcome = exits(to(&platform, &project, &["invoke", "busy", "--json"]), 1).json();
    assert_eq!(outcome["status"], "busy", "{outcome}");

    // While it goes down, the call that runs is waited for and another is turned away.
    platform.signal(Signal::TERM);
    let api = format!("{}/_aloft/ready", platform.api);
    wait_for("the node is going down", || {
        (get(&api).status == 503).then_some(())
    });
    let outcome = exits(to(&platform, &project, &["invoke", "hello", "--json"]), 1).json();
    assert_eq!(outcome["status"], "draining", "{outcome}");
    platform.signal(Signal::TERM);
    platform.finish();
    exits(first.join().unwrap(), 5);
}

/// A terminal that stands still, or a script that reads the ready line and no more.
#[test]
fn a_platform_whose_output_nobody_reads_goes_on_and_tells_the_gap_and_every_call_later() {
    let project = project();
    let mut unread = project.dev().start_unread();
    let address = unread.ready();
    let to = ["--to", address["api"].as_str().unwrap()];
    for _ in 0..6 {
        exits(
            aloft(&project.folder(), &[&["invoke", "talks"][..], &to].concat()),
            0,
        );
    }
    let calls = Cell::new(0);
    let gap = unread.lines_until(|line| {
        calls.set(calls.get() + u32::from(line["event"] == "invocation"));
        line["event"] == "dropped"
    });
    assert!(gap["lines"].as_u64().is_some_and(|lines| lines > 0), "{gap}");
    exits(
        aloft(&project.folder(), &[&["invoke", "hello"][..], &to].concat()),
        0,
    );
    unread.lines_until(|line| {
        calls.set(calls.get() + u32::from(line["event"] == "invocation"));
        line["event"] == "invocation" && line["function"] == "hello"
    });
    assert_eq!(
        calls.get(),
        7,
        "of what was printed lines are missing, and no call"
    );

    // Stuck again, it still hears that it shall end.
    for _ in 0..6 {
        exits(
            aloft(&project.folder(), &[&["invoke", "talks"][..], &to].concat()),
            0,
        );
    }
    assert_eq!(unread.terminate(), Some(0));
}

#[test]
fn logs_and_ps_show_what_ran() {
    let project = project();
    let platform = project.start();
    get(&platform.url("/hello")).is(200);
    to(&platform, &project, &["invoke", "fails", "--json"]);

    let lines = wait_for("the function's line in the logs", || {
        let lines = exits(to(&platform, &project, &["logs", "--json"]), 0).json_lines();
        lines
            .iter()
            .any(|line| line.to_string().contains("hello was called"))
            .then_some(lines)
    });
    let said = |word: &str| lines.iter().any(|line| line.to_string().contains(word));
    assert!(said("cannot be delivered"), "the error is in the logs: {lines:?}");

    let running = exits(to(&platform, &project, &["ps", "--json"]), 0).json();
    let items = running["items"].as_array().unwrap_or_else(|| panic!("{running}"));
    assert!(items.iter().any(|item| item["function"] == "hello"), "{running}");
    let rules = running["rules"].as_array().unwrap_or_else(|| panic!("{running}"));
    let rule = rules.iter().find(|rule| rule["rule"] == "note");
    let rule = rule.unwrap_or_else(|| panic!("{running}"));
    assert_eq!(
        (&rule["state"], &rule["order"]),
        (&json!("running"), &json!("key")),
        "{rule}"
    );
    let text = exits(to(&platform, &project, &["ps"]), 0);
    let of_hello = text.stdout.lines().find(|line| line.starts_with("hello "));
    assert!(of_hello.is_some_and(|line| line.contains("$LATEST")), "{text}");
    assert!(
        text.stdout.contains("RULE") && text.stdout.contains("running"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_delivered_is_listed_with_its_reason() {
    let project = project();
    let platform = project.start();
    let empty = exits(to(&platform, &project, &["deliveries", "ls", "--json"]), 0).json();
    assert_eq!(empty["items"], Value::Array(vec![]), "{empty}");
    put_note(&platform, "n1");
    let item = wait_for("the dead letter", || {
        let list = exits(to(&platform, &project, &["deliveries", "ls", "--json"]), 0).json();
        let items = list["items"].as_array().unwrap().clone();
        items
            .into_iter()
            .find(|item| item.to_string().contains("cannot be delivered"))
    });
    assert!(item.to_string().contains("note"), "the rule is named: {item}");
}

fn put_note(platform: &Platform, id: &str) {
    let mut aws = std::process::Command::new(tool("aws"));
    aws.args([
        "dynamodb",
        "put-item",
        "--table-name",
        "notes",
        "--item",
        &format!("{{\"id\":{{\"S\":\"{id}\"}}}}"),
    ]);
    aws.envs(platform.exports())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_DEFAULT_REGION", "us-east-1");
    exits(crate::harness::run(&mut aws), 0);
}

#[test]
fn doctor_names_each_wall() {
    let report = aloft(Path::new("/"), &["doctor", "--json"]);
    assert!(matches!(report.code, Some(0 | 1)), "{report}");
    let walls = report.json();
    let walls = walls["items"]
        .as_array()
        .or(walls["walls"].as_array())
        .unwrap_or_else(|| panic!("{walls}"));
    assert!(walls.len() >= 5, "namespaces, memory, processes …: {walls:?}");
    let text = aloft(Path::new("/"), &["doctor"]);
    assert!(text.stdout.to_lowercase().contains("namespace"), "{text}");
}

#[test]
fn health_readiness_and_metrics() {
    let project = project();
    let platform = project.start();
    get(&platform.url("/hello")).is(200);
    get(&format!("{}/_aloft/health", platform.api)).is(200);
    get(&format!("{}/_aloft/ready", platform.api)).is(200);
    let metrics = get(&format!("{}/_aloft/metrics", platform.api)).is(200).text();
    let samples = metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    assert!(samples > 5 && metrics.contains("# TYPE aloft_"), "{metrics}");
}

#[test]
fn help_has_every_command_with_an_example() {
    let help = exits(aloft(Path::new("/"), &["help"]), 0).stdout;
    for command in ["dev", "check", "invoke", "logs", "ps", "deliveries", "doctor"] {
        assert!(help.contains(command), "{command} is not in:\n{help}");
        let own = exits(aloft(Path::new("/"), &["help", command]), 0).stdout;
        assert!(own.contains(&format!("aloft {command}")), "no example in:\n{own}");
    }
}
