//! `aloft init`: each template as its user meets it: its tests, its sample event, its route.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Finished, Project, aloft, binary, call, nodejs, quiet_aws, run, rust, tool};

/// A command line as a person types it, in the project's folder, with the fetched programs.
fn shell(folder: &Path, line: &str, url: &str) -> Finished {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [
        nodejs(),
        tool("python3").parent().unwrap().to_owned(),
        binary().parent().unwrap().to_owned(),
    ];
    let folders = rust().into_iter().chain(own).chain(std::env::split_paths(&path));
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ALOFT_URL", url)
        .env("NO_COLOR", "1");
    run(quiet_aws(&mut command))
}

/// Makes a project of a template, and does what is said to do next.
fn try_out(template: &str, request: (&str, &str, &str), wanted: &Value) {
    // Templates are about a project's files; where its state lies is no matter of theirs.
    let project = Project::new(&[]);
    let folder = project.folder();
    let made = aloft(
        &folder,
        &["init", ".", "--template", template, "--name", "mine", "--json"],
    );
    assert_eq!(made.code, Some(0), "{made}");
    let made = made.json();
    let next: Vec<&str> = made["next"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    let [test, dev, invoke, curl] = next[..] else {
        panic!("{made}")
    };
    let tested = shell(&folder, test, "");
    assert_eq!(tested.code, Some(0), "{template}: {test}: {tested}");
    assert_eq!(dev, "aloft dev");
    let programs = match template {
        "rust-wasm" => rust(),
        _ => Some(nodejs()),
    };
    let dev = project.dev();
    let platform = match programs {
        Some(folder) => dev.programs(folder).start(),
        None => dev.start(),
    };
    let invoked = shell(&folder, invoke, &platform.api);
    assert_eq!(invoked.code, Some(0), "{template}: {invoke}: {invoked}");
    let (method, path, body) = request;
    assert!(curl.contains(path), "{curl}");
    let answer = call(method, &platform.url(path), &[], body.as_bytes()).is(200);
    assert_eq!(&answer.json(), wanted, "{template}");
    let checked = aloft(&folder, &["check"]);
    assert!(checked.stdout.starts_with("mine is right"), "{checked}");
}

const GREETING: (&str, &str, &str) = ("GET", "/hello/Ada", "");

#[test]
fn a_project_in_python_is_begun_tested_and_called() {
    try_out("python", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_project_in_javascript_is_begun_tested_and_called() {
    try_out("node", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_project_in_typescript_is_begun_tested_and_called() {
    try_out("typescript", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_component_in_rust_is_begun_tested_and_called() {
    try_out("rust-wasm", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_component_in_javascript_is_begun_tested_and_called() {
    try_out("js-wasm", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_server_is_begun_tested_and_called() {
    try_out("http", GREETING, &json!({ "hello": "Ada" }));
}

#[test]
fn a_command_is_begun_tested_and_called() {
    try_out("command", ("POST", "/words", "one two"), &json!({ "words": 2 }));
}

#[test]
fn templates_are_listed_and_what_is_there_is_never_overwritten() {
    let project = Project::new(&[("functions/hello.py", "mine")]);
    let folder = project.folder();
    let listed = aloft(&folder, &["init"]);
    assert_eq!(listed.code, Some(0), "{listed}");
    let names = aloft(&folder, &["init", "--json"]).json();
    for item in names["items"].as_array().unwrap() {
        assert!(listed.stdout.contains(item["name"].as_str().unwrap()), "{listed}");
    }
    let refused = aloft(&folder, &["init", "--template", "python"]);
    assert_eq!(refused.code, Some(6), "{refused}");
    assert!(refused.stderr.contains("functions/hello.py"), "{refused}");
    assert!(!folder.join("aloft.toml").exists());
    for (arguments, said) in [
        (["new", "--template", "pyhton"], "there are python"),
        (["new", "--template=python", "--name=A b"], "\"A b\""),
    ] {
        let refused = aloft(&folder, &[&["init"][..], &arguments].concat());
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(refused.stderr.contains(said), "{refused}");
        assert!(!folder.join("new").exists());
    }
    let made = aloft(&folder, &["init", "new/My Shop", "--template", "node"]);
    assert!(
        made.stdout.starts_with("my-shop, ") && made.stderr.contains("cd 'new/My Shop'"),
        "{made}"
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("functions/hello.py")).unwrap(),
        "mine"
    );
}
