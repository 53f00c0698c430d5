//! A project of a hundred functions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::harness::{Platform, Project, script};

const FUNCTIONS: usize = 100;

/// The code of one; its instance is known by the name that it gives itself.
fn code(text: &str) -> String {
    format!(
        "import uuid\n\nME = uuid.uuid4().hex\n\n\ndef handler(event, context):\n    \
         return [context.function_name, \"{text}\", ME]\n"
    )
}

/// What each function says, and which instance said it. All of them are called, and listed in pages.
fn all(platform: &Platform) -> BTreeMap<String, (String, String)> {
    let said = script("hundred.py", &[&FUNCTIONS.to_string()], &platform.exports());
    let last = said.stdout.lines().last().expect("a last line");
    serde_json::from_str(last).expect("JSON")
}

#[test]
fn a_hundred_functions_answer_and_one_is_changed_without_the_others() {
    let mut definition = "[project]\nname = \"hundred\"\n".to_owned();
    let names: Vec<String> = (0..FUNCTIONS).map(|number| format!("f{number:02}")).collect();
    for name in &names {
        // Instances are told apart below, so none may be unloaded for being idle on a slow machine.
        writeln!(
            definition,
            "[functions.{name}]\nruntime = \"python3\"\nsource = \"{name}\"\nhandler = \"app.handler\"\ntimeout = \"20s\"\nidle = \"1h\""
        )
        .unwrap();
    }
    let project = Project::new(&[("aloft.toml", &definition)]);
    for name in &names {
        project.write(&format!("{name}/app.py"), &code("first"));
    }
    let platform = project.dev().with(&["--memory", "16GB"]).start();
    let before = all(&platform);
    assert!(before.keys().eq(names.iter()), "{before:?}");
    assert!(before.values().all(|(text, _)| text == "first"), "{before:?}");

    project.replace("f42/app.py", &code("second"));
    let after = all(&platform);
    assert_eq!(after["f42"].0, "second");
    let mut others = after;
    others.insert("f42".to_owned(), before["f42"].clone());
    assert_eq!(others, before, "the others run on in the instances that they had");
}
