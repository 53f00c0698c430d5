//! Functions that serve HTTP by themselves.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Project, aloft, get, nodejs, run, script};

/// Packages of npm, in a folder with a package.json.
fn install(folder: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(nodejs()).chain(std::env::split_paths(&path));
    let mut npm = Command::new(nodejs().join("npm"));
    npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(folders).unwrap());
    let finished = run(&mut npm);
    assert_eq!(finished.code, Some(0), "{finished}");
}

#[test]
fn express_flask_and_pythons_own_server_run_unmodified() {
    let project = Project::example("servers");
    install(&project.folder().join("express"));
    let platform = project.dev().programs(nodejs()).start();
    script("servers.py", &[&platform.url("")], &platform.exports());
    let event = project.folder().join("event.json");
    std::fs::write(&event, "{\"n\": 1}").unwrap();
    let invoked = aloft(
        &project.folder(),
        &[
            "invoke",
            "express",
            "-e",
            "event.json",
            "--to",
            &platform.api,
            "--json",
        ],
    );
    assert_eq!(
        invoked.json()["payload"],
        json!({ "called": { "n": 1 } }),
        "{invoked}"
    );
}

#[test]
fn a_server_that_does_not_come_up_is_told_as_what_it_is() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"p\"\n[functions.ends]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"python3\", \"ends.py\"]\n\
             [functions.none]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"no-such-program\"]\n\
             [functions.shell]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"sh\", \"-c\", \"exec python3 -m http.server --bind 127.0.0.1 $PORT\"]\n\
             [routes]\n\"GET /ends\" = \"ends\"\n\"GET /none\" = \"none\"\n\"GET /ends.py\" = \"shell\"\n",
        ),
        ("s/ends.py", "raise SystemExit(3)\n"),
    ]);
    let platform = project.start();
    let answer = get(&platform.url("/ends")).is(502).text();
    assert!(
        answer.contains("ended before the code was loaded: exit status 3"),
        "{answer}"
    );
    let answer = get(&platform.url("/none")).is(503).text();
    assert!(answer.contains("no program \\\"no-such-program\\\""), "{answer}");
    // Any program of the system, too.
    let answer = get(&platform.url("/ends.py")).is(200).text();
    assert_eq!(answer, "raise SystemExit(3)\n");
}
