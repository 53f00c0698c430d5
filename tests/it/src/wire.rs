//! The AWS wire: unmodified tools against it, and who may speak on it.

use crate::harness::{Platform, Project, call, script};

/// An empty platform: a folder without a definition.
fn empty(more: &[&str]) -> (Project, Platform) {
    let project = Project::new(&[]);
    let platform = project.dev().with(more).start();
    (project, platform)
}

#[test]
fn an_unmodified_sdk_and_command_line_work() {
    let (_project, platform) = empty(&[]);
    script("wire.py", &["open"], &platform.exports());
}

#[test]
fn an_unsigned_request_is_refused_in_awss_words() {
    let (_project, platform) = empty(&[]);
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "DynamoDB_20120810.ListTables"),
    ];
    let answer = call("POST", &platform.api, &headers, b"{}").is(400);
    let kind = answer.json()["__type"].as_str().unwrap_or_default().to_owned();
    assert!(
        kind.ends_with("MissingAuthenticationTokenException"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_public_address_needs_a_key() {
    let project = Project::new(&[]);
    let Err(refused) = project.dev().with(&["--bind", "0.0.0.0"]).try_start() else {
        panic!("it listens on every address without a key")
    };
    assert!(!matches!(refused.code, Some(0) | None), "{refused}");
    assert!(
        refused.stderr.contains("--key"),
        "the way out is named: {refused}"
    );
}

#[test]
fn with_a_key_signatures_are_verified() {
    let (_project, platform) = empty(&[
        "--bind",
        "0.0.0.0",
        "--key",
        "AKIDTEST:a-long-secret-for-the-test",
    ]);
    let address = platform.api.replace("0.0.0.0", "127.0.0.1");
    let variables = |id, secret| {
        let mut variables = platform.exports();
        (variables[0].1, variables[2].1, variables[3].1) = (address.as_str(), id, secret);
        variables
    };
    script(
        "wire.py",
        &["refused", "UnrecognizedClientException"],
        &variables("NOBODY", "a-long-secret-for-the-test"),
    );
    script(
        "wire.py",
        &["refused", "InvalidSignatureException"],
        &variables("AKIDTEST", "another secret"),
    );
    script(
        "wire.py",
        &["open"],
        &variables("AKIDTEST", "a-long-secret-for-the-test"),
    );
}
