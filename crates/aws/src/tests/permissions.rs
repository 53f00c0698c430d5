//! What a statement of a function's policy may say.

use super::functions::{FUNCTIONS, input};
use super::*;

#[tokio::test]
async fn a_statement_that_breaks_a_rule_is_not_added() {
    let wire = start(Trust::Loopback).await;
    let made = wire.lambda("POST", FUNCTIONS, input("f")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("{FUNCTIONS}/f/policy");
    let with = |members: &[(&str, &str)]| {
        let mut input = json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" });
        for (member, value) in members {
            input[*member] = json!(value);
        }
        input
    };
    let (validation, invalid) = ("ValidationException", "InvalidParameterValueException");
    for (member, values, code, said) in [
        (
            "StatementId",
            &["", "a b", "ä"][..],
            validation,
            "at 'statementId'",
        ),
        (
            "Action",
            &[
                "",
                "InvokeFunction",
                "lambda:",
                "lambda:Invoke*",
                "s3:GetObject",
                "lambda:a:b",
            ],
            validation,
            "at 'action'",
        ),
        ("Principal", &["", "a b"], validation, "at 'principal'"),
        (
            "Principal",
            &["me", "12345678901", "arn:aws:iam", "**"],
            invalid,
            "The provided principal was invalid. Please check the principal and try again.",
        ),
        (
            "SourceAccount",
            &["", "1", "1234567890123"],
            validation,
            "at 'sourceAccount'",
        ),
        (
            "SourceArn",
            &["", "bucket", "arn:aws:s3"],
            validation,
            "at 'sourceArn'",
        ),
        (
            "PrincipalOrgID",
            &[
                "o-abc",
                "o-ABCDEFGHIJ",
                "abcdefghijkl",
                "o-abcdefghijklmnopqrstuvwxyz0123456789",
            ],
            validation,
            "at 'principalOrgID'",
        ),
        (
            "EventSourceToken",
            &["", "a b"],
            validation,
            "at 'eventSourceToken'",
        ),
        (
            "FunctionUrlAuthType",
            &["ALL"],
            validation,
            "at 'functionUrlAuthType'",
        ),
        (
            "FunctionUrlAuthType",
            &["NONE", "AWS_IAM"],
            invalid,
            "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
        ),
    ] {
        for value in values {
            let given = with(&[(member, value)]);
            let text = wire.declined("POST", &path, given, 400, code).await;
            assert!(text.contains(said), "{member} {value}: {text}");
        }
    }
    let none = wire.lambda("GET", &path, Json::Null).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "nothing was added");
    let organisation = format!("o-{}", "a".repeat(32));
    for (id, members) in [
        ("a", &[("Action", "*"), ("Principal", "000000000000")][..]),
        ("b", &[("Action", "lambda:*"), ("PrincipalOrgID", &organisation)]),
        (
            "c",
            &[
                ("Principal", "s3.amazonaws.com"),
                ("SourceArn", "arn:aws:s3:::bucket"),
                ("SourceAccount", "000000000000"),
            ],
        ),
        (
            "d",
            &[
                ("Action", "lambda:InvokeFunctionUrl"),
                ("FunctionUrlAuthType", "NONE"),
                ("Principal", "arn:aws:iam::000000000000:role/x"),
            ],
        ),
        ("e", &[("EventSourceToken", "amzn1.ask-skill_1")]),
    ] {
        let given = with(&[&[("StatementId", id)], members].concat());
        let added = wire.lambda("POST", &path, given).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    }
}
