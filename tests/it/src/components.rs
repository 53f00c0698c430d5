//! Functions as WebAssembly components: what they can do, what they cannot, and what becomes of those that do their worst.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::json;

use crate::harness::{
    Platform, Project, Raw, aloft, call, component, get, quiet_aws, run, script, tool, try_call, wait_for,
};

const DEFINITION: &str = r#"
[project]
name = "p"

[functions.guest]
runtime = "wasm"
source = "code"
handler = "guest.wasm"
memory = "128MB"
timeout = "2s"
environment = { MINE = "of the definition" }

[routes]
"ANY /{path+}" = "guest"
"#;

/// A project with the component that does what it is asked.
fn project() -> Project {
    let project = Project::new(&[("aloft.toml", DEFINITION)]);
    fs::create_dir(project.folder().join("code")).unwrap();
    put(&project, "component", "code/guest.wasm");
    project
}

/// Puts a component into a project, whole at once.
fn put(project: &Project, name: &str, place: &str) {
    let (draft, place) = (project.folder().join("draft"), project.folder().join(place));
    fs::copy(component(name), &draft).unwrap();
    fs::rename(draft, place).unwrap();
}

fn text(platform: &Platform, path: &str) -> String {
    get(&platform.url(path)).is(200).text()
}

#[test]
fn the_examples_in_rust_and_python_run() {
    let project = Project::example("wasm");
    fs::create_dir_all(project.folder().join("build")).unwrap();
    for name in ["visits", "shout"] {
        put(&project, name, &format!("build/{name}.wasm"));
    }
    let platform = project.start();
    for visits in 1..=3 {
        let answer = get(&platform.url("/visits/home")).is(200);
        assert_eq!(answer.json(), json!({ "page": "home", "visits": visits }));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(get(&platform.url("/visits/other")).json()["visits"], 1);
    let long = "What is said, again. ".repeat(5_000);
    let answer = call("POST", &platform.url("/shout"), &[], long.as_bytes()).is(200);
    assert_eq!(answer.text(), long.to_uppercase());
    platform.event("what it printed", |event| {
        event["event"] == "log"
            && event["function"] == "shout"
            && event["stream"] == "stdout"
            && event["text"] == format!("shouting {} characters", long.len())
            && event["invocation"].is_string()
    });
}

#[test]
fn each_call_has_an_instance_of_its_own_and_what_it_may_touch() {
    let project = project();
    let platform = project.start();
    for _ in 0..5 {
        assert_eq!(text(&platform, "/calls"), "1");
    }
    assert_eq!(text(&platform, "/env?MINE"), "of the definition");
    assert_eq!(text(&platform, "/env?AWS_LAMBDA_FUNCTION_NAME"), "guest");
    assert_eq!(
        text(&platform, "/env?AWS_ENDPOINT_URL"),
        "http://aloft.internal:4566"
    );
    assert_eq!(text(&platform, "/env?PATH"), "", "nothing of a process");
    assert_eq!(text(&platform, "/print"), "printed");
    for (stream, line) in [
        ("stdout", "to stdout"),
        ("stdout", "and a line without end"),
        ("stderr", "to stderr"),
    ] {
        platform.event(line, |event| {
            event["event"] == "log" && event["stream"] == stream && event["text"] == line
        });
    }
    // The services answer, though not to nonsense.
    assert_eq!(text(&platform, "/fetch?http/aloft.internal:4566"), "400");
    // Nothing else can be reached, not even on this machine, and the log says so.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let others = [
        format!("http/{}", listener.local_addr().unwrap()),
        "https/aloft.internal:4566".to_owned(),
        "http/aloft.internal".to_owned(),
    ];
    for other in others {
        let told = text(&platform, &format!("/fetch?{other}"));
        assert!(told.contains("HttpRequestDenied"), "{other}: {told}");
    }
    assert!(listener.accept().is_err(), "nobody came");
    platform.event("the refusal", |event| {
        event["stream"] == "platform"
            && event["text"].as_str().is_some_and(|text| {
                text.starts_with("the connection to aloft.internal:4566 was refused: the function's egress")
            })
    });
    fs::write(project.folder().join("event.json"), "{\"n\": [1, 2]}").unwrap();
    let invoked = aloft(
        &project.folder(),
        &[
            "invoke",
            "guest",
            "-e",
            "event.json",
            "--to",
            &platform.api,
            "--json",
        ],
    );
    assert_eq!(invoked.json()["payload"], json!({ "n": [1, 2] }), "{invoked}");
}

#[test]
fn bodies_stream_both_ways() {
    let project = project();
    let platform = project.start();
    let mut raw = Raw::connect(&platform.app);
    raw.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    // The answer's beginning is here while the request's end is not.
    let seen = raw.until(b"first");
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    raw.send(b"6\r\nsecond\r\n0\r\n\r\n");
    raw.until(b"second");
    let large = vec![b'x'; 3 << 20];
    let answer = call("POST", &platform.url("/echo"), &[], &large).is(200);
    assert_eq!(answer.text().len(), large.len());
    let mut raw = Raw::connect(&platform.app);
    raw.send(b"GET /drip HTTP/1.1\r\nhost: x\r\n\r\n");
    let seen = raw.until(b"one\n");
    assert!(
        seen.starts_with("HTTP/1.1 200") && !seen.contains("two"),
        "{seen}"
    );
    let rest = raw.until(b"0\r\n\r\n");
    assert!(rest.contains("two\n") && rest.contains("three\n"), "{rest}");
    // A body that breaks off in the middle is the caller's loss alone.
    let mut raw = Raw::connect(&platform.app);
    raw.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npart");
    raw.until(b"part");
    drop(raw);
    assert_eq!(text(&platform, "/hello"), "hello\n");
}

#[test]
fn guests_that_do_their_worst_fail_alone() {
    let project = project();
    let platform = project.start();
    assert_eq!(text(&platform, "/hello"), "hello\n");
    thread::scope(|scope| {
        // More that compute without end than there are threads: the others are answered all the same.
        let spinning: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| get(&platform.url("/spin")).is(504).text()))
            .collect();
        while spinning.iter().any(|one| !one.is_finished()) {
            assert_eq!(text(&platform, "/hello"), "hello\n");
        }
        for told in spinning {
            let told = told.join().unwrap();
            assert!(told.contains("did not answer within 2s"), "{told}");
        }
    });
    let grown = get(&platform.url("/grow")).is(502).text();
    assert!(grown.contains("more than its 128 MB"), "{grown}");
    let trapped = get(&platform.url("/trap")).is(502).text();
    assert!(trapped.contains("unreachable"), "{trapped}");
    let silent = get(&platform.url("/silent")).is(502).text();
    assert!(silent.contains("without an answer"), "{silent}");
    let refused = get(&platform.url("/refuse")).is(502).text();
    assert!(refused.contains("InternalError"), "{refused}");
    let half = try_call("GET", &platform.url("/half"), &[], b"");
    assert!(half.is_err(), "a half is not taken for the whole");
    get(&platform.url("/sleep?60000")).is(504);
    assert_eq!(text(&platform, "/hello"), "hello\n");
    // What it printed before it fell is there, and the call knows why.
    let explained = platform.event("the trap's call", |event| {
        event["event"] == "invocation"
            && event["error"]
                .as_str()
                .is_some_and(|why| why.contains("unreachable"))
    });
    assert_eq!(explained["function"], "guest", "{explained}");
}

#[test]
fn many_run_at_once_and_each_within_its_bound() {
    let project = project();
    project.replace(
        "aloft.toml",
        &DEFINITION.replace("timeout", "concurrency = 20\ntimeout"),
    );
    let platform = project.start();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| assert_eq!(text(&platform, "/sleep?200"), "slept"));
        }
    });
    let shown = aloft(&project.folder(), &["ps", "--json", "--to", &platform.api]).json();
    let instances = shown.pointer("/items/0/instances").and_then(|all| all.as_array());
    let instances = instances.unwrap_or_else(|| panic!("{shown}")).len();
    assert!((1..=20).contains(&instances), "{shown}");
}

#[test]
fn a_component_is_compiled_once_a_node_and_only_its_own_work_is_taken() {
    let project = project();
    let platform = project.start();
    assert_eq!(text(&platform, "/hello"), "hello\n");
    platform.kill();
    let folder = project.data().join("wasm");
    let code: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "cwasm"))
        .collect();
    let [code] = &code[..] else { panic!("{code:?}") };
    let first = fs::metadata(code).unwrap();
    // Not compiled again by the next start.
    let platform = project.start();
    assert_eq!(text(&platform, "/hello"), "hello\n");
    platform.kill();
    let inode = |known: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(known);
    assert_eq!(inode(&fs::metadata(code).unwrap()), inode(&first));
    // One byte of it is changed, as by somebody who can write there: it is compiled anew.
    let mut bytes = fs::read(code).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(code, &bytes).unwrap();
    let platform = project.start();
    assert_eq!(text(&platform, "/hello"), "hello\n");
    assert_ne!(fs::read(code).unwrap(), bytes);
}

#[test]
fn what_is_no_component_is_refused_with_the_reason_and_changes_nothing() {
    let project = project();
    let platform = project.start();
    assert_eq!(text(&platform, "/hello"), "hello\n");
    let mistakes: [(&[u8], &str); 3] = [
        (b"no wasm at all", "cannot be compiled"),
        // A core module.
        (b"\0asm\x01\0\0\0", "cannot be compiled"),
        // A component that answers nothing.
        (b"\0asm\x0d\0\x01\0", "incoming-handler"),
    ];
    for (bytes, expected) in mistakes {
        let draft = project.folder().join("draft");
        fs::File::create(&draft).unwrap().write_all(bytes).unwrap();
        fs::rename(draft, project.folder().join("code/guest.wasm")).unwrap();
        platform.event(expected, |event| {
            event["event"] == "reload"
                && event["ok"] == false
                && event["error"]
                    .as_str()
                    .is_some_and(|text| text.contains(expected))
        });
        assert_eq!(text(&platform, "/hello"), "hello\n", "what ran before goes on");
    }
    put(&project, "component", "code/guest.wasm");
    wait_for("the component again", || {
        (text(&platform, "/hello") == "hello\n").then_some(())
    });
}

#[test]
fn a_component_is_made_and_called_by_lambdas_api() {
    let project = Project::new(&[]);
    let platform = project.start();
    let folder = project.folder();
    let zip = folder.join("code.zip");
    let mut packing = Command::new(tool("python3"));
    packing
        .args(["-m", "zipfile", "-c"])
        .args([Path::new("code.zip"), &component("component")])
        .current_dir(&folder);
    assert_eq!(run(&mut packing).code, Some(0));
    let aws = |arguments: &[&str]| {
        let mut command = Command::new(tool("aws"));
        command.args(arguments).current_dir(&folder);
        run(quiet_aws(&mut command).envs(platform.exports()))
    };
    let zip = format!("fileb://{}", zip.display());
    let role = "arn:aws:iam::000000000000:role/any";
    let made = aws(&[
        "lambda",
        "create-function",
        "--function-name",
        "guest",
        "--runtime",
        "wasm",
        "--handler",
        "component.wasm",
        "--role",
        role,
        "--zip-file",
        &zip,
        "--memory-size",
        "128",
    ]);
    assert_eq!(made.json()["Runtime"], "wasm", "{made}");
    let called = aws(&[
        "lambda",
        "invoke",
        "--function-name",
        "guest",
        "--payload",
        "{\"n\": 1}",
        "answer.json",
    ]);
    assert_eq!(called.json()["StatusCode"], 200, "{called}");
    assert_eq!(
        fs::read_to_string(folder.join("answer.json")).unwrap(),
        "{\"n\": 1}"
    );
    let bytes = component("component");
    script("components.py", &[bytes.to_str().unwrap()], &platform.exports());
    platform.event("the last call", |event| {
        event["function"] == "bare" && event["in_bytes"] == "\"the last\"".len()
    });
    let compiled = platform.count(|event| {
        event["event"] == "build"
            && event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("compiling "))
    });
    assert_eq!(
        compiled, 3,
        "the one that is right, however it is given, and two that are wrong"
    );
}
