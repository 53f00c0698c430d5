//! Functions that are made by Lambda's API.

use serde_json::json;

use crate::harness::{
    Project, binary, clients, example, get, nodejs, quiet_aws, run, script, send, tool, wait_for,
};

#[test]
fn an_unmodified_sdk_and_command_line_make_and_call_functions() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("functions.py", &["made"], &platform.exports());
}

#[test]
fn functions_run_in_node_and_as_programs_of_their_own() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"p\"\n[functions.hello]\nsource = \"js\"\nruntime = \"nodejs\"\nhandler = \"index.handler\"\n\
             [routes]\n\"GET /js/{name}\" = \"hello\"\n",
        ),
        (
            "js/index.js",
            "exports.handler = async (event) => ({ hello: event.pathParameters.name });\n",
        ),
    ]);
    let platform = project.dev().programs(nodejs()).start();
    let answer = get(&platform.url("/js/you")).is(200);
    assert_eq!(answer.json()["hello"], "you");
    project.replace("js/index.js", "exports.handler = async () => 'edited';\n");
    assert_eq!(get(&platform.url("/js/you")).is(200).text(), "edited");
    script("runtimes.py", &[], &platform.exports());
}

const DEFINITION: &str = "[project]\nname = \"p\"\n[functions.hello]\nsource = \"hello\"\nruntime = \"python3\"\nhandler = \"app.handler\"\n";

#[test]
fn functions_of_a_project_are_called_by_the_same_tools() {
    let project = Project::new(&[
        ("aloft.toml", DEFINITION),
        ("hello/app.py", "def handler(event, context):\n    return event\n"),
    ]);
    let platform = project.start();
    script("functions.py", &["project"], &platform.exports());
    // What was made is there after the node was killed, and its name is taken.
    platform.kill();
    let platform = project.start();
    script("functions.py", &["again"], &platform.exports());
    platform.kill();
    project.replace("aloft.toml", &DEFINITION.replace("hello]", "other]"));
    let Err(refused) = project.dev().try_start() else {
        panic!("a project hides a function that was made")
    };
    assert!(
        refused
            .stderr
            .contains("function \"other\" was made by Lambda's API already"),
        "{refused}"
    );
}

/// A version of Python that no machine has runs in the program that the operator says, and in no other.
#[test]
fn the_operator_says_what_runs_a_version() {
    let definition = "[project]\nname = \"p\"\n[functions.hello]\nsource = \"hello\"\nruntime = \"python3.29\"\n\
                      handler = \"app.handler\"\n[routes]\n\"GET /\" = \"hello\"\n";
    let code = "import sys\n\n\ndef handler(event, context):\n    return list(sys.version_info[:2])\n";
    let project = Project::new(&[("aloft.toml", definition), ("hello/app.py", code)]);
    let refused = |arguments: &[&str]| match project.dev().with(arguments).try_start() {
        Ok(_) => panic!("it starts with {arguments:?}"),
        Err(finished) => finished,
    };
    let python = tool("python3");
    let mine = format!("python3.29={}", python.display());
    for (arguments, said) in [
        (&[][..], "no interpreter for runtime \"python3.29\" was found"),
        (
            &["--runtime", "python3.29"],
            "a runtime and a program are expected",
        ),
        (
            &["--runtime", "python3.29=python3"],
            "python3 is not a whole path",
        ),
        (&["--runtime", "ruby3.2=/bin/sh"], "\"ruby3.2\" is no runtime"),
        (
            &["--runtime", "python3.29=/bin/sh"],
            "/bin/sh cannot run python3.29",
        ),
        (
            &["--runtime", "python3.29=/nowhere"],
            "/nowhere cannot run python3.29",
        ),
        (
            &["--runtime", &mine, "--runtime", &mine],
            "says twice what runs python3.29",
        ),
    ] {
        let finished = refused(arguments);
        assert!(
            finished.code == Some(2) && finished.stderr.contains(said),
            "{arguments:?}: {finished}"
        );
    }
    let platform = project.dev().with(&["--runtime", &mine]).start();
    let version = "import sys; print(list(sys.version_info[:2]))";
    let finished = run(std::process::Command::new(&python).args(["-c", version]));
    let answer = get(&platform.url("/")).is(200).json();
    assert_eq!(answer.to_string().replace(',', ", "), finished.stdout.trim());
}

#[test]
fn asynchronous_calls_are_made_again_told_and_given_up() {
    let project = Project::new(&[]);
    let platform = project.dev().with(&["--retry-base", "100ms"]).start();
    let said = script("later.py", &["calls"], &platform.exports()).stdout;
    let id = said.trim();
    // What nobody is told of is a dead letter, and can be made anew.
    let letters = || {
        let listed = get(&format!("{}/_aloft/deliveries", platform.api)).is(200).json();
        listed["items"].as_array().unwrap().clone()
    };
    let letter = wait_for("the dead letter", || letters().pop());
    assert_eq!(
        (&letter["rule"], &letter["reason"], &letter["event"]),
        (&json!("async/worker"), &json!("exhausted"), &json!(id)),
        "{letter}"
    );
    let one = format!(
        "{}/_aloft/deliveries/{}",
        platform.api,
        letter["id"].as_str().unwrap()
    );
    assert_eq!(get(&one).is(200).json()["content"]["as"], "dead");
    send("POST", &format!("{one}/retry"), &json!(null)).is(200);
    wait_for("it was tried and given up again", || {
        letters().pop().filter(|other| other["id"] != letter["id"])
    });
}

/// `kill -9` between the answer and the calls: each that was accepted is made.
#[test]
fn what_was_accepted_is_called_after_the_platform_was_killed() {
    let project = Project::new(&[]);
    let platform = project.start();
    let accepted = script("later.py", &["accept", "100"], &platform.exports()).stdout;
    platform.kill();
    let platform = project.start();
    script("later.py", &["done", accepted.trim()], &platform.exports());
}

#[test]
fn functions_have_addresses_and_stream_their_answers() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"p\"\n[functions.pieces]\nsource = \"js\"\nruntime = \"nodejs\"\nhandler = \"index.handler\"\n\
             [routes]\n\"GET /pieces\" = \"pieces\"\n",
        ),
        (
            "js/index.js",
            "exports.handler = awslambda.streamifyResponse(async (event, out) => {\n\
               const answer = awslambda.HttpResponseStream.from(out, { statusCode: 206, headers: { 'x-a': 'b' } });\n\
               answer.write('one ');\n  answer.end('two');\n});\n",
        ),
    ]);
    let platform = project.dev().programs(nodejs()).start();
    let answer = get(&platform.url("/pieces")).is(206);
    assert_eq!(
        (answer.header("x-a"), answer.text()),
        (Some("b"), "one two".to_owned())
    );
    script("urls.py", &[], &platform.exports());
}

/// A thousand calls at once of a function of which fifty may run, and what is reserved is kept.
#[test]
fn no_more_calls_run_at_once_than_may() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("concurrency.py", &["made"], &platform.exports());
    platform.kill();
    let platform = project.dev().with(&["--concurrency", "5"]).start();
    script("concurrency.py", &["again"], &platform.exports());
}

#[test]
fn a_call_from_within_a_call_runs_on_a_full_node() {
    let project = Project::new(&[]);
    let platform = project.dev().with(&["--concurrency", "1"]).start();
    script("concurrency.py", &["nested"], &platform.exports());
}

#[test]
fn instances_are_loaded_before_calls_come() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("concurrency.py", &["kept"], &platform.exports());
    platform.kill();
    let platform = project.start();
    script("concurrency.py", &["still"], &platform.exports());
}

#[test]
fn what_is_idle_makes_room_for_what_is_called() {
    let project = Project::new(&[]);
    let platform = project.dev().with(&["--memory", "64MB"]).start();
    script("concurrency.py", &["memory"], &platform.exports());
}

/// AWS's own runtime clients, unmodified.
#[test]
fn aws_s_client_for_rust_runs() {
    let project = Project::new(&[]);
    let platform = project.start();
    let guest = binary().with_file_name("lambda-guest");
    let arguments = ["lambda_runtime", guest.to_str().unwrap()];
    script("clients.py", &arguments, &platform.exports());
}

#[test]
fn aws_s_client_for_python_runs() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("clients.py", &["awslambdaric"], &platform.exports());
}

#[test]
fn aws_s_client_for_node_js_runs() {
    let project = Project::new(&[]);
    let platform = project.start();
    let (packages, node) = (clients(), nodejs().join("node"));
    let arguments = [
        "aws-lambda-ric",
        packages.to_str().unwrap(),
        node.to_str().unwrap(),
    ];
    script("clients.py", &arguments, &platform.exports());
}

#[test]
fn roles_are_kept_as_tools_make_them() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("roles.py", &[], &platform.exports());
}

/// The sample, as its page says, with the command line of the tests.
#[test]
fn the_sample_makes_functions_by_the_command_line() {
    let project = Project::new(&[]);
    let started = project.dev().with(&["--retry-base", "100ms"]);
    let platform = started.programs(nodejs()).start();
    let tools = tool("aws").parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    let sample = |name: &str| {
        let mut command = std::process::Command::new("sh");
        command.arg(example("lambda").join(name)).env("PATH", &path);
        let finished = run(quiet_aws(&mut command).envs(platform.exports()));
        assert_eq!(finished.code, Some(0), "{finished}");
        finished
    };
    let finished = sample("make.sh");
    for said in [
        "greeting world in version $LATEST",
        "REPORT RequestId: ",
        r#"{"greeting": "Hello, world!", "version": "1"}"#,
    ] {
        assert!(finished.stdout.contains(said), "no {said} in {finished}");
    }
    platform.event("the destination is told", |event| {
        event["event"] == "log"
            && event["function"] == "told"
            && event["text"]
                .to_string()
                .contains("greet:$LATEST: RetriesExhausted after 2 attempts")
    });
    let finished = sample("stream.sh");
    assert!(finished.stdout.ends_with("1\n2\n3\n"), "{finished}");
}
