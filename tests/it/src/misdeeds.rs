//! What the worst of handlers do, one by one: the call that did it gets its own clear error, a neighbour's calls all succeed
//! meanwhile, and the same function's next call works.

use std::thread;

use serde_json::Value;

use crate::faults::{Process, alive, beside_a_neighbour, descendants, healthy};
use crate::harness::{Platform, Project, get, wait_for};

/// Each handler does its deed, except when the query says that it shall do well.
const HANDLERS: &str = r#"
import http.client
import json
import os
import socket
import sys
import time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]

if os.environ["_HANDLER"] == "misdeeds.hangs":
    time.sleep(600)


def hangs(event, context):
    return "never reached"


def healthy(event, context):
    return "well"


def misdeed(deed):
    def handler(event, context):
        query = event.get("rawQueryString", "")
        return "well" if query == "well" else deed(query, context)

    return handler


@misdeed
def exits(query, context):
    os._exit(7)


@misdeed
def loops(query, context):
    while True:
        pass


@misdeed
def allocates(query, context):
    held = []
    for _ in range(4096):
        held.append(bytearray(os.urandom(4096)) * 256)
    return "4 GB"


@misdeed
def forks(query, context):
    for number in range(10_000):
        try:
            child = os.fork()
        except OSError:
            print("children:", number, flush=True)
            raise
        if child == 0:
            time.sleep(600)
    return "10,000"


@misdeed
def logs(query, context):
    lines = ("x" * 1023 + "\n") * 1024
    for _ in range(1024):
        sys.stdout.write(lines)
    return "1 GB"


@misdeed
def babbles(query, context):
    while True:
        sys.stdout.write("x" * 1023 + "\n")


@misdeed
def closes(query, context):
    os.closerange(3, 1024)
    return "closed"


def hiss():
    host, port = API.split(":")
    connection = socket.create_connection((host, int(port)))
    try:
        connection.sendall(b"\x00\xff\x16 noise\r\n\r\n" * 1000)
    except ConnectionError:
        pass
    return connection


@misdeed
def noise(query, context):
    hiss()
    os._exit(0)


@misdeed
def hisses(query, context):
    with hiss() as connection:
        heard = b""
        try:
            while part := connection.recv(4096):
                heard += part
        except ConnectionError:
            pass
    return {"heard": heard.decode("latin-1")}


def begin(context, what, length, kind="response"):
    """Begins to answer, and never ends it."""
    host, port = API.split(":")
    connection = socket.create_connection((host, int(port)))
    path = f"/2018-06-01/runtime/invocation/{context.aws_request_id}/{kind}"
    head = f"POST {path} HTTP/1.1\r\nHost: {API}\r\nLambda-Runtime-Function-Error-Type: Function.Torn\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n{what}".encode())
    return connection


@misdeed
def tears(query, context):
    begin(context, "half of it", 100, query).close()
    time.sleep(600)


@misdeed
def dies(query, context):
    begin(context, "half of it", 100)
    os._exit(9)


@misdeed
def wordy(query, context):
    raise ValueError("many words " * 100_000)


def post(invocation, body):
    connection = http.client.HTTPConnection(API, timeout=5)
    connection.request("POST", f"/2018-06-01/runtime/invocation/{invocation}/response", body)
    answer = connection.getresponse()
    return {"status": answer.status, **json.loads(answer.read())}


@misdeed
def twice(query, context):
    post(context.aws_request_id, json.dumps("first " + query))
    return "second"


@misdeed
def other(query, context):
    return post(query, '"not mine"')


def slow(event, context):
    print("slow has begun", flush=True)
    while context.get_remaining_time_in_millis() > 14_000:
        time.sleep(0.05)
    return "mine"
"#;

/// A project with these functions beside the healthy one.
fn start(functions: &[(&str, &str)]) -> (Project, Platform) {
    let (mut definition, mut routes) = (
        "[project]\nname = \"misdeeds\"\n".to_owned(),
        "[routes]\n".to_owned(),
    );
    for (name, more) in functions.iter().chain(&[("healthy", "timeout = \"20s\"")]) {
        let memory = if more.contains("memory") {
            ""
        } else {
            "memory = \"128MB\"\n"
        };
        definition += &format!(
            "[functions.{name}]\nruntime = \"python3\"\nsource = \"functions\"\nhandler = \"misdeeds.{name}\"\n{memory}{more}\n"
        );
        routes += &format!("\"GET /{name}\" = \"{name}\"\n");
    }
    definition += &routes;
    let project = Project::new(&[("aloft.toml", &definition), ("functions/misdeeds.py", HANDLERS)]);
    let platform = project.start();
    (project, platform)
}

/// The deed's own call ends so, with these words, and so does its record; the neighbour and the next call are well.
fn fails(platform: &Platform, path: &str, status: u16, outcome: &str, words: &[&str]) -> Value {
    let answer = beside_a_neighbour(platform, path).refusal(&[status]);
    let error = answer["error"].to_string();
    for word in words {
        assert!(error.contains(word), "no {word:?} in {answer}");
    }
    let record = record(platform, &answer["request_id"]);
    assert_eq!(record["outcome"], outcome, "{record}");
    goes_on(platform, path);
    answer
}

fn record(platform: &Platform, id: &Value) -> Value {
    platform.event("the call's record", |event| {
        event["event"] == "invocation" && event["invocation"] == *id
    })
}

/// The same function's next call works, and so does the neighbour's.
fn goes_on(platform: &Platform, path: &str) {
    let name = path.split('?').next().unwrap();
    let answer = get(&platform.url(&format!("/{name}?well")));
    assert_eq!(answer.is(200).text(), "well", "the next call of {name}");
    healthy(platform);
}

#[test]
fn one_that_ends_its_process() {
    let (_project, platform) = start(&[("exits", "timeout = \"5s\"")]);
    for _ in 0..3 {
        fails(&platform, "exits", 502, "exited", &["exit status 7"]);
    }
}

/// It is told as what it is, though a call may wait no longer for a free instance than the code may load.
#[test]
fn one_that_hangs_while_it_loads() {
    let (_project, platform) = start(&[("hangs", "timeout = \"5s\"\nqueue = { wait = \"1s\" }")]);
    let answer = beside_a_neighbour(&platform, "hangs").refusal(&[502]);
    let error = answer["error"].to_string();
    assert!(
        error.contains("Runtime.InitTimeout") && error.contains("not loaded within 10 seconds"),
        "{answer}"
    );
    assert_eq!(record(&platform, &answer["request_id"])["outcome"], "init_failed");
    healthy(&platform);
}

#[test]
fn one_that_loops() {
    let (_project, platform) = start(&[("loops", "timeout = \"2s\"")]);
    fails(
        &platform,
        "loops",
        504,
        "timed_out",
        &["did not answer within 2s"],
    );
}

#[test]
fn one_that_takes_4_gb() {
    let (_project, platform) = start(&[("allocates", "timeout = \"20s\"")]);
    fails(
        &platform,
        "allocates",
        502,
        "out_of_memory",
        &["more than its 128 MB"],
    );
}

/// 1,024 processes are what a sandbox may have, with the instance's own; none of them outlives the instance.
#[test]
fn one_that_forks_10_000_children() {
    let (_project, platform) = start(&[(
        "forks",
        "timeout = \"30s\"\nmemory = \"2GB\"\nidle = \"2s\"\nconcurrency = 1",
    )]);
    healthy(&platform);
    let before = descendants(platform.pid());
    fails(
        &platform,
        "forks",
        502,
        "raised",
        &["BlockingIOError", "Resource temporarily unavailable"],
    );
    let line = platform.event("how many it made", |event| {
        event["event"] == "log"
            && event["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("children: "))
    });
    let children: usize = line["text"].as_str().unwrap()["children: ".len()..]
        .trim()
        .parse()
        .unwrap();
    assert!((500..1024).contains(&children), "{children} children");
    let of_forks: Vec<Process> = descendants(platform.pid())
        .into_iter()
        .filter(|process| !before.contains(process))
        .collect();
    wait_for("the end of every child, while the platform runs", || {
        of_forks.iter().all(|process| !alive(*process)).then_some(())
    });
    healthy(&platform);
    goes_on(&platform, "forks");
}

/// It waits for whoever reads, and is none the worse.
#[test]
fn one_that_writes_1_gb_of_logs() {
    let (_project, platform) = start(&[("logs", "timeout = \"120s\"")]);
    let answer = beside_a_neighbour(&platform, "logs");
    assert_eq!(answer.is(200).text(), "1 GB");
    let peak = platform.resident_peak();
    assert!(peak < 256 << 20, "{peak} bytes resident after 1 GB of logs");
    goes_on(&platform, "logs");
}

#[test]
fn one_that_writes_logs_without_end() {
    let (_project, platform) = start(&[("babbles", "timeout = \"2s\"")]);
    fails(
        &platform,
        "babbles",
        504,
        "timed_out",
        &["did not answer within 2s"],
    );
    let peak = platform.resident_peak();
    assert!(peak < 256 << 20, "{peak} bytes resident");
}

#[test]
fn one_that_closes_its_socket() {
    let (_project, platform) = start(&[("closes", "timeout = \"5s\"")]);
    for _ in 0..2 {
        fails(&platform, "closes", 502, "exited", &["exit status 1"]);
    }
}

/// What is no HTTP is refused on its own connection, and ends nothing but that.
#[test]
fn one_that_sends_garbage_to_the_platform() {
    let (_project, platform) = start(&[("noise", "timeout = \"5s\""), ("hisses", "timeout = \"10s\"")]);
    for _ in 0..2 {
        fails(&platform, "noise", 502, "exited", &["exit status 0"]);
        let answer = beside_a_neighbour(&platform, "hisses").is(200).json();
        let heard = answer["heard"].as_str().unwrap();
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 400"), "{heard}");
        goes_on(&platform, "hisses");
    }
}

/// The process's own end says more than that its answer broke off.
#[test]
fn one_whose_answer_breaks_off() {
    let (_project, platform) = start(&[("tears", "timeout = \"20s\""), ("dies", "timeout = \"20s\"")]);
    fails(
        &platform,
        "tears?response",
        502,
        "raised",
        &["Runtime.TruncatedResponse", "ended early"],
    );
    fails(
        &platform,
        "tears?error",
        502,
        "raised",
        &["Function.Torn", "half of it"],
    );
    fails(&platform, "dies", 502, "exited", &["exit status 9"]);
}

#[test]
fn one_that_raises_a_megabyte_of_words() {
    let (_project, platform) = start(&[("wordy", "timeout = \"20s\"")]);
    let answer = fails(
        &platform,
        "wordy",
        502,
        "raised",
        &["ValueError", "many words many words"],
    );
    let length = answer["error"].to_string().len();
    assert!((200 << 10..600 << 10).contains(&length), "{length} bytes");
}

/// The first answer counts. The second is refused to the process and must never reach another call.
#[test]
fn one_that_answers_twice() {
    let (_project, platform) = start(&[("twice", "timeout = \"5s\"\nconcurrency = 1")]);
    for round in 0..10 {
        let answer = beside_a_neighbour(&platform, &format!("twice?{round}"));
        assert_eq!(answer.is(200).text(), format!("first {round}"));
        goes_on(&platform, "twice");
    }
    platform.event("the second was refused", |event| {
        event["event"] == "log"
            && event["function"] == "twice"
            && event["text"].to_string().contains("InvalidRequestID")
    });
}

/// Not even with the id of a call that runs at this moment.
#[test]
fn one_that_answers_another_functions_call() {
    let (_project, platform) = start(&[("other", "timeout = \"5s\""), ("slow", "timeout = \"20s\"")]);
    thread::scope(|scope| {
        let slow = scope.spawn(|| get(&platform.url("/slow")));
        let line = platform.event("the other call runs", |event| {
            event["event"] == "log" && event["function"] == "slow"
        });
        let id = line["invocation"].as_str().unwrap_or_else(|| panic!("{line}"));
        let refused = |id: &str| {
            let answer = beside_a_neighbour(&platform, &format!("other?{id}"))
                .is(200)
                .json();
            assert_eq!(
                (&answer["status"], &answer["errorType"]),
                (&400.into(), &"InvalidRequestID".into()),
                "{answer}"
            );
        };
        refused(id);
        assert!(
            !slow.is_finished(),
            "the other call ended before: it proves nothing"
        );
        refused("00000000-0000-4000-8000-000000000000");
        refused("nonsense");
        goes_on(&platform, "other");
        assert_eq!(slow.join().unwrap().is(200).text(), "mine");
    });
}
