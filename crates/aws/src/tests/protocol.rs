//! The frame: headers, checksums, ids, errors' shapes, bounds.

use super::*;

#[tokio::test]
async fn an_answer_carries_type_checksum_and_a_new_id() {
    let wire = start_with_tables().await;
    let (first, second) = (
        wire.ask("ListTables", &json!({})).await,
        wire.ask("ListTables", &json!({})).await,
    );
    for answer in [&first, &second] {
        assert_eq!(answer.header("content-type"), "application/x-amz-json-1.0");
        assert_eq!(
            answer.header("x-amz-crc32"),
            crc32fast::hash(&answer.body).to_string()
        );
        let id = answer.header("x-amzn-requestid");
        assert!(
            id.len() == 52 && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
            "{id}"
        );
    }
    assert_ne!(
        first.header("x-amzn-requestid"),
        second.header("x-amzn-requestid")
    );
    let refused = wire
        .ask(
            "GetItem",
            &json!({"TableName": "nothing", "Key": {"id": {"S": "a"}}}),
        )
        .await;
    assert_eq!(
        refused.header("x-amz-crc32"),
        crc32fast::hash(&refused.body).to_string()
    );
    assert_eq!(
        refused.json(),
        json!({"__type": format!("{DYNAMODB}ResourceNotFoundException"), "message": "Requested resource not found"})
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let wire = start_with_tables().await;
    let deep = format!("{{\"Item\":{}", "[".repeat(100_000));
    for body in [
        "",
        "{",
        "[]",
        "1",
        "null",
        "\"x\"",
        "{\"a\":1e999}",
        "\u{0}",
        "{\"a\":1}}",
        &deep,
    ] {
        let answer = ask(&wire.client, "GetItem", body.as_bytes().to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:.40}");
        let json = answer.json();
        assert_eq!(
            json["__type"],
            format!("{SERVICE}SerializationException"),
            "{body:.40}"
        );
        assert!(json["Message"].is_string(), "{json}");
    }
    let not_utf8 = ask(
        &wire.client,
        "GetItem",
        vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}'],
    )
    .await;
    assert_eq!(
        not_utf8.json()["__type"],
        format!("{SERVICE}SerializationException")
    );
}

#[tokio::test]
async fn members_of_a_wrong_type_are_refused_in_dynamodbs_words() {
    let wire = start_with_tables().await;
    let key = json!({"id": {"S": "a"}});
    let cases = [
        (
            "GetItem",
            json!({"TableName": 1, "Key": key}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        (
            "GetItem",
            json!({"TableName": 1.5, "Key": key}),
            "DECIMAL_VALUE cannot be converted to String",
        ),
        (
            "GetItem",
            json!({"TableName": true, "Key": key}),
            "TRUE_VALUE cannot be converted to String",
        ),
        (
            "GetItem",
            json!({"TableName": ["orders"], "Key": key}),
            "Unrecognized collection type class java.lang.String",
        ),
        (
            "GetItem",
            json!({"TableName": {"a": 1}, "Key": key}),
            "Start of structure or map found where not expected",
        ),
        (
            "GetItem",
            json!({"TableName": "orders", "Key": {"id": "a"}}),
            "Unexpected value type in payload",
        ),
        (
            "GetItem",
            json!({"TableName": "orders", "Key": {"id": {"N": 1}}}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        (
            "GetItem",
            json!({"TableName": "orders", "Key": "a"}),
            "Unexpected field type",
        ),
        (
            "GetItem",
            json!({"TableName": "orders", "Key": key, "ConsistentRead": "true"}),
            "STRING_VALUE cannot be converted to Boolean",
        ),
        (
            "Scan",
            json!({"TableName": "orders", "Limit": "1"}),
            "STRING_VALUE cannot be converted to Integer",
        ),
        (
            "Scan",
            json!({"TableName": "orders", "Limit": 1.5}),
            "DECIMAL_VALUE cannot be converted to Integer",
        ),
        (
            "Scan",
            json!({"TableName": "orders", "FilterExpression": "a = :a", "ExpressionAttributeValues": {":a": 1}}),
            "Unexpected value type in payload",
        ),
        (
            "Scan",
            json!({"TableName": "orders", "FilterExpression": "#a = #a", "ExpressionAttributeNames": {"#a": 1}}),
            "NUMBER_VALUE cannot be converted to String",
        ),
        (
            "CreateTable",
            json!({"TableName": "abc", "KeySchema": {}}),
            "Start of structure or map found where not expected",
        ),
        (
            "CreateTable",
            json!({"TableName": "abc", "KeySchema": ["id"]}),
            "Unexpected field type",
        ),
    ];
    for (operation, input, text) in cases {
        assert_eq!(
            wire.refused(
                operation,
                input.clone(),
                &format!("{SERVICE}SerializationException")
            )
            .await,
            text,
            "{input}"
        );
    }
}

#[tokio::test]
async fn unknown_members_and_nulls_are_passed_over() {
    let wire = start_with_tables().await;
    let input = json!({"TableName": "orders", "Key": {"id": {"S": "a"}}, "Invented": [1], "ProjectionExpression": null});
    assert_eq!(wire.done("GetItem", input).await, json!({}));
}

#[tokio::test]
async fn an_unknown_operation_and_a_missing_one_are_said_so() {
    let wire = start_with_tables().await;
    let code = format!("{SERVICE}UnknownOperationException");
    let text = wire.refused("TransactWriteItems", json!({}), &code).await;
    assert_eq!(
        text,
        "the operation \"DynamoDB_20120810.TransactWriteItems\" does not exist or is not supported yet"
    );
    for (target, method) in [
        ("", "POST"),
        ("GetItem", "POST"),
        ("DynamoDB_20120810.GetItem", "PUT"),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri("/")
            .header("authorization", claim("us-east-1", "dynamodb"));
        let answer = send(
            &wire.client,
            request.header("x-amz-target", target).body(full("{}")).unwrap(),
        )
        .await;
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (StatusCode::BAD_REQUEST, Some(code.as_str())),
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_body_beyond_16_mib_is_refused_whether_it_says_so_or_not() {
    let wire = start_with_tables().await;
    let long = vec![b' '; MAX_BODY_BYTES + 1];
    let answer = ask(&wire.client, "GetItem", long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        answer.json()["__type"],
        format!("{SERVICE}RequestEntityTooLargeException")
    );
}

#[tokio::test]
async fn other_services_are_refused_in_the_shape_that_their_clients_read() {
    let wire = start(Trust::Loopback).await;
    let text =
        "is not supported yet: this endpoint answers for dynamodb, iam, lambda, logs, secretsmanager and sts";
    let ask = async |service: &str, kind: &str| {
        let request = http::Request::post("/")
            .header("authorization", claim("us-east-1", service))
            .header("content-type", kind);
        let answer = send(&wire.client, request.body(full("x")).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED);
        assert!(answer.text().contains(text), "{}", answer.text());
        answer
    };
    let s3 = ask("s3", "").await;
    assert!(
        s3.text()
            .contains("<Error><Code>NotImplemented</Code><Message>the service \"s3\" is not"),
        "{}",
        s3.text()
    );
    let sns = ask("sns", "application/x-www-form-urlencoded; charset=utf-8").await;
    assert!(
        sns.text()
            .starts_with("<ErrorResponse><Error><Type>Receiver</Type><Code>NotImplemented</Code>"),
        "{}",
        sns.text()
    );
    let batch = ask("batch", "application/json").await;
    assert_eq!(batch.header("x-amzn-errortype"), "NotImplemented");
    assert_eq!(batch.json()["message"], format!("the service \"batch\" {text}"));
    let odd = ask("a<b>&c", "application/x-www-form-urlencoded").await;
    assert!(odd.text().contains("a&lt;b&gt;&amp;c"), "{}", odd.text());
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_outcome() {
    let wire = start_with_tables().await;
    wire.done("ListTables", json!({})).await;
    wire.ask("ListTables", &json!({"Limit": 0})).await;
    wire.ask("Invented", &json!({})).await;
    let text = wire.metrics.render();
    for line in [
        "aloft_aws_requests_total{service=\"dynamodb\",operation=\"CreateTable\",outcome=\"ok\"} 2",
        "aloft_aws_requests_total{service=\"dynamodb\",operation=\"ListTables\",outcome=\"ok\"} 1",
        "aloft_aws_requests_total{service=\"dynamodb\",operation=\"ListTables\",outcome=\"ValidationException\"} 1",
        "aloft_aws_requests_total{service=\"none\",operation=\"none\",outcome=\"UnknownOperationException\"} 1",
        "aloft_aws_request_seconds_count{service=\"dynamodb\",operation=\"CreateTable\"} 2",
    ] {
        assert!(text.lines().any(|other| other == line), "no {line} in {text}");
    }
}
