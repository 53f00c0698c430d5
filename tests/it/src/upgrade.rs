//! What former releases left is found by this one: rows, a log that was not read to its end, deliveries that wait, dead letters
//! and cursors, in a data folder and in a database.
//!
//! Each folder of `tests/fixtures` was written by the release it is named after, whose process was killed in the middle of a
//! call; `cargo xtask fixtures` runs the same test to write one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Engine, Platform, Project, Store, aloft, call, get, root, run, tool, wait_for};

const TABLE: &str = "\n[tables.notes]\nhash = \"id:S\"\nrange = \"at:N\"\n";

const HANDLERS: &str = r#"
import time


def sees(event, context):
    pass


def fails(event, context):
    raise RuntimeError("cannot be delivered")


def holds(event, context):
    print("holding", flush=True)
    time.sleep(600)
"#;

/// What was done before the fixture was taken: four rows put, one of them deleted.
const CHANGES: u64 = 5;
/// The change after these, whose call was under way when the process was killed.
const LAST: u64 = 1;

/// The project: `seen` delivers, `lost` gives up at once, `waits` tries on, and `held` runs `held`.
fn definition(held: &str, waits: &str) -> String {
    let function = |name: &str| {
        format!(
            "[functions.{name}]\nruntime = \"python3\"\nsource = \"functions\"\nhandler = \"upgrade.{name}\"\n\
             timeout = \"900s\"\n"
        )
    };
    let rule = |name: &str, run: &str, more: &str| {
        format!("[rules.{name}]\non = \"table:notes\"\nrun = \"{run}\"\n{more}\n")
    };
    [
        "[project]\nname = \"upgrade\"\n".to_owned(),
        ["sees", "fails", "holds"].map(function).concat(),
        TABLE.to_owned(),
        rule("seen", "sees", ""),
        rule("lost", "fails", "retries = 0"),
        rule("waits", "fails", waits),
        rule("held", held, "when = { data = { new = { id = [\"held\"] } } }"),
    ]
    .concat()
}

fn wire(platform: &Platform, operation: &str, body: &Value) -> Value {
    let target = format!("DynamoDB_20120810.{operation}");
    let headers = [
        ("X-Amz-Target", target.as_str()),
        ("Content-Type", "application/x-amz-json-1.0"),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
             Signature=00",
        ),
    ];
    call("POST", &platform.api, &headers, body.to_string().as_bytes())
        .is(200)
        .json()
}

/// A row with a value of every type.
fn row(id: &str) -> Value {
    // As DynamoDB answers it, written out.
    let large = format!("1{}", "0".repeat(100));
    json!({
        "id": {"S": id}, "at": {"N": "-12.5"}, "b": {"B": "AAEC/w=="}, "yes": {"BOOL": true}, "none": {"NULL": true},
        "map": {"M": {"deep": {"L": [{"N": large}, {"S": "é"}]}}},
        "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["-1", "0.001"]}, "bs": {"BS": ["AA=="]},
    })
}

fn put(platform: &Platform, id: &str) {
    wire(
        platform,
        "PutItem",
        &json!({"TableName": "notes", "Item": row(id)}),
    );
}

/// How many dead letters each rule has, and the reasons.
fn letters(platform: &Platform, project: &Project) -> BTreeMap<(String, String), u64> {
    let listed = aloft(
        &project.folder(),
        &["deliveries", "ls", "--json", "--to", &platform.api],
    );
    assert_eq!(listed.code, Some(0), "{listed}");
    let mut counted = BTreeMap::new();
    for item in listed.json()["items"].as_array().unwrap() {
        let text = |key: &str| item[key].as_str().unwrap_or_else(|| panic!("{item}")).to_owned();
        *counted.entry((text("rule"), text("reason"))).or_default() += item["events"].as_u64().unwrap();
    }
    counted
}

fn counter(platform: &Platform, name: &str, rule: &str) -> u64 {
    let text = get(&format!("{}/_aloft/metrics", platform.api)).is(200).text();
    let line = format!("{name}{{rule=\"{rule}\"}} ");
    let found = text.lines().find_map(|found| found.strip_prefix(&line));
    found.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures")
}

#[test]
fn what_former_releases_left_is_found() {
    if let Some(name) = std::env::var_os("ALOFT_TEST_FIXTURES") {
        return write(&fixtures().join(name));
    }
    let mut read = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            opens(&folder);
            read += 1;
        }
    }
    assert!(read > 0, "{} holds no fixture", fixtures().display());
}

fn archive(folder: &Path) -> PathBuf {
    match Engine::of_this_run() {
        Engine::Embedded => folder.join("folder.tar.gz"),
        Engine::Postgres => folder.join("postgres.sql.gz"),
    }
}

fn succeeds(command: &mut Command) -> String {
    let done = run(command);
    assert_eq!(done.code, Some(0), "{command:?}: {done}");
    done.stdout
}

/// Does what a fixture is to tell of, kills the process, and keeps what it left.
fn write(folder: &Path) {
    let project = Project::new(&[
        (
            "aloft.toml",
            &definition("holds", "retries = 185\nmaximum_age = \"7d\""),
        ),
        ("functions/upgrade.py", HANDLERS),
    ]);
    let platform = project.start();
    for id in ["one", "two", "three", "gone"] {
        put(&platform, id);
    }
    let key = json!({"id": {"S": "gone"}, "at": {"N": "-12.5"}});
    wire(
        &platform,
        "DeleteItem",
        &json!({"TableName": "notes", "Key": key}),
    );
    put(&platform, "held");
    let of_lost = ("lost".to_owned(), "exhausted".to_owned());
    wait_for("the deliveries", || {
        let lost = letters(&platform, &project).get(&of_lost).copied();
        let seen = counter(&platform, "aloft_delivery_delivered_total", "seen");
        (lost == Some(CHANGES + LAST) && seen == CHANGES + LAST).then_some(())
    });
    platform.event("the call that is cut off", |event| {
        event["function"] == "holds" && event["text"] == "holding"
    });
    platform.kill();

    std::fs::create_dir_all(folder).unwrap();
    let archive = archive(folder);
    match project.store() {
        Store::Folder => {
            let mut tar = Command::new("tar");
            tar.arg("-czf").arg(&archive).arg("-C").arg(project.data());
            succeeds(tar.args(["--owner=0", "--group=0", "store"]));
        }
        Store::Database(_, url) => {
            let mut dump = Command::new(tool("pg_dump"));
            dump.args(["--inserts", "--no-owner", "--schema=aloft"]).arg(url);
            let sql = project.folder().join("postgres.sql");
            std::fs::write(&sql, succeeds(&mut dump)).unwrap();
            let packed = succeeds(Command::new("gzip").args(["-9n", "--force"]).arg(&sql));
            assert_eq!(packed, "");
            std::fs::copy(sql.with_extension("sql.gz"), &archive).unwrap();
        }
    }
}

/// Opens a fixture with a project whose rules find everything too old, and checks each kind of thing in it.
fn opens(fixture: &Path) {
    let project = Project::new(&[
        (
            "aloft.toml",
            &definition("sees", "retries = 185\nmaximum_age = \"1m\""),
        ),
        ("functions/upgrade.py", HANDLERS),
    ]);
    restore(&project, &archive(fixture));
    let platform = project.start();

    // Rows, with every type of value.
    let scanned = wire(&platform, "Scan", &json!({"TableName": "notes"}));
    let mut items = scanned["Items"].as_array().unwrap().clone();
    items.sort_by_key(|item| item["id"]["S"].as_str().unwrap().to_owned());
    let ids: Vec<&str> = items
        .iter()
        .map(|item| item["id"]["S"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["held", "one", "three", "two"], "{}", fixture.display());
    for (id, item) in ids.iter().zip(&items) {
        assert_eq!(sorted(item), sorted(&row(id)));
    }
    // Dead letters; the deliveries that waited, which are too old now; and what the cut-off reader had not done yet.
    let expected = |rule: &str, reason: &str| (rule.to_owned(), reason.to_owned());
    let found = wait_for("what waited is given up for its age", || {
        let found = letters(&platform, &project);
        let waited = found.get(&expected("waits", "expired")).copied();
        (waited == Some(CHANGES + LAST)).then_some(found)
    });
    assert_eq!(
        found.get(&expected("lost", "exhausted")).copied(),
        Some(CHANGES + LAST),
        "{found:?}"
    );
    // The log from where the cursor was: the one change whose call was cut off, and no other.
    let held = wait_for("the change that was under way", || {
        let delivered = counter(&platform, "aloft_delivery_delivered_total", "held");
        let given_up: u64 = letters(&platform, &project)
            .iter()
            .filter(|((rule, _), _)| rule == "held")
            .map(|(_, events)| events)
            .sum();
        Some(delivered + given_up).filter(|held| *held > 0)
    });
    assert_eq!(held, LAST);
    // The cursors: what was delivered before is not delivered again, and what comes is.
    put(&platform, "new");
    wait_for("the new row's delivery", || {
        (counter(&platform, "aloft_delivery_delivered_total", "seen") > 0).then_some(())
    });
    assert_eq!(counter(&platform, "aloft_rule_matched_total", "seen"), 1);
}

/// Sets have no order.
fn sorted(item: &Value) -> Value {
    let mut item = item.clone();
    for (name, kind) in [("ss", "SS"), ("ns", "NS"), ("bs", "BS")] {
        let set = item[name][kind]
            .as_array_mut()
            .unwrap_or_else(|| panic!("no {name}"));
        set.sort_by_key(Value::to_string);
    }
    item
}

fn restore(project: &Project, archive: &Path) {
    match project.store() {
        Store::Folder => {
            std::fs::create_dir_all(project.data()).unwrap();
            let mut tar = Command::new("tar");
            tar.arg("-xzf").arg(archive).arg("-C").arg(project.data());
            succeeds(tar.arg("--no-same-owner"));
        }
        Store::Database(name, _) => {
            let sql = succeeds(Command::new("gzip").arg("-dc").arg(archive));
            crate::harness::server().execute(name, &sql).unwrap();
        }
    }
}

/// A database that a newer release wrote is left as it is. (Of the folder `store-embedded` has the same test: only it can write
/// another level into one.)
#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let project = Project::over(
        Engine::Postgres,
        &[("aloft.toml", "[project]\nname = \"newer\"\n")],
    );
    let Store::Database(name, url) = project.store() else {
        panic!("it lies in a database")
    };
    project.start().kill();
    let newer =
        "UPDATE aloft.facts SET value = 2 WHERE name = 'level'; UPDATE aloft.lease SET until = '-infinity'";
    crate::harness::server().execute(name, newer).unwrap();
    let dump = || succeeds(Command::new(tool("pg_dump")).arg("--inserts").arg(url));
    let before = dump();
    let Err(refused) = project.dev().try_start() else {
        panic!("a newer level is opened")
    };
    assert_eq!(refused.code, Some(2), "{refused}");
    for word in ["level 2", "level 1", "newer"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {refused}");
    }
    assert_eq!(dump(), before, "nothing is changed");
}
