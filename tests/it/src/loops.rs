//! A loop through a table: a rule's function that writes to the rule's own table. It ends by itself.

use crate::harness::{Project, aloft, call, get, wait_for};

const DEFINITION: &str = r#"
[project]
name = "loops"
[tables.notes]
hash = "id:S"
[functions.copy]
runtime = "python3"
source = "functions"
handler = "copy_note.handler"
timeout = "20s"
access = { notes = "write" }
[routes]
"GET /begin" = "copy"
[rules.copy]
on = "table:notes"
run = "copy"
"#;

/// Without boto3, which would have to be installed first.
const HANDLER: &str = r#"
import json
import os
import urllib.request


def handler(event, context):
    body = {"TableName": "notes", "Item": {"id": {"S": context.aws_request_id}}}
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"],
        data=json.dumps(body).encode(),
        headers={"X-Amz-Target": "DynamoDB_20120810.PutItem", "Content-Type": "application/x-amz-json-1.0"},
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()
    print("copied", flush=True)
    return context.aws_request_id
"#;

/// On loopback any key is good, but there must be one.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, \
     SignedHeaders=host, Signature=00";

/// The deepest chain that is delivered.
const DEEPEST: usize = 16;

#[test]
fn a_function_that_triggers_itself_is_stopped_as_a_loop() {
    let project = Project::new(&[("aloft.toml", DEFINITION), ("functions/copy_note.py", HANDLER)]);
    let platform = project.start();
    let root = get(&platform.url("/begin")).is(200).text();
    let data = project.data();
    let deliveries = ["deliveries", "ls", "--json", "--data", data.to_str().unwrap()];
    let items = wait_for("the loop's end", || {
        let list = aloft(&project.folder(), &deliveries);
        assert_eq!(list.code, Some(0), "{list}");
        let items = list.json()["items"].as_array().unwrap().clone();
        (!items.is_empty()).then_some(items)
    });
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0]["reason"], "loop", "{items:?}");
    let told = items[0].to_string();
    assert!(
        told.contains(&root),
        "the chain's first invocation is named: {told}"
    );
    // It is one trace from its beginning to its end.
    let explained = wait_for("all calls of the chain are known", || {
        let shown = aloft(
            &project.folder(),
            &["explain", &root, "--json", "--to", &platform.api],
        );
        let records = shown.json();
        let chain = records["chain"].as_array()?.clone();
        (chain.len() > DEEPEST).then_some(chain)
    });
    let traces: std::collections::BTreeSet<&str> = explained
        .iter()
        .filter_map(|record| record["trace"].as_str())
        .collect();
    assert_eq!(traces.len(), 1, "{explained:?}");
    let rows = call(
        "POST",
        &platform.api,
        &[
            ("X-Amz-Target", "DynamoDB_20120810.Scan"),
            ("Content-Type", "application/x-amz-json-1.0"),
            ("Authorization", AUTHORIZATION),
        ],
        br#"{"TableName": "notes", "Select": "COUNT"}"#,
    );
    let count = rows.is(200).json()["Count"].clone();
    assert_eq!(
        count,
        1 + DEEPEST,
        "one row of the first call, and one per delivery"
    );
}
