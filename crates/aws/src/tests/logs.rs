//! CloudWatch Logs, asked as clients ask.

use super::*;

/// What CloudWatch's clients read.
const JSON_11: &str = "application/x-amz-json-1.1";
const TIME: u64 = NOW.as_millis();
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

pub(super) async fn logs(client: &Client, operation: &str, input: &Json) -> Answer {
    let request = http::Request::post("/")
        .header("authorization", claim("eu-west-1", "logs"))
        .header("content-type", JSON_11)
        .header("x-amz-target", format!("Logs_20140328.{operation}"));
    send(
        client,
        request.body(full(input.to_string().into_bytes())).unwrap(),
    )
    .await
}

impl Wire {
    pub(super) async fn logs(&self, operation: &str, input: Json) -> Json {
        let answer = logs(&self.client, operation, &input).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{operation} {input}: {}",
            answer.text()
        );
        assert_eq!(answer.header("content-type"), JSON_11);
        if answer.body.is_empty() {
            return Json::Null;
        }
        answer.json()
    }

    async fn no_logs(&self, operation: &str, input: Json, code: &str) -> String {
        let answer = logs(&self.client, operation, &input).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["__type"], answer.header("content-type")),
            (StatusCode::BAD_REQUEST, &json!(code), JSON_11),
            "{operation} {input}: {body}"
        );
        body["message"].as_str().unwrap().to_owned()
    }
}

const INVALID: &str = "InvalidParameterException";
const MISSING: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceAlreadyExistsException";

fn names(list: &Json, member: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|json| json[member].as_str().unwrap().to_owned())
        .collect()
}

/// A wire with the stream `s` in the group `g`.
async fn start_with_stream() -> Wire {
    let wire = start(Trust::Loopback).await;
    wire.logs("CreateLogGroup", json!({"logGroupName": "g"})).await;
    wire.logs(
        "CreateLogStream",
        json!({"logGroupName": "g", "logStreamName": "s"}),
    )
    .await;
    wire
}

fn put(events: &[(u64, &str)]) -> Json {
    let events: Vec<Json> = events
        .iter()
        .map(|(at, message)| json!({"timestamp": at, "message": message}))
        .collect();
    json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events})
}

#[tokio::test]
async fn groups_are_made_described_and_deleted() {
    let wire = start(Trust::Loopback).await;
    for name in ["b", "a/2", "a/1"] {
        wire.logs(
            "CreateLogGroup",
            json!({"logGroupName": name, "tags": {"k": "v"}}),
        )
        .await;
    }
    wire.no_logs("CreateLogGroup", json!({"logGroupName": "b"}), EXISTS)
        .await;
    wire.no_logs("CreateLogGroup", json!({"logGroupName": "a b"}), INVALID)
        .await;
    let text = wire.no_logs("CreateLogGroup", json!({}), INVALID).await;
    assert!(text.contains("Value null at 'logGroupName'"), "{text}");
    let text = wire
        .no_logs(
            "CreateLogGroup",
            json!({"logGroupName": "c", "kmsKeyId": "k"}),
            INVALID,
        )
        .await;
    assert!(text.contains("\"kmsKeyId\" is not supported yet"), "{text}");
    wire.no_logs(
        "CreateLogGroup",
        json!({"logGroupName": "c", "logGroupClass": "DELIVERY"}),
        INVALID,
    )
    .await;

    let all = wire.logs("DescribeLogGroups", json!({})).await;
    assert_eq!(names(&all["logGroups"], "logGroupName"), ["a/1", "a/2", "b"]);
    assert_eq!(
        all["logGroups"][2],
        json!({
            "logGroupName": "b", "creationTime": TIME, "metricFilterCount": 0, "storedBytes": 0, "logGroupClass": "STANDARD",
            "arn": "arn:aws:logs:eu-west-1:000000000000:log-group:b:*",
            "logGroupArn": "arn:aws:logs:eu-west-1:000000000000:log-group:b", "deletionProtectionEnabled": false,
        })
    );
    let page = wire.logs("DescribeLogGroups", json!({"limit": 2})).await;
    assert_eq!(page["nextToken"], "a/2");
    let page = wire
        .logs("DescribeLogGroups", json!({"limit": 2, "nextToken": "a/2"}))
        .await;
    assert_eq!(
        (names(&page["logGroups"], "logGroupName"), &page["nextToken"]),
        (vec!["b".to_owned()], &Json::Null)
    );
    let page = wire
        .logs("DescribeLogGroups", json!({"logGroupNamePrefix": "a/"}))
        .await;
    assert_eq!(names(&page["logGroups"], "logGroupName"), ["a/1", "a/2"]);
    let page = wire
        .logs("DescribeLogGroups", json!({"logGroupNamePattern": "2"}))
        .await;
    assert_eq!(names(&page["logGroups"], "logGroupName"), ["a/2"]);

    wire.logs(
        "PutRetentionPolicy",
        json!({"logGroupName": "b", "retentionInDays": 7}),
    )
    .await;
    let shown = wire
        .logs("DescribeLogGroups", json!({"logGroupNamePrefix": "b"}))
        .await;
    assert_eq!(shown["logGroups"][0]["retentionInDays"], 7);
    wire.no_logs(
        "PutRetentionPolicy",
        json!({"logGroupName": "b", "retentionInDays": 2}),
        INVALID,
    )
    .await;
    wire.no_logs(
        "PutRetentionPolicy",
        json!({"logGroupName": "none", "retentionInDays": 7}),
        MISSING,
    )
    .await;
    wire.logs("DeleteRetentionPolicy", json!({"logGroupName": "b"}))
        .await;
    let shown = wire
        .logs("DescribeLogGroups", json!({"logGroupNamePrefix": "b"}))
        .await;
    assert_eq!(shown["logGroups"][0]["retentionInDays"], Json::Null);

    let arn = "arn:aws:logs:eu-west-1:000000000000:log-group:b";
    wire.logs("TagResource", json!({"resourceArn": arn, "tags": {"x": "y"}}))
        .await;
    wire.logs("UntagResource", json!({"resourceArn": arn, "tagKeys": ["k"]}))
        .await;
    let tags = wire
        .logs("ListTagsForResource", json!({"resourceArn": format!("{arn}:*")}))
        .await;
    assert_eq!(tags, json!({"tags": {"x": "y"}}));
    let many: serde_json::Map<String, Json> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    wire.no_logs(
        "TagResource",
        json!({"resourceArn": arn, "tags": many}),
        "TooManyTagsException",
    )
    .await;
    for (other, said) in [
        (
            "arn:aws:logs:eu-west-1:111111111111:log-group:b",
            "account 111111111111",
        ),
        (
            "arn:aws:logs:us-east-1:000000000000:log-group:b",
            "region us-east-1",
        ),
        (
            "arn:aws:lambda:eu-west-1:000000000000:log-group:b",
            "another service",
        ),
        ("arn:aws:logs:eu-west-1:000000000000:b", "no ARN of a log group"),
    ] {
        let tagged = json!({"resourceArn": other, "tags": {"x": "z"}});
        let listed = json!({"logGroupIdentifier": other});
        for (operation, input) in [("TagResource", tagged), ("DescribeLogStreams", listed)] {
            let text = wire.no_logs(operation, input, INVALID).await;
            assert!(text.contains(said) && text.contains(other), "{text}");
        }
    }

    wire.logs("DeleteLogGroup", json!({"logGroupName": "b"})).await;
    wire.no_logs("DeleteLogGroup", json!({"logGroupName": "b"}), MISSING)
        .await;
}

#[tokio::test]
async fn streams_are_made_described_and_deleted() {
    let wire = start_with_stream().await;
    let of = |name: &str| json!({"logGroupName": "g", "logStreamName": name});
    for name in ["t", "r"] {
        wire.logs("CreateLogStream", of(name)).await;
    }
    wire.no_logs("CreateLogStream", of("t"), EXISTS).await;
    wire.no_logs("CreateLogStream", of("a:b"), INVALID).await;
    wire.no_logs(
        "CreateLogStream",
        json!({"logGroupName": "h", "logStreamName": "s"}),
        MISSING,
    )
    .await;
    wire.logs("PutLogEvents", put(&[(TIME - 5, "a"), (TIME, "b")]))
        .await;
    let all = wire
        .logs("DescribeLogStreams", json!({"logGroupName": "g"}))
        .await;
    assert_eq!(names(&all["logStreams"], "logStreamName"), ["r", "s", "t"]);
    assert_eq!(
        all["logStreams"][1],
        json!({
            "logStreamName": "s", "creationTime": TIME, "storedBytes": 0, "firstEventTimestamp": TIME - 5,
            "lastEventTimestamp": TIME, "lastIngestionTime": TIME,
            "arn": "arn:aws:logs:eu-west-1:000000000000:log-group:g:log-stream:s",
        })
    );
    let (mut seen, mut token) = (Vec::new(), Json::Null);
    loop {
        let asked = json!({
            "logGroupIdentifier": "arn:aws:logs:eu-west-1:000000000000:log-group:g", "orderBy": "LastEventTime",
            "descending": true, "limit": 1, "nextToken": token,
        });
        let page = wire.logs("DescribeLogStreams", asked).await;
        seen.extend(names(&page["logStreams"], "logStreamName"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["s", "t", "r"]);
    let some = wire
        .logs(
            "DescribeLogStreams",
            json!({"logGroupName": "g", "logStreamNamePrefix": "t"}),
        )
        .await;
    assert_eq!(names(&some["logStreams"], "logStreamName"), ["t"]);
    for wrong in [
        json!({"logGroupName": "g", "logStreamNamePrefix": "t", "orderBy": "LastEventTime"}),
        json!({"logGroupName": "g", "logGroupIdentifier": "g"}),
        json!({"logGroupName": "g", "limit": 51}),
        json!({"logGroupName": "g", "orderBy": "Size"}),
        json!({"logGroupName": "g", "descending": true, "nextToken": "5:s"}),
        json!({"logGroupName": "g", "orderBy": "LastEventTime", "nextToken": "s"}),
        json!({"logGroupName": "g", "orderBy": "LastEventTime", "nextToken": "x:s"}),
    ] {
        wire.no_logs("DescribeLogStreams", wrong, INVALID).await;
    }
    wire.logs("DeleteLogStream", of("s")).await;
    wire.no_logs("DeleteLogStream", of("s"), MISSING).await;
    wire.no_logs("GetLogEvents", of("s"), MISSING).await;
}

/// Pages go on from where the former ended, also when its last stream has moved or gone since then, and when times are the same.
#[tokio::test]
async fn streams_are_paged_while_they_change() {
    let wire = start_with_stream().await;
    let of = |name: &str| json!({"logGroupName": "g", "logStreamName": name});
    let said = |name: &str, at: u64| {
        let events = json!([{"timestamp": at, "message": "x"}]);
        json!({"logGroupName": "g", "logStreamName": name, "logEvents": events})
    };
    for name in ["a", "b", "c", "d", "e"] {
        wire.logs("CreateLogStream", of(name)).await;
    }
    for (name, at) in [("a", 3), ("b", 3), ("c", 3), ("d", 2), ("e", 1)] {
        wire.logs("PutLogEvents", said(name, TIME + at)).await;
    }
    for (order, is_descending, last, pages) in [
        ("LastEventTime", true, "b", ["c b", "a d", "e s"]),
        // `s` had none, and is the last of all with one.
        ("LastEventTime", false, "s", ["s e", "d a", "b c"]),
        ("LogStreamName", true, "e", ["s e", "d c", "b a"]),
        ("LogStreamName", false, "b", ["a b", "c d", "e s"]),
    ] {
        let page = async |token: &Json| {
            let asked = json!({
                "logGroupName": "g", "orderBy": order, "descending": is_descending, "limit": 2, "nextToken": token,
            });
            let page = wire.logs("DescribeLogStreams", asked).await;
            let shown = names(&page["logStreams"], "logStreamName").join(" ");
            (shown, page["nextToken"].clone())
        };
        let (first, token) = page(&Json::Null).await;
        assert_eq!(first, pages[0], "{order} {is_descending}");
        // What a page ended with is gone before the next is asked for, and then made anew: it has no events, or newer ones.
        wire.logs("DeleteLogStream", of(last)).await;
        let (second, token) = page(&token).await;
        assert_eq!(second, pages[1], "{order} {is_descending}");
        wire.logs("CreateLogStream", of(last)).await;
        if order == "LastEventTime" {
            wire.logs("PutLogEvents", said(last, TIME + 9)).await;
        }
        let (third, token) = page(&token).await;
        assert!(third.starts_with(pages[2]), "{order} {is_descending}: {third}");
        if let Some(token) = token.as_str() {
            let (fourth, token) = page(&json!(token)).await;
            assert_eq!((fourth.as_str(), token), (last, Json::Null));
        }
        // As it was.
        wire.logs("DeleteLogStream", of(last)).await;
        wire.logs("CreateLogStream", of(last)).await;
        let at = [("b", 3), ("e", 1)];
        if let Some((name, at)) = at.iter().find(|(name, _)| *name == last) {
            wire.logs("PutLogEvents", said(name, TIME + at)).await;
        }
    }
}

#[tokio::test]
async fn events_are_put_within_cloudwatchs_bounds() {
    let wire = start_with_stream().await;
    let done = wire.logs("PutLogEvents", put(&[(TIME, "hello")])).await;
    assert_eq!(done["rejectedLogEventsInfo"], Json::Null);
    let large = "x".repeat(256 << 10);
    let many: Vec<(u64, &str)> = vec![(TIME, "x"); 10_001];
    for (wrong, said) in [
        (put(&[]), "1 to 10000"),
        (put(&many), "1 to 10000"),
        (put(&[(TIME, "")]), "empty message"),
        (put(&[(TIME, "b"), (TIME - 1, "a")]), "chronological order"),
        (put(&[(TIME - DAY - 1, "a"), (TIME, "b")]), "24 hours"),
        (put(&[(TIME, &format!("{large}x"))]), "Log event too large"),
        (put(&[(TIME, large.as_str()); 4]), "Upload too large"),
        (
            json!({"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": -1, "message": "x"}]}),
            "timestamp",
        ),
    ] {
        let text = wire.no_logs("PutLogEvents", wrong, INVALID).await;
        assert!(text.contains(said), "{text}");
    }
    let absent = json!({"logGroupName": "g", "logStreamName": "t", "logEvents": [{"timestamp": TIME, "message": "x"}]});
    wire.no_logs("PutLogEvents", absent, MISSING).await;
    let absent =
        json!({"logGroupName": "g", "logStreamName": "t", "logEvents": [{"timestamp": 1, "message": "x"}]});
    wire.no_logs("PutLogEvents", absent, MISSING).await;
    // What is outside of the times is told by its place, and the rest is kept.
    let done = wire
        .logs(
            "PutLogEvents",
            put(&[(TIME - 14 * DAY - 1, "old"), (TIME - 14 * DAY + 1, "kept")]),
        )
        .await;
    assert_eq!(
        done["rejectedLogEventsInfo"],
        json!({"tooOldLogEventEndIndex": 1})
    );
    let done = wire
        .logs(
            "PutLogEvents",
            put(&[
                (TIME, "kept"),
                (TIME + 2 * HOUR, "kept"),
                (TIME + 2 * HOUR + 1, "new"),
            ]),
        )
        .await;
    assert_eq!(
        done["rejectedLogEventsInfo"],
        json!({"tooNewLogEventStartIndex": 2})
    );
    wire.logs(
        "PutRetentionPolicy",
        json!({"logGroupName": "g", "retentionInDays": 1}),
    )
    .await;
    let done = wire
        .logs(
            "PutLogEvents",
            put(&[(TIME - DAY - 1, "expired"), (TIME - 1, "kept")]),
        )
        .await;
    assert_eq!(
        done["rejectedLogEventsInfo"],
        json!({"expiredLogEventEndIndex": 1})
    );
    let all = wire.logs("FilterLogEvents", json!({"logGroupName": "g"})).await;
    assert_eq!(
        names(&all["events"], "message"),
        ["kept", "hello", "kept", "kept"]
    );
    // All that one request may hold, each event far from the next.
    let apart: Vec<(u64, String)> = (0..10_000)
        .map(|n| (TIME - DAY / 2 + n * 4_000, format!("{n}")))
        .collect();
    let apart: Vec<(u64, &str)> = apart.iter().map(|(at, text)| (*at, text.as_str())).collect();
    wire.logs("PutLogEvents", put(&apart)).await;
}

#[tokio::test]
async fn events_of_a_stream_are_read_both_ways() {
    let wire = start_with_stream().await;
    let get = |more: Json| {
        let mut input = json!({"logGroupName": "g", "logStreamName": "s"});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        input
    };
    // At the end of nothing one waits for what comes.
    let empty = wire.logs("GetLogEvents", get(json!({}))).await;
    assert_eq!(empty["events"], json!([]));
    let texts: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let events: Vec<(u64, &str)> = (0..10)
        .zip(&texts)
        .map(|(n, text)| (TIME - 100 + n, text.as_str()))
        .collect();
    wire.logs("PutLogEvents", put(&events)).await;
    let came = wire
        .logs(
            "GetLogEvents",
            get(json!({"nextToken": empty["nextForwardToken"]})),
        )
        .await;
    assert_eq!(names(&came["events"], "message"), texts);
    let shown = &came["events"][0];
    assert_eq!(
        shown,
        &json!({"timestamp": TIME - 100, "message": "0", "ingestionTime": TIME})
    );

    let newest = wire.logs("GetLogEvents", get(json!({"limit": 3}))).await;
    assert_eq!(names(&newest["events"], "message"), ["7", "8", "9"]);
    let before = wire
        .logs(
            "GetLogEvents",
            get(json!({"limit": 3, "nextToken": newest["nextBackwardToken"]})),
        )
        .await;
    assert_eq!(names(&before["events"], "message"), ["4", "5", "6"]);
    let again = wire
        .logs(
            "GetLogEvents",
            get(json!({"limit": 3, "nextToken": before["nextForwardToken"]})),
        )
        .await;
    assert_eq!(names(&again["events"], "message"), ["7", "8", "9"]);
    // The token at an end stays as it is, and goes on when more has come.
    let end = wire
        .logs(
            "GetLogEvents",
            get(json!({"nextToken": again["nextForwardToken"]})),
        )
        .await;
    assert_eq!(
        (&end["events"], &end["nextForwardToken"]),
        (&json!([]), &again["nextForwardToken"])
    );
    wire.logs("PutLogEvents", put(&[(TIME, "more")])).await;
    let more = wire
        .logs("GetLogEvents", get(json!({"nextToken": end["nextForwardToken"]})))
        .await;
    assert_eq!(names(&more["events"], "message"), ["more"]);
    let oldest = wire
        .logs("GetLogEvents", get(json!({"limit": 2, "startFromHead": true})))
        .await;
    assert_eq!(names(&oldest["events"], "message"), ["0", "1"]);
    let none = wire
        .logs(
            "GetLogEvents",
            get(json!({"nextToken": oldest["nextBackwardToken"]})),
        )
        .await;
    assert_eq!(
        (&none["events"], &none["nextBackwardToken"]),
        (&json!([]), &oldest["nextBackwardToken"])
    );
    // The end is not taken here, and is taken by FilterLogEvents.
    let times = json!({"startTime": TIME - 98, "endTime": TIME - 95});
    let some = wire.logs("GetLogEvents", get(times.clone())).await;
    assert_eq!(names(&some["events"], "message"), ["2", "3", "4"]);
    let some = wire
        .logs(
            "FilterLogEvents",
            json!({"logGroupName": "g", "startTime": TIME - 98, "endTime": TIME - 95}),
        )
        .await;
    assert_eq!(names(&some["events"], "message"), ["2", "3", "4", "5"]);
    for wrong in [
        json!({"nextToken": "x"}),
        json!({"nextToken": "f/1"}),
        json!({"limit": 0}),
        json!({"startTime": -1}),
    ] {
        wire.no_logs("GetLogEvents", get(wrong), INVALID).await;
    }
}

#[tokio::test]
async fn events_of_a_group_are_filtered() {
    let wire = start_with_stream().await;
    wire.logs(
        "CreateLogStream",
        json!({"logGroupName": "g", "logStreamName": "t"}),
    )
    .await;
    let lines = [
        (TIME, "[ERROR] it broke"),
        (TIME + 2, r#"{"level": "error", "took": 120}"#),
        (TIME + 4, r#"{"level": "info", "took": 3}"#),
    ];
    wire.logs("PutLogEvents", put(&lines)).await;
    let mut other = put(&[(TIME + 1, "all is well"), (TIME + 3, "ERROR again")]);
    other["logStreamName"] = json!("t");
    wire.logs("PutLogEvents", other).await;
    let filter = |more: Json| {
        let mut input = json!({"logGroupName": "g"});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        input
    };
    let all = wire.logs("FilterLogEvents", filter(json!({}))).await;
    let times: Vec<u64> = all["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["timestamp"].as_u64().unwrap())
        .collect();
    assert_eq!(times, [TIME, TIME + 1, TIME + 2, TIME + 3, TIME + 4]);
    assert_eq!(
        (
            &all["events"][1]["logStreamName"],
            &all["searchedLogStreams"],
            &all["nextToken"]
        ),
        (&json!("t"), &json!([]), &Json::Null)
    );
    let ids = names(&all["events"], "eventId");
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    for (more, times) in [
        (json!({"filterPattern": "ERROR"}), vec![0, 3]),
        (json!({"filterPattern": "ERROR -broke"}), vec![3]),
        (json!({"filterPattern": "{ $.took > 100 }"}), vec![2]),
        (json!({"filterPattern": "{ $.level = \"*o*\" }"}), vec![2, 4]),
        (json!({"logStreamNames": ["t"]}), vec![1, 3]),
        (
            json!({"logStreamNamePrefix": "s", "filterPattern": "took"}),
            vec![2, 4],
        ),
        (json!({"startFromHead": false, "limit": 2}), vec![4, 3]),
    ] {
        let found = wire.logs("FilterLogEvents", filter(more.clone())).await;
        let found: Vec<u64> = found["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["timestamp"].as_u64().unwrap() - TIME)
            .collect();
        assert_eq!(found, times, "{more}");
    }
    let (mut found, mut token) = (Vec::new(), Json::Null);
    loop {
        let page = wire
            .logs("FilterLogEvents", filter(json!({"limit": 2, "nextToken": token})))
            .await;
        found.extend(names(&page["events"], "eventId"));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(found, ids);
    for wrong in [
        json!({"filterPattern": "\"open"}),
        json!({"filterPattern": "[a, b"}),
        json!({"logStreamNames": ["s"], "logStreamNamePrefix": "s"}),
        json!({"logStreamNames": []}),
        json!({"limit": 10_001}),
    ] {
        wire.no_logs("FilterLogEvents", filter(wrong), INVALID).await;
    }
    wire.no_logs(
        "FilterLogEvents",
        filter(json!({"logStreamNames": ["none"]})),
        MISSING,
    )
    .await;
    wire.no_logs("FilterLogEvents", json!({"logGroupName": "none"}), MISSING)
        .await;
}

/// Functions print; what is theirs in the log is no business of their permissions.
#[tokio::test]
async fn functions_neither_manage_logs_nor_read_them() {
    let wire = start_with_stream().await;
    let inside = wire.inside(&[("orders", Access::Write)]).await;
    for (operation, input) in [
        ("CreateLogGroup", json!({"logGroupName": "x"})),
        ("PutLogEvents", put(&[(TIME, "x")])),
        ("FilterLogEvents", json!({"logGroupName": "g"})),
    ] {
        let answer = logs(&inside, operation, &input).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(
            answer.json()["__type"]
                .as_str()
                .unwrap()
                .ends_with("AccessDeniedException"),
            "{}",
            answer.text()
        );
        assert!(
            answer.text().contains("what it prints is kept"),
            "{}",
            answer.text()
        );
    }
    let unknown = logs(&wire.client, "StartQuery", &json!({})).await;
    assert!(
        unknown.text().contains("UnknownOperationException"),
        "{}",
        unknown.text()
    );
}
