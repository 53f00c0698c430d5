//! Functions that serve HTTP by themselves.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Project, Raw, aloft, call, get, nodejs, run, script, try_call, wait_for};

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
    let counted = aloft(
        &project.folder(),
        &[
            "invoke",
            "words",
            "-e",
            "event.json",
            "--to",
            &platform.api,
            "--json",
        ],
    );
    assert_eq!(counted.json()["payload"], json!(2), "{counted}");
    platform.event("what a command says of its failure", |event| {
        event["event"] == "log"
            && event["function"] == "words"
            && event["stream"] == "stderr"
            && event["text"] == "GET is not for /words: POST a text"
            && event["invocation"].is_string()
    });
}

#[test]
fn a_command_is_bounded_and_leaves_nothing_behind() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"p\"\n[functions.sh]\nruntime = \"command\"\nsource = \"s\"\ncommand = [\"sh\", \"run.sh\"]\n\
             timeout = \"2s\"\n[routes]\n\"POST /sh\" = \"sh\"\n",
        ),
        (
            "s/run.sh",
            "test -e /tmp/mark && echo again\ntouch /tmp/mark\neval \"$(cat)\"\n",
        ),
    ]);
    let platform = project.start();
    let run = |line: &str| call("POST", &platform.url("/sh"), &[], line.as_bytes());
    assert_eq!(run("echo $Http_Method").is(200).text(), "POST\n");
    let forged = [("path", "/admin"), ("method", "DELETE"), ("query", "x=1")];
    let seen = call(
        "POST",
        &platform.url("/sh"),
        &forged,
        b"echo $Http_Method $Http_Path $Http_Query",
    );
    assert_eq!(seen.text(), "POST /sh\n", "no header stands for these");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = call(
        "POST",
        &platform.url("/sh"),
        &[("traceparent", trace)],
        b"echo $TRACEPARENT",
    );
    assert_eq!(traced.text().trim_end(), trace);
    assert_eq!(run("sleep 60 & echo first").is(200).text(), "first\n");
    run("sleep 60").is(504);
    assert!(run("kill -9 $$").is(502).text().contains("signal: killed"));
    run("python3 -c 'x = [bytearray(1 << 20) for _ in range(1000)]'").is(502);
    let large = run("head -c 3000000 /dev/zero").is(200);
    assert_eq!(large.text().len(), 3_000_000, "more than is held at once");
    let huge = try_call("POST", &platform.url("/sh"), &[], b"head -c 300000000 /dev/zero");
    assert!(huge.is_err(), "it breaks off at 200 MiB");
    assert_eq!(run("echo on").is(200).text(), "on\n");
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
    let answer = get(&platform.url("/none")).is(502).text();
    assert!(answer.contains("the function cannot be run"), "{answer}");
    assert!(answer.contains("no program \\\"no-such-program\\\""), "{answer}");
    // Any program of the system, too.
    let answer = get(&platform.url("/ends.py")).is(200).text();
    assert_eq!(answer, "raise SystemExit(3)\n");
}

/// A server of Python's that answers one connection after the other and tells of each that breaks off.
const PLAIN: &str = r#"
import http.server, os, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/plain/close":
            # The program lives on, and nothing listens any more.
            self.wfile.flush()
            threading.Thread(target=server.shutdown).start()

server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.serve_forever()
server.server_close()
print("closed", flush=True)
threading.Event().wait()
"#;

const PLAIN_TOML: &str = "[project]\nname = \"p\"\n[functions.plain]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"python3\", \"plain.py\"]\n\
                          timeout = \"10s\"\n[routes]\n\"GET /plain/{path+}\" = \"plain\"\n";

#[test]
fn a_look_whether_a_server_listens_is_not_an_error_in_its_log() {
    let project = Project::new(&[("aloft.toml", PLAIN_TOML), ("s/plain.py", PLAIN)]);
    let platform = project.start();
    let first = get(&platform.url("/plain/a")).is(200).text();
    assert_eq!(get(&platform.url("/plain/b")).is(200).text(), first);
    platform.event("what the server says of the second", |event| {
        event["text"]
            .as_str()
            .is_some_and(|text| text.contains("GET /plain/b"))
    });
    let logs = aloft(&project.folder(), &["logs", "--to", &platform.api, "--json"]);
    assert!(logs.stdout.contains("GET /plain/b"), "{logs}");
    assert!(!logs.stdout.contains("Traceback"), "{logs}");
    assert!(!logs.stdout.contains("Error"), "{logs}");
}

#[test]
fn an_instance_whose_server_is_gone_gets_no_further_call() {
    let project = Project::new(&[("aloft.toml", PLAIN_TOML), ("s/plain.py", PLAIN)]);
    let platform = project.start();
    let first = get(&platform.url("/plain/close")).is(200).text();
    platform.event("the server has closed", |event| event["text"] == "closed");
    get(&platform.url("/plain/b")).is(502);
    let second = get(&platform.url("/plain/c")).is(200).text();
    assert!(!first.is_empty() && !second.is_empty());
}

/// A server that says something when it is told to end; with `linger` it does not end then.
const TOLD: &str = r#"
import http.server, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

def told(*_):
    print("writes down what it holds", flush=True)
    if sys.argv[1:]:
        time.sleep(60)
    time.sleep(0.3)
    print("has written it", flush=True)
    os._exit(0)

signal.signal(signal.SIGTERM, told)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

fn told_toml(idle: &str, mark: &str) -> String {
    let function = |name: &str, more: &str| {
        format!(
            "[functions.{name}]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"python3\", \"told.py\"{more}]\nidle = \"{idle}\"\n"
        )
    };
    format!(
        "[project]\nname = \"p\"\n{}{}[routes]\n\"GET /ends\" = \"ends\"\n\"GET /lingers\" = \"lingers\"\n",
        function("ends", ""),
        function("lingers", &format!(", \"{mark}\"")),
    )
}

/// Whether a program runs on this machine that has this argument.
fn runs(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| {
        line.split(|byte| *byte == 0)
            .any(|part| part == argument.as_bytes())
    })
}

#[test]
fn a_server_that_is_unloaded_is_told_before_it_is_killed() {
    let project = Project::new(&[
        ("aloft.toml", &told_toml("1s", "lingers-when-idle")),
        ("s/told.py", TOLD),
    ]);
    let platform = project.start();
    for name in ["ends", "lingers"] {
        get(&platform.url(&format!("/{name}"))).is(204);
    }
    for (name, line) in [
        ("ends", "has written it"),
        ("lingers", "writes down what it holds"),
    ] {
        platform.event("its last words", |event| {
            event["function"] == name && event["text"] == line
        });
    }
    wait_for("what does not end is killed", || {
        (!runs("lingers-when-idle")).then_some(())
    });
    get(&platform.url("/lingers")).is(204);
}

#[test]
fn a_server_is_told_when_the_platform_ends() {
    let project = Project::new(&[
        ("aloft.toml", &told_toml("1h", "lingers-at-the-end")),
        ("s/told.py", TOLD),
    ]);
    let mut platform = project.start();
    for name in ["ends", "lingers"] {
        get(&platform.url(&format!("/{name}"))).is(204);
    }
    platform.signal(Signal::TERM);
    assert_eq!(platform.finish().code, Some(0));
    assert!(!runs("lingers-at-the-end"));
    let platform = project.start();
    let logs = aloft(
        &project.folder(),
        &["logs", "ends", "--since", "1h", "--to", &platform.api],
    );
    assert!(logs.stdout.contains("has written it"), "{logs}");
}

/// A server that takes several calls at once and answers with more than lies in buffers.
const LONG: &str = r#"
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path == "/pid":
            self.wfile.write(MARK)
            return
        for _ in range(1000):
            self.wfile.write(b"x" * 65536)
        print("is heard out", flush=True)

MARK = os.urandom(8).hex().encode()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[test]
fn a_caller_that_does_not_read_costs_no_instance() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"p\"\n[functions.long]\nruntime = \"http\"\nsource = \"s\"\ncommand = [\"python3\", \"long.py\"]\n\
             timeout = \"4s\"\ncalls = 2\n[routes]\n\"GET /pid\" = \"long\"\n\"GET /long\" = \"long\"\n",
        ),
        ("s/long.py", LONG),
    ]);
    let platform = project.start();
    let mark = get(&platform.url("/pid")).is(200).text();
    let mut raw = Raw::connect(&platform.app);
    raw.send(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    platform.event("the server is heard out", |event| event["text"] == "is heard out");
    let ended = platform.event("its call ends", |event| {
        event["event"] == "invocation" && event["out_bytes"].as_u64() > Some(1 << 20)
    });
    assert_eq!(ended["outcome"], "ok", "{ended}");
    assert_eq!(get(&platform.url("/pid")).is(200).text(), mark, "it lives on");
}
