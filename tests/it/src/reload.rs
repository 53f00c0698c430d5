//! The loop of a developer: edit, ask, see.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Engine, Platform, Project, Store, aloft, get, server, wait_for};

const DEFINITION: &str = r#"
[project]
name = "reload"
[functions.hello]
runtime = "python3"
source = "functions"
handler = "hello.handler"
[routes]
"GET /hello" = "hello"
"#;

fn hello(text: &str) -> String {
    format!("import words\n\n\ndef handler(event, context):\n    return words.say(\"{text}\")\n")
}

const WORDS: &str = "def say(text):\n    return text\n";

fn start() -> (Project, Platform) {
    let project = Project::new(&[
        ("aloft.toml", DEFINITION),
        ("functions/hello.py", &hello("one")),
        ("functions/words.py", WORDS),
    ]);
    let platform = project.start();
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "one");
    (project, platform)
}

#[test]
fn the_next_request_runs_the_new_code() {
    let (project, platform) = start();
    project.write("functions/hello.py", &hello("two"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "two");
    project.replace("functions/hello.py", &hello("six"));
    assert_eq!(
        get(&platform.url("/hello")).is(200).text(),
        "six",
        "same length, by rename"
    );
    project.write("functions/words.py", "def say(text):\n    return text.upper()\n");
    assert_eq!(
        get(&platform.url("/hello")).is(200).text(),
        "SIX",
        "a module beside the handler"
    );
    platform.event("a reload that names the file", |event| {
        event["event"] == "reload" && event.to_string().contains("words.py")
    });
}

/// In dev the answer itself says where the mistake is, and so do the log and the terminal.
#[test]
fn broken_code_answers_with_file_and_line_until_it_is_mended() {
    let (project, platform) = start();
    let broken = [
        (
            "a syntax error",
            "import words\n\n\ndef handler(event, context:\n    return 1\n",
            4,
        ),
        (
            "an error at import",
            "import words\nimport no_such_module\n\n\ndef handler(e, c):\n    return 1\n",
            2,
        ),
        (
            "an error in a call",
            "def handler(event, context):\n    x = 1\n    return x / 0\n",
            3,
        ),
    ];
    for (what, code, line) in broken {
        project.write("functions/hello.py", code);
        let answer = get(&platform.url("/hello")).refusal(&[502]);
        let names_the_place = |text: &str| {
            text.contains("hello.py")
                && (text.contains(&format!("line {line}")) || text.contains(&format!("hello.py:{line}")))
        };
        let error = answer["error"].to_string();
        assert!(names_the_place(&error), "{what}: {error}");
        let id = &answer["request_id"];
        let event = platform.event(what, |event| {
            event["event"] == "invocation" && event["invocation"] == *id
        });
        assert!(names_the_place(&event["error"].to_string()), "{what}: {event}");
        let id = id.as_str().unwrap();
        let logs = aloft(
            &project.folder(),
            &["logs", "--invocation", id, "--to", &platform.api],
        );
        assert!(names_the_place(&logs.stdout), "{what}: {logs}");
    }
    project.write("functions/hello.py", &hello("mended"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "mended");
}

/// A call by hand finds the newest code as a request does.
#[test]
fn the_next_invoke_runs_the_new_code() {
    let (project, platform) = start();
    for text in ["two", "three", "four"] {
        project.write("functions/hello.py", &hello(text));
        let done = aloft(&project.folder(), &["invoke", "hello", "--to", &platform.api]);
        assert!(done.stdout.contains(text), "{done}");
    }
}

/// What is broken is told; what is not goes on changing.
#[test]
fn a_broken_definition_or_list_of_requirements_stops_no_other_edit() {
    let (project, platform) = start();
    project.write("aloft.toml", &DEFINITION.replace("handler = ", "handlr = "));
    project.write("functions/hello.py", &hello("two"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "two");

    let second = r#"
[functions.second]
runtime = "python3"
source = "second"
handler = "second.handler"
"#;
    project.write("second/second.py", "def handler(event, context):\n    return 1\n");
    project.write("aloft.toml", &format!("{DEFINITION}{second}"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "two");
    project.write("second/requirements.txt", "--no-such-option\n");
    project.write("functions/hello.py", &hello("three"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "three");
    platform.event("the list", |event| {
        event["event"] == "reload" && event["ok"] == false && event["error"].to_string().contains("second")
    });
    let done = aloft(&project.folder(), &["invoke", "second", "--to", &platform.api]);
    assert_eq!(done.stdout.trim(), "1", "what ran before goes on: {done}");
}

/// A definition with a mistake changes nothing: what ran goes on, and the mistake is told.
#[test]
fn a_broken_definition_leaves_the_former_one_running() {
    let (project, platform) = start();
    project.write("aloft.toml", &DEFINITION.replace("handler = ", "handlr = "));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "one");
    platform.event("the mistake", |event| {
        event["event"] == "reload" && event["ok"] == false
    });
    project.write("aloft.toml", &DEFINITION.replace("GET /hello", "GET /hallo"));
    assert_eq!(get(&platform.url("/hallo")).is(200).text(), "one");
    get(&platform.url("/hello")).refusal(&[404]);
}

/// An interpreter that compiles when it is told to. Nothing else of it is needed: no function runs here.
const SLOW_PYTHON: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$*" in
*compileall*)
    touch "$here/compiling"
    while [ -e "$here/hold" ]; do sleep 0.01; done
    ;;
*)
    echo '{"major":3,"minor":29,"micro":0,"executable":"'"$0"'","needs":[]}'
    ;;
esac
"#;

/// Neither a request nor another edit comes to the rescue: what changes during a build is built after it.
#[test]
fn an_edit_during_a_build_is_built_too() {
    let project = Project::new(&[
        ("aloft.toml", DEFINITION),
        ("functions/hello.py", &hello("one")),
        ("functions/words.py", WORDS),
        ("programs/python3", SLOW_PYTHON),
    ]);
    let programs = project.folder().join("programs");
    let executable = Permissions::from_mode(0o755);
    std::fs::set_permissions(programs.join("python3"), executable).unwrap();
    let platform = project.dev().programs(programs.clone()).start();

    project.write("programs/hold", "");
    std::fs::remove_file(programs.join("compiling")).unwrap();
    project.write("functions/hello.py", &hello("two"));
    wait_for("the build has begun", || {
        programs.join("compiling").exists().then_some(())
    });
    project.write("functions/words.py", "def say(text):\n    return \"late\"\n");
    std::fs::remove_file(programs.join("hold")).unwrap();
    platform.event("a reload with the later edit", |event| {
        event["event"] == "reload" && event["ok"] == true && event["changed"].to_string().contains("words.py")
    });
    let artifacts = std::fs::read_dir(project.data().join("artifacts")).unwrap();
    let is_built = artifacts
        .flatten()
        .filter_map(|artifact| std::fs::read_to_string(artifact.path().join("words.py")).ok())
        .any(|text| text.contains("late"));
    assert!(is_built, "the reload ran what was there before the edit");
}

/// Also for a source below other folders, which are none of the project's business but for the way they are.
#[test]
fn a_source_folder_may_go_and_come_back() {
    let definition = DEFINITION.replace("\"functions\"", "\"services/hello/functions\"");
    let project = Project::new(&[
        ("aloft.toml", &definition),
        ("services/hello/functions/hello.py", &hello("one")),
        ("services/hello/functions/words.py", WORDS),
    ]);
    let platform = project.start();
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "one");
    // In one step: deleted file by file, a change without `words.py` may be built in between, rightly.
    std::fs::rename(
        project.folder().join("services/hello"),
        project.folder().with_file_name("aside"),
    )
    .unwrap();
    platform.event("a reload that fails", |event| {
        event["event"] == "reload" && event["ok"] == false && event.to_string().contains("services/hello")
    });
    assert_eq!(
        get(&platform.url("/hello")).is(200).text(),
        "one",
        "what ran goes on"
    );
    project.write("services/hello/functions/words.py", WORDS);
    project.write("services/hello/functions/hello.py", &hello("two"));
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "two");
}

/// About the database, so always over it. It lets nobody in for longer than the store's patience; once it does, the edit runs without
/// another one.
#[test]
fn a_reload_that_the_database_missed_is_done_when_it_is_back() {
    let with_table = format!("{DEFINITION}[tables.words]\nhash = \"word:S\"\n");
    let project = Project::over(
        Engine::Postgres,
        &[
            ("aloft.toml", &with_table),
            ("functions/hello.py", &hello("one")),
            ("functions/words.py", WORDS),
        ],
    );
    let platform = project.start();
    let Store::Database(name, _) = project.store() else {
        panic!("the project is over a database")
    };
    let lets_in = |allowed: bool| {
        let closed = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}");
        server().execute("postgres", &closed).unwrap();
    };
    lets_in(false);
    let ended = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server().execute("postgres", &ended).unwrap();
    let more = with_table.replace("\"GET /hello\" =", "\"GET /later\" = \"hello\"\n\"GET /hello\" =");
    project.write("aloft.toml", &more);
    let is_reload = |event: &serde_json::Value, ok: bool| {
        event["event"] == "reload" && event["ok"] == ok && event["changed"].to_string().contains("aloft.toml")
    };
    platform.event("a reload that fails", |event| is_reload(event, false));
    lets_in(true);
    platform.event("the same reload, done", |event| is_reload(event, true));
    assert_eq!(get(&platform.url("/later")).is(200).text(), "one");
}
