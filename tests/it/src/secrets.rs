//! Secrets: their wire by unmodified tools, in functions' environments, out of their logs, and the master key.

use serde_json::Value;

use crate::harness::{Platform, Project, aloft, get, script, wait_for};

const NAME: &str = "app/database";
const VALUE: &str = r#"{"user": "app", "password": "correct-horse"}"#;
/// The SHA-256 of `correct-horse` and of `battery-staple`, their first eight bytes: what the example tells instead of them.
const FINGERPRINT: &str = "9dca666eb5473071";
const CHANGED: &str = "481fd32833966be5";

fn logs(project: &Project, platform: &Platform, function: &str) -> String {
    let shown = aloft(&project.folder(), &["logs", "--to", &platform.api, function]);
    assert_eq!(shown.code, Some(0), "{shown}");
    shown.stdout
}

/// Whether any file below the folder has these bytes.
fn holds(folder: &std::path::Path, wanted: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, wanted);
        }
        // One that is a socket or was just removed holds nothing.
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(wanted.len()).any(|part| part == wanted)
    })
}

#[test]
fn unmodified_tools_keep_secrets() {
    let project = Project::new(&[]);
    let platform = project.start();
    script("secret.py", &["wire"], &platform.exports());
}

#[test]
fn the_example_gets_its_secret_and_no_log_shows_it() {
    let project = Project::example("secrets");
    let platform = project.start();
    // Before there is one, the call says what is missing and what to do.
    let missing = get(&platform.url("/environment")).is(502).text();
    let told = wait_for("the log tells why", || {
        Some(logs(&project, &platform, "environment")).filter(|text| text.contains("PASSWORD"))
    });
    assert!(!missing.is_empty() && told.contains(NAME), "{missing}\n{told}");
    script("secret.py", &["put", NAME, VALUE], &platform.exports());
    let answer = get(&platform.url("/environment")).is(200).json();
    assert_eq!(answer["fingerprint"], FINGERPRINT);
    let answer = get(&platform.url("/reads")).is(200).json();
    assert_eq!(answer["fingerprint"], FINGERPRINT);
    let refused = answer["refused"].as_str().unwrap();
    assert!(
        refused.contains(r#"secrets = ["app/database", "other"]"#),
        "{refused}"
    );
    for (function, shown) in [
        ("environment", "connecting with ***"),
        ("reads", "'password': '***'"),
    ] {
        let text = wait_for("what it printed is in the log", || {
            Some(logs(&project, &platform, function)).filter(|text| text.contains(shown))
        });
        assert!(!text.contains("correct-horse"), "{text}");
    }
    // A new value is seen by the instance that starts when the old one has been idle long enough.
    let changed = VALUE.replace("correct-horse", "battery-staple");
    script("secret.py", &["put", NAME, &changed], &platform.exports());
    wait_for("a new instance has the new value", || {
        let answer: Value = get(&platform.url("/environment")).is(200).json();
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        (answer["fingerprint"] == CHANGED).then_some(())
    });
    // Neither the definition's version nor anything else in the data folder holds a value.
    platform.kill();
    assert!(!holds(&project.data(), b"battery-staple"));
    assert!(!holds(&project.data(), b"correct-horse"));
}

#[test]
fn what_was_sealed_opens_with_its_master_key_alone() {
    let project = Project::new(&[]);
    let key = "ab".repeat(32);
    project.write("key", &key);
    let file = project.folder().join("key");
    let given = ["--master-key", file.to_str().unwrap()];
    let platform = project.dev().with(&given).start();
    script("secret.py", &["put", "a", "something"], &platform.exports());
    platform.kill();
    assert!(!project.data().join("master.key").exists());
    for (arguments, told) in [
        (vec![], "master.key"),
        (
            vec!["--master-key-command", "printf '%064d' 7"],
            "this is master key",
        ),
        (vec!["--master-key-command", "exit 3"], "exit status: 3"),
        (vec!["--master-key", "/nowhere/key"], "/nowhere/key"),
    ] {
        let Err(refused) = project.dev().with(&arguments).try_start() else {
            panic!("it starts with {arguments:?}")
        };
        assert!(refused.code.is_some_and(|code| code != 0), "{refused}");
        assert!(refused.stderr.contains(told), "{told}: {refused}");
        assert!(!refused.stderr.contains(&key), "{refused}");
    }
    assert!(!project.data().join("master.key").exists());
    let command = format!("echo {key}");
    let platform = project.dev().with(&["--master-key-command", &command]).start();
    script("secret.py", &["kept", "a", "something"], &platform.exports());
}
