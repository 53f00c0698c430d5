//! A full disk is an error, never corruption: what was acknowledged is there when there is room again.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Answer, Disk, Engine, Platform, Project, try_call};

const DEFINITION: &str = r#"[project]
name = "disk"
[tables.notes]
hash = "id:S"
"#;

/// The platform's whole disk, and what of it somebody else has filled.
const DISK_MB: u32 = 256;
const OTHERS_MB: u32 = 192;
/// Bytes of a row.
const ROW: usize = 40_000;
const WRITERS: usize = 4;

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host, Signature=00";

fn ask(api: &str, operation: &str, body: &Value) -> Result<Answer, String> {
    let target = format!("DynamoDB_20120810.{operation}");
    let headers = [
        ("X-Amz-Target", &*target),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("Authorization", AUTHORIZATION),
    ];
    try_call("POST", api, &headers, body.to_string().as_bytes())
}

fn text(id: &str) -> String {
    id.repeat(ROW / id.len())
}

fn put(api: &str, id: &str) -> Result<Answer, String> {
    let item = json!({"id": {"S": id}, "text": {"S": text(id)}});
    ask(api, "PutItem", &json!({"TableName": "notes", "Item": item}))
}

fn read(api: &str, id: &str) -> Result<Answer, String> {
    let key = json!({"id": {"S": id}});
    ask(
        api,
        "GetItem",
        &json!({"TableName": "notes", "Key": key, "ConsistentRead": true}),
    )
}

/// Writes until a write is not acknowledged; those that were, and the first answer that says so.
fn fill(api: &str, writer: usize) -> (Vec<String>, Result<Answer, String>) {
    let mut acknowledged = Vec::new();
    loop {
        let id = format!("w{writer}-{}", acknowledged.len());
        match put(api, &id) {
            Ok(answer) if answer.status == 200 => acknowledged.push(id),
            other => return (acknowledged, other),
        }
        let room = usize::try_from(DISK_MB).unwrap() << 20;
        assert!(
            acknowledged.len() * ROW < room,
            "more is acknowledged than the disk can hold"
        );
    }
}

/// Fills the disk by several writers, and sees the platform refuse and end; what it had acknowledged.
fn fill_up(platform: &mut Platform, first: usize) -> Vec<String> {
    let api = platform.api.clone();
    let filled: Vec<_> = thread::scope(|scope| {
        let api = &api;
        let writers: Vec<_> = (first..first + WRITERS)
            .map(|writer| scope.spawn(move || fill(api, writer)))
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let mut refused = 0;
    for last in filled.iter().map(|(_, last)| last) {
        // Who comes later finds nobody any more.
        let Ok(answer) = last else { continue };
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("#ServiceUnavailable"), "{}", answer.text());
        refused += 1;
    }
    assert!(refused > 0, "nobody was told: {filled:?}");
    let end = platform.finish();
    assert_eq!(end.code, Some(1), "{end}");
    // The write itself met the end of the disk, or found that the tree's background work had.
    let causes = ["No space left on device", "full or failing disk"];
    assert!(causes.iter().any(|cause| end.stderr.contains(cause)), "{end}");
    let cure = "free space or mend the disk, then start again";
    assert!(end.stderr.contains(cure), "{end}");
    filled
        .into_iter()
        .flat_map(|(acknowledged, _)| acknowledged)
        .collect()
}

fn is_there(api: &str, id: &str) {
    let row = read(api, id).unwrap().is(200).json();
    assert_eq!(row["Item"]["text"]["S"], text(id), "{id} was acknowledged");
}

/// About the data folder itself, so always over it. A write that cannot be kept is refused, and ends the node: only a new start knows
/// what is on the disk.
#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let project = Project::over(Engine::Embedded, &[("aloft.toml", DEFINITION)]);
    let disk = Disk::new(&project.data(), DISK_MB);
    disk.shell(&format!("head -c {OTHERS_MB}M /dev/zero > others"));
    let start = || project.dev().within(disk.aloft());
    let mut platform = start().start();
    let api = platform.api.clone();
    put(&api, "first").unwrap().is(200);

    let mut acknowledged = vec!["first".to_owned()];
    acknowledged.extend(fill_up(&mut platform, 0));
    assert!(
        acknowledged.len() > 100,
        "{} rows fill the disk?",
        acknowledged.len()
    );

    // To the last byte. Whether a start needs one depends on what it finds to tidy up.
    disk.shell("cat /dev/zero > more 2> /dev/null; [ $(df --output=avail . | tail -n 1) = 0 ]");
    match start().try_start() {
        Ok(mut platform) => {
            for id in &acknowledged {
                is_there(&platform.api, id);
            }
            acknowledged.extend(fill_up(&mut platform, WRITERS));
        }
        Err(end) => {
            assert_eq!(end.code, Some(1), "{end}");
            assert!(end.stderr.contains("No space left on device"), "{end}");
            assert!(end.stderr.contains(project.data().to_str().unwrap()), "{end}");
        }
    }

    disk.shell("rm others more");
    let platform = start().start();
    for id in &acknowledged {
        is_there(&platform.api, id);
    }
    put(&platform.api, "again").unwrap().is(200);
    is_there(&platform.api, "again");
}
