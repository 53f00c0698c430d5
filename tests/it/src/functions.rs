//! Functions that are made by Lambda's API.

use crate::harness::{Project, get, nodejs, script};

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
