//! `DeadLetterConfig`: what is taken, what is refused, and where it is shown.

use super::functions::{FUNCTIONS, input};
use super::*;

const CONFIGURATION: &str = "/2015-03-31/functions/f/configuration";
const ARN: &str = "arn:aws:lambda:eu-west-1:000000000000:function:";

fn letters(target: &str) -> Json {
    json!({ "DeadLetterConfig": { "TargetArn": target } })
}

/// A wire with the function `keeper`, its version 1 and its alias `live`.
async fn start_with_keeper() -> Wire {
    let wire = start(Trust::Loopback).await;
    for (path, input) in [
        (FUNCTIONS.to_owned(), input("keeper")),
        (format!("{FUNCTIONS}/keeper/versions"), Json::Null),
        (
            format!("{FUNCTIONS}/keeper/aliases"),
            json!({ "Name": "live", "FunctionVersion": "1" }),
        ),
    ] {
        let made = wire.lambda("POST", &path, input).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    }
    wire
}

#[tokio::test]
async fn a_dead_letter_is_a_function_and_shown_until_it_is_taken_away() {
    let wire = start_with_keeper().await;
    let get = async |path: &str| wire.lambda("GET", path, Json::Null).await.json();
    let shown = |arn: &str| json!({ "TargetArn": arn });
    let live = format!("{ARN}keeper:live");
    let mut made = input("f");
    made["DeadLetterConfig"] = shown(&live);
    let made = wire.lambda("POST", FUNCTIONS, made).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["DeadLetterConfig"], shown(&live));
    let versions = format!("{FUNCTIONS}/f/versions");
    let published = wire.lambda("POST", &versions, Json::Null).await;
    assert_eq!(published.json()["DeadLetterConfig"], shown(&live));
    for target in [
        format!("{ARN}keeper"),
        format!("{ARN}keeper:$LATEST"),
        format!("{ARN}keeper:1"),
    ] {
        let updated = wire.lambda("PUT", CONFIGURATION, letters(&target)).await.json();
        assert_eq!(updated["DeadLetterConfig"], shown(&target));
        assert_eq!(get(CONFIGURATION).await["DeadLetterConfig"], shown(&target));
    }
    // What is not given stays, and what was published keeps its own.
    let updated = wire.lambda("PUT", CONFIGURATION, json!({ "Timeout": 9 })).await;
    let last = shown(&format!("{ARN}keeper:1"));
    assert_eq!(updated.json()["DeadLetterConfig"], last);
    let found = get(&format!("{FUNCTIONS}/f?Qualifier=1")).await;
    assert_eq!(found["Configuration"]["DeadLetterConfig"], shown(&live));
    let listed = get(FUNCTIONS).await;
    let of = |name: &str| {
        let all = listed["Functions"].as_array().unwrap().iter();
        let mut found = all.filter(|one| one["FunctionName"] == name);
        found.next().unwrap()["DeadLetterConfig"].clone()
    };
    assert_eq!((of("f"), of("keeper")), (last, Json::Null));
    let found = get(&versions).await;
    assert_eq!(found["Versions"][1]["DeadLetterConfig"], shown(&live));
    // A dead letter that is gone hinders no other change, and can be taken away.
    let keeper = format!("{FUNCTIONS}/keeper");
    let gone = wire.lambda("DELETE", &keeper, Json::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let updated = wire.lambda("PUT", CONFIGURATION, json!({ "Timeout": 8 })).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text());
    let updated = wire.lambda("PUT", CONFIGURATION, letters("")).await.json();
    assert_eq!(updated.get("DeadLetterConfig"), None);
    assert_eq!(get(CONFIGURATION).await.get("DeadLetterConfig"), None);
}

#[tokio::test]
async fn what_cannot_be_a_dead_letter_is_refused() {
    let wire = start_with_keeper().await;
    let made = wire.lambda("POST", FUNCTIONS, input("f")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let invalid = "InvalidParameterValueException";
    for (target, code, said) in [
        ("arn:aws:sqs:eu-west-1:000000000000:dead", invalid, "\"sqs\""),
        ("arn:aws:sns:eu-west-1:000000000000:dead", invalid, "\"sns\""),
        (&format!("{ARN}nobody"), invalid, "there is no such function"),
        (&format!("{ARN}keeper:2"), invalid, "there is no such function"),
        (&format!("{ARN}keeper:next"), invalid, "there is no such function"),
        (&format!("{ARN}f"), invalid, "its own failed events"),
        (&format!("{ARN}f:$LATEST"), invalid, "its own failed events"),
        (
            &ARN.replace("eu-west-1", "us-east-1"),
            invalid,
            "of the region us-east-1",
        ),
        (&ARN.replace("function", "layer"), invalid, "names no function"),
        (&ARN.replace(":aws:", ":aws-cn:"), invalid, "names no function"),
        (ARN, "ValidationException", "'functionName'"),
        (
            "keeper",
            "ValidationException",
            "'keeper' at 'deadLetterConfig.targetArn'",
        ),
        (
            &format!("{}keeper", ARN.replace("0000", "1111")),
            "AccessDeniedException",
            "another account",
        ),
    ] {
        let status = if code == "AccessDeniedException" { 403 } else { 400 };
        let text = wire
            .declined("PUT", CONFIGURATION, letters(target), status, code)
            .await;
        assert!(text.contains(said), "{target}: {text}");
        let mut other = input("g");
        other["DeadLetterConfig"] = letters(target)["DeadLetterConfig"].clone();
        if !said.contains("its own") {
            wire.declined("POST", FUNCTIONS, other, status, code).await;
        }
    }
    let mut own = input("own");
    own["DeadLetterConfig"] = json!({ "TargetArn": format!("{ARN}own") });
    let text = wire.declined("POST", FUNCTIONS, own, 400, invalid).await;
    assert!(text.contains("name another function"), "{text}");
    let found = wire.lambda("GET", CONFIGURATION, Json::Null).await.json();
    assert_eq!(found.get("DeadLetterConfig"), None, "{found}");
}
