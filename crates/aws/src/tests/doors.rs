//! Who is let in where.

use aloft_base::InvocationId;
use aloft_call::Lineage;
use aloft_store::layout::Namespace;
use aloft_store::{Position, Shard, Store as _};
use aloft_table::decode_change;

use crate::FixedKeys;

use super::*;

#[tokio::test]
async fn loopback_believes_any_key_but_wants_one() {
    let wire = start_with_tables().await;
    let get = json!({"TableName": "orders", "Key": {"id": {"S": "a"}}}).to_string();
    let request = |authorization: Option<&str>| {
        let mut request = http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.GetItem");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        request
    };
    for region in ["us-east-1", "eu-central-1", "anywhere-9", "Lab-West"] {
        let request = request(Some(&claim(region, "dynamodb")))
            .body(full(get.clone()))
            .unwrap();
        assert_eq!(send(&wire.client, request).await.json(), json!({}), "{region}");
    }
    let unsigned = send(&wire.client, request(None).body(full(get.clone())).unwrap()).await;
    assert_eq!(unsigned.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        unsigned.json(),
        json!({"__type": format!("{SERVICE}MissingAuthenticationTokenException"), "message": "Request is missing Authentication Token"})
    );
    let badly = request(Some(&claim("US_EAST", "dynamodb")))
        .body(full(get.clone()))
        .unwrap();
    let badly = send(&wire.client, badly).await.json();
    assert_eq!(badly["__type"], format!("{SERVICE}InvalidSignatureException"));
    assert_eq!(
        badly["message"],
        "Credential should be scoped to a valid region, not 'US_EAST'."
    );
}

#[tokio::test]
async fn a_web_page_is_not_believed_on_loopback() {
    let wire = start_with_tables().await;
    let request = http::Request::post("/")
        .header("x-amz-target", "DynamoDB_20120810.ListTables")
        .header("authorization", claim("us-east-1", "dynamodb"))
        .header("origin", "http://evil.example");
    let answer = send(&wire.client, request.body(full("{}")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["__type"], format!("{SERVICE}AccessDeniedException"));
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn the_region_of_the_signature_shows_in_arns_and_all_regions_are_one_namespace() {
    let wire = start_with_tables().await;
    let request = http::Request::post("/")
        .header("x-amz-target", "DynamoDB_20120810.DescribeTable")
        .header("authorization", claim("eu-west-3", "dynamodb"));
    let answer = send(
        &wire.client,
        request.body(full(r#"{"TableName":"orders"}"#)).unwrap(),
    )
    .await;
    assert_eq!(
        answer.json()["Table"]["TableArn"],
        "arn:aws:dynamodb:eu-west-3:000000000000:table/orders"
    );
}

#[tokio::test]
async fn with_keys_a_signature_must_be_right() {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let keys: FixedKeys = [("AKIDEXAMPLE".to_owned(), secret.to_owned())]
        .into_iter()
        .collect();
    let wire = start(Trust::Keys(Arc::new(keys))).await;
    // As botocore signs it; the rest of what can be wrong is tried beside the verification.
    let signed = |body: &'static str| {
        http::Request::post("/")
            .header("host", "localhost:4566")
            .header("x-amz-date", "20150830T123600Z")
            .header("x-amz-target", "DynamoDB_20120810.GetItem")
            .header("content-type", "application/x-amz-json-1.0")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
                 Signature=c73e82498b204d63e87a4a2cb6f1ea120c1a3b4fd58ac26df1440d2daf207e2d",
            )
            .body(full(body))
            .unwrap()
    };
    let right = send(
        &wire.client,
        signed(r#"{"TableName":"orders","Key":{"id":{"S":"a"}}}"#),
    )
    .await;
    assert_eq!(
        right.json()["__type"],
        format!("{DYNAMODB}ResourceNotFoundException")
    );
    let wrong = send(
        &wire.client,
        signed(r#"{"TableName":"orders","Key":{"id":{"S":"b"}}}"#),
    )
    .await;
    assert_eq!(
        wrong.json()["__type"],
        format!("{SERVICE}InvalidSignatureException")
    );
    assert!(!wrong.text().contains(secret));
    let unknown = wire.ask("ListTables", &json!({})).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert_ne!(unknown.json()["__type"], json!(null));
}

#[tokio::test]
async fn inside_the_place_says_who_asks_and_no_signature_is_needed() {
    let wire = start_with_tables().await;
    let inside = wire.inside(&[("orders", Access::Write)]).await;
    let put = json!({"TableName": "orders", "Item": {"id": {"S": "a"}}}).to_string();
    for authorization in [
        None,
        Some("nonsense"),
        Some("AWS4-HMAC-SHA256 Credential=x/20150830/mars-1/dynamodb/y, SignedHeaders=, Signature="),
    ] {
        let mut request = http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.PutItem");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        assert_eq!(
            send(&inside, request.body(full(put.clone())).unwrap())
                .await
                .json(),
            json!({}),
            "{authorization:?}"
        );
    }
    let described = ask(&inside, "DescribeTable", br#"{"TableName":"orders"}"#.to_vec())
        .await
        .json();
    assert_eq!(
        described["Table"]["TableArn"],
        "arn:aws:dynamodb:eu-central-1:000000000000:table/orders"
    );
    let s3 = http::Request::get("/")
        .header("authorization", claim("us-east-1", "s3"))
        .body(full(""))
        .unwrap();
    assert_eq!(send(&inside, s3).await.status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_function_may_only_what_it_is_granted() {
    let wire = start_with_tables().await;
    let inside = wire.inside(&[("orders", Access::Read)]).await;
    let key = json!({"id": {"S": "a"}});
    let cases = [
        ("GetItem", json!({"TableName": "orders", "Key": key}), true),
        (
            "GetItem",
            json!({"TableName": "arn:aws:dynamodb:us-east-1:000000000000:table/orders", "Key": key}),
            true,
        ),
        (
            "Query",
            json!({"TableName": "orders", "KeyConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}),
            true,
        ),
        ("Scan", json!({"TableName": "orders"}), true),
        ("DescribeTable", json!({"TableName": "orders"}), true),
        ("PutItem", json!({"TableName": "orders", "Item": key}), false),
        ("UpdateItem", json!({"TableName": "orders", "Key": key}), false),
        ("DeleteItem", json!({"TableName": "orders", "Key": key}), false),
        ("GetItem", json!({"TableName": "lines", "Key": key}), false),
        ("GetItem", json!({"TableName": "not-there", "Key": key}), false),
        ("Scan", json!({"TableName": "lines"}), false),
        ("Query", json!({"TableName": "lines"}), false),
        ("DescribeTable", json!({"TableName": "lines"}), false),
        ("ListTables", json!({}), false),
        ("CreateTable", create("more", &[("id", "S")]), false),
        ("DeleteTable", json!({"TableName": "orders"}), false),
    ];
    for (operation, input, allowed) in cases {
        let answer = ask(&inside, operation, input.to_string().into_bytes()).await;
        let denied = answer.json()["__type"] == format!("{SERVICE}AccessDeniedException");
        assert_eq!(denied, !allowed, "{operation} {input}: {}", answer.text());
        assert_eq!(
            answer.status == StatusCode::OK,
            allowed,
            "{operation} {input}: {}",
            answer.text()
        );
    }
    let put = json!({"TableName": "orders", "Item": key}).to_string();
    let refusal = ask(&inside, "PutItem", put.into_bytes()).await.json();
    assert_eq!(
        refusal["Message"],
        "function \"create\" may not write table \"orders\": change its access to  access = { orders = \"write\" }  in [functions.create] in aloft.toml"
    );
}

#[tokio::test]
async fn writes_inside_carry_the_lineage_of_their_requests_and_writes_at_the_edge_never_do() {
    let store = Arc::new(Memory::new(Arc::new(SystemClock)));
    let wire = start_on(store.clone(), Trust::Loopback).await;
    wire.done("CreateTable", create("orders", &[("id", "S")])).await;
    let caller = Caller {
        tenant: Tenant::local(),
        region: Region::local(),
        principal: Principal::Owner { key: "test".into() },
    };
    let root = Some(InvocationId::from_u128(7));
    let edge = wire.aws.edge(
        Trust::Loopback,
        Streams::new(wire.machine.clone(), wire.tasks.clone()),
    );
    let inside = wire.aws.inside(caller);
    for (door, lineage) in [
        (&edge, Some(Lineage { root, depth: 3 })),
        (&inside, None),
        (&inside, Some(Lineage { root, depth: 3 })),
    ] {
        for (operation, input) in [
            (
                "PutItem",
                json!({"TableName": "orders", "Item": {"id": {"S": "a"}}}),
            ),
            (
                "DeleteItem",
                json!({"TableName": "orders", "Key": {"id": {"S": "a"}}}),
            ),
        ] {
            let mut request = http::Request::post("/")
                .header("authorization", claim("us-east-1", "dynamodb"))
                .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
                .body(full(input.to_string()))
                .unwrap();
            lineage.map(|lineage| request.extensions_mut().insert(lineage));
            assert_eq!(door.handle(request).await.status(), StatusCode::OK);
        }
    }
    let namespace = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    let table = wire
        .tables
        .table(&namespace, &"orders".parse().unwrap())
        .await
        .unwrap();
    let records = store
        .read_log(table.log(), Shard(0), Position::START, 10, 1 << 20)
        .await
        .unwrap();
    let lineages: Vec<_> = records
        .iter()
        .map(|record| decode_change(record).unwrap().lineage)
        .collect();
    let known = root.map(|root| (root, 3));
    assert_eq!(lineages, [None, None, None, None, known, known]);
}

#[tokio::test]
async fn a_table_of_another_account_is_refused() {
    let wire = start_with_tables().await;
    for arn in [
        "arn:aws:dynamodb:us-east-1:111111111111:table/orders",
        "arn:aws:s3:us-east-1:000000000000:table/orders",
        "arn:aws:dynamodb:us-east-1:000000000000:index/orders",
        "arn:",
    ] {
        let input = json!({"TableName": arn, "Key": {"id": {"S": "a"}}});
        let text = wire
            .refused("GetItem", input, &format!("{SERVICE}AccessDeniedException"))
            .await;
        assert_eq!(
            text,
            format!("\"{arn}\" belongs to another account, or is nothing of this service")
        );
    }
}
