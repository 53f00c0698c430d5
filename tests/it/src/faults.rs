//! Handlers that do their worst, beside one that does its work. Each fault is a clear answer to its own caller; the
//! neighbour on the same platform does not notice.

use std::thread;

use rustix::process::Signal;

use crate::harness::{Answer, Platform, Project, get, try_call, wait_for};

const HANDLERS: &str = r#"
import mmap
import os
import resource
import socket
import time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


def healthy(event, context):
    return "well"


def raises(event, context):
    raise ValueError("broken on purpose")


def allocates(event, context):
    held = []
    for _ in range(4096):
        held.append(bytearray(os.urandom(4096)) * 256)
    return "4 GB"


def shares(event, context):
    held = mmap.mmap(-1, 1 << 30)
    for page in range(0, 1 << 30, mmap.PAGESIZE):
        held[page] = 1
    time.sleep(600)


def unmapped(event, context):
    file = os.memfd_create("unmapped")
    for _ in range(1024):
        os.write(file, bytes(1 << 20))
    return "1 GB"


def blinds(event, context):
    for blind in [
        lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)),
        lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
    ]:
        try:
            blind()
            return "the guard is at its mercy"
        except PermissionError:
            pass
    allocates(event, context)


def floods(event, context):
    host, port = API.split(":")
    for _ in range(4):
        connection = socket.create_connection((host, int(port)))
        if os.fork() == 0:
            while True:
                connection.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
        if os.fork() == 0:
            while True:
                connection.recv(1 << 20)
    time.sleep(600)


def not_http(event, context):
    return {"statusCode": "banana"}


def not_json(event, context):
    return object()


calls = 0


def huge(event, context):
    global calls
    calls += 1
    return "x" * (7 << 20) if calls % 2 else str(calls)


def slow(event, context):
    print("slow has begun", flush=True)
    time.sleep(4)
    return "done"


def busy(event, context):
    time.sleep(1)
    return "done"
"#;

const WRONG: &[&str] = &[
    "raises", "shares", "unmapped", "blinds", "floods", "not_http", "not_json", "huge",
];

fn function(name: &str, more: &str) -> String {
    format!(
        "[functions.{name}]\nruntime = \"python3\"\nsource = \"functions\"\nhandler = \"faults.{name}\"\n\
         memory = \"128MB\"\n{more}\n"
    )
}

fn start() -> (Project, Platform) {
    let mut definition = "[project]\nname = \"faults\"\n".to_owned();
    for name in WRONG {
        definition += &function(name, "timeout = \"5s\"");
    }
    definition += &function("healthy", "timeout = \"20s\"");
    definition += &function("slow", "timeout = \"20s\"");
    definition += &function(
        "busy",
        "timeout = \"20s\"\nconcurrency = 1\nqueue = { length = 1, wait = \"20s\" }",
    );
    definition += "[routes]\n";
    for name in WRONG.iter().chain(&["healthy", "slow", "busy"]) {
        definition += &format!("\"GET /{name}\" = \"{name}\"\n");
    }
    let project = Project::new(&[("aloft.toml", &definition), ("functions/faults.py", HANDLERS)]);
    let platform = project.start();
    (project, platform)
}

fn ask(platform: &Platform, name: &str) -> Answer {
    get(&platform.url(&format!("/{name}")))
}

pub(crate) fn healthy(platform: &Platform) {
    assert_eq!(ask(platform, "healthy").is(200).text(), "well");
}

/// Asks for a fault while the neighbour is asked all the time.
pub(crate) fn beside_a_neighbour(platform: &Platform, path: &str) -> Answer {
    thread::scope(|scope| {
        let fault = scope.spawn(|| ask(platform, path));
        healthy(platform);
        while !fault.is_finished() {
            healthy(platform);
        }
        fault.join().unwrap()
    })
}

#[test]
fn a_handler_that_raises_is_502_with_its_words() {
    let (_project, platform) = start();
    let answer = beside_a_neighbour(&platform, "raises").refusal(&[502]);
    let error = answer["error"].to_string();
    assert!(
        error.contains("ValueError") && error.contains("broken on purpose"),
        "{answer}"
    );
    assert!(error.contains("faults.py"), "{answer}");
    let id = answer["request_id"].as_str().unwrap().to_owned();
    platform.event("the call's record", |event| {
        event["event"] == "invocation" && event["function"] == "raises"
    });
    assert_ne!(
        ask(&platform, "raises").refusal(&[502])["request_id"],
        id,
        "a request id is used once"
    );
}

/// The timeout comes although the function keeps the very connections busy that the call is driven by.
#[test]
fn a_flood_of_requests_does_not_put_off_the_timeout() {
    let (_project, platform) = start();
    beside_a_neighbour(&platform, "floods").refusal(&[504]);
}

/// Memory is memory, whether private, shared, or in a file that is none; and nobody switches the guard off.
#[test]
fn no_kind_of_memory_goes_uncounted() {
    let (_project, platform) = start();
    for handler in ["shares", "unmapped", "blinds"] {
        let answer = beside_a_neighbour(&platform, handler).refusal(&[502]);
        let id = &answer["request_id"];
        let event = platform.event(handler, |event| {
            event["event"] == "invocation" && event["invocation"] == *id
        });
        // Where nothing counts it, an unmapped file cannot be made at all.
        let is_right = event["outcome"] == "out_of_memory"
            || handler == "unmapped" && event["error"].to_string().contains("not implemented");
        assert!(is_right, "{handler}: {event}");
    }
}

#[test]
fn a_handler_that_answers_garbage_is_502() {
    let (_project, platform) = start();
    for name in ["not_http", "not_json"] {
        let answer = beside_a_neighbour(&platform, name).refusal(&[502]);
        assert!(
            !answer["error"].is_null(),
            "{name}: dev says what was wrong: {answer}"
        );
    }
    healthy(&platform);
}

/// The caller is told, and the instance is none the worse: it counts on.
#[test]
fn an_answer_above_the_limit_is_502_and_the_instance_goes_on() {
    let (_project, platform) = start();
    for round in 1..=2 {
        let answer = beside_a_neighbour(&platform, "huge").refusal(&[502]);
        assert!(answer["error"].to_string().contains("6291556"), "{answer}");
        assert_eq!(ask(&platform, "huge").is(200).text(), (2 * round).to_string());
    }
    healthy(&platform);
}

#[test]
fn a_full_queue_is_429_with_a_time_to_come_back() {
    let (_project, platform) = start();
    let answers: Vec<Answer> = thread::scope(|scope| {
        let calls: Vec<_> = (0..6).map(|_| scope.spawn(|| ask(&platform, "busy"))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(served >= 1 && !refused.is_empty(), "{answers:?}");
    assert_eq!(served + refused.len(), answers.len(), "{answers:?}");
    for answer in refused {
        let seconds: u64 = answer
            .header("retry-after")
            .expect("Retry-After")
            .parse()
            .unwrap();
        assert!(seconds >= 1);
        assert!(answer.json()["request_id"].is_string(), "{}", answer.text());
    }
    healthy(&platform);
    assert_eq!(ask(&platform, "busy").is(200).text(), "done");
}

#[test]
fn sigterm_drains() {
    let (_project, mut platform) = start();
    let slow_url = platform.url("/slow");
    let running = thread::spawn(move || get(&slow_url));
    platform.event("the call has begun", |event| {
        event["event"] == "log"
            && event["text"]
                .as_str()
                .is_some_and(|text| text.contains("slow has begun"))
    });
    platform.signal(Signal::TERM);
    let refused = wait_for("a refusal of new calls", || {
        match try_call("GET", &platform.url("/healthy"), &[], b"") {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(answer),
            Err(error) => panic!("while it drains, a new call is answered 503, not dropped: {error}"),
        }
    });
    refused.refusal(&[503]);
    assert_eq!(
        running.join().unwrap().is(200).text(),
        "done",
        "what ran was let finish"
    );
    let end = platform.finish();
    assert_eq!(end.code, Some(0), "{end}");
}

/// `kill -9` of the platform: what it started ends with it.
#[test]
fn nothing_survives_the_platform() {
    let (_project, platform) = start();
    let slow_url = platform.url("/slow");
    let running = thread::spawn(move || try_call("GET", &slow_url, &[], b""));
    platform.event("the call has begun", |event| {
        event["event"] == "log" && event["function"] == "slow"
    });
    let mine = descendants(platform.pid());
    assert!(
        !mine.is_empty(),
        "a running function is a process below the platform"
    );
    platform.kill();
    assert!(
        running.join().unwrap().is_err(),
        "a killed platform answers nothing"
    );
    wait_for("the end of its processes", || {
        mine.iter().all(|process| !alive(*process)).then_some(())
    });
}

/// A process is its pid and its start time, for pids come again.
pub(crate) type Process = (u32, u64);

fn processes() -> Vec<(Process, u32)> {
    let entries = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    entries
        .filter_map(|pid: u32| stat(pid).map(|(parent, since)| ((pid, since), parent)))
        .collect()
}

/// Parent and start time (proc(5): fields 4 and 22, counted after the name in parentheses); none for the dead.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    (fields[0] != "Z").then(|| Some((fields[1].parse().ok()?, fields[19].parse().ok()?)))?
}

pub(crate) fn alive((pid, since): Process) -> bool {
    stat(pid).is_some_and(|(_, now)| now == since)
}

pub(crate) fn descendants(of: u32) -> Vec<Process> {
    let all = processes();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for (process, _) in all.iter().filter(|(_, above)| *above == parent) {
            parents.push(process.0);
            found.push(*process);
        }
    }
    found
}
