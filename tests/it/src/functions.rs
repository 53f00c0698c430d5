//! Functions that are made by Lambda's API.

use crate::harness::{Project, script};

#[test]
fn an_unmodified_sdk_and_command_line_make_and_call_functions() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("functions.py", &["made"], &platform.exports());
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
