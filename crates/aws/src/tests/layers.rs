//! Layers: how they are named, and what they say that they go with.

use super::functions::{FUNCTIONS, input, zip};
use super::*;

const LAYERS: &str = "/2018-10-31/layers";
const ARN: &str = "arn:aws:lambda:eu-west-1:000000000000:layer:lay";
const INVALID: &str = "InvalidParameterValueException";

fn content() -> Json {
    json!({ "Content": { "ZipFile": zip(&[("python/a.py", "")]) } })
}

/// A wire with two versions of the layer `lay`.
async fn start_with_layer() -> Wire {
    let wire = start(Trust::Loopback).await;
    for version in [1, 2] {
        let made = wire
            .lambda("POST", &format!("{LAYERS}/lay/versions"), content())
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(made.json()["LayerVersionArn"], format!("{ARN}:{version}"));
    }
    wire
}

#[tokio::test]
async fn a_function_has_each_layer_once_and_of_its_own_region() {
    let wire = start_with_layer().await;
    let with = |layers: &[&str]| {
        let mut input = input("f");
        input["Layers"] = json!(layers);
        input
    };
    let (one, two) = (format!("{ARN}:1"), format!("{ARN}:2"));
    let other = one.replace("eu-west-1", "us-east-1");
    for (layers, code, said) in [
        (
            &[&*one, &two][..],
            INVALID,
            "Two different versions of the same layer",
        ),
        (&[&one, &one], INVALID, "Two different versions of the same layer"),
        (
            &[&other],
            INVALID,
            "Layers are expected to be in region eu-west-1.",
        ),
        (&[&two, &other], INVALID, "us-east-1"),
        (&[&format!("{ARN}:+1")], "ValidationException", ":+1'"),
        (&[&format!("{ARN}:")], "ValidationException", "a layer's ARN"),
        (&[&format!("{ARN}:3")], INVALID, "does not exist"),
        (&[&format!("{ARN}:1:1")], "ValidationException", "a layer's ARN"),
    ] {
        let text = wire.declined("POST", FUNCTIONS, with(layers), 400, code).await;
        assert!(text.contains(said), "{layers:?}: {text}");
    }
    let made = wire.lambda("POST", FUNCTIONS, with(&[&two])).await.json();
    assert_eq!(made["Layers"][0]["Arn"], two);
}

#[tokio::test]
async fn a_layers_version_is_found_by_its_whole_arn_alone() {
    let wire = start_with_layer().await;
    let by = |arn: &str| format!("{LAYERS}?find=LayerVersion&Arn={arn}");
    let found = wire.lambda("GET", &by(&format!("{ARN}:2")), Json::Null).await;
    assert_eq!(found.json()["Version"], 2, "{}", found.text());
    let other = ARN.replace("eu-west-1", "us-east-1");
    for (arn, code) in [
        ("lay", "ValidationException"),
        (ARN, "ValidationException"),
        (&format!("{ARN}:%2B1"), "ValidationException"),
        ("", "ValidationException"),
        (&format!("{other}:1"), INVALID),
    ] {
        wire.declined("GET", &by(arn), Json::Null, 400, code).await;
    }
    let whole = format!("{LAYERS}?find=LayerVersion");
    let text = wire
        .declined("GET", &whole, Json::Null, 400, "ValidationException")
        .await;
    assert!(text.contains("at 'arn'"), "{text}");
    for (path, code) in [
        (format!("{LAYERS}/lay/versions/%2B1"), "ValidationException"),
        (format!("{LAYERS}/{ARN}:1/versions/1"), "ValidationException"),
        (format!("{LAYERS}/{other}/versions/1"), INVALID),
    ] {
        for method in ["GET", "DELETE"] {
            wire.declined(method, &path, Json::Null, 400, code).await;
        }
    }
    let found = wire
        .lambda("GET", &format!("{LAYERS}/{ARN}/versions/1"), Json::Null)
        .await;
    assert_eq!(found.json()["Version"], 1, "{}", found.text());
}

#[tokio::test]
async fn a_layer_goes_with_what_lambda_knows() {
    let wire = start(Trust::Loopback).await;
    let path = format!("{LAYERS}/lay/versions");
    let with = |member: &str, words: &[&str]| {
        let mut input = content();
        input[member] = json!(words);
        input
    };
    let (runtimes, architectures) = ("CompatibleRuntimes", "CompatibleArchitectures");
    let sixteen = ["python3.11"; 16];
    for (member, words, said) in [
        (architectures, &["mips"][..], "enum value set: [x86_64, arm64]"),
        (
            architectures,
            &["arm64", "x86_64", "arm64"],
            "less than or equal to 2",
        ),
        (runtimes, &["foo!"], "a runtime's name"),
        (runtimes, &["python3.11", "foo"], "a runtime's name"),
        (runtimes, &["python3.11!"], "a runtime's name"),
        (runtimes, &["python3..11"], "a runtime's name"),
        (runtimes, &["golang"], "a runtime's name"),
        (runtimes, &[""], "a runtime's name"),
        (runtimes, &sixteen, "less than or equal to 15"),
    ] {
        let given = with(member, words);
        let text = wire
            .declined("POST", &path, given, 400, "ValidationException")
            .await;
        assert!(text.contains(said) && text.contains("at 'compatible"), "{text}");
        if let [word] = words {
            let query = format!("{LAYERS}?{}={word}", member.trim_end_matches('s'));
            if !word.is_empty() {
                wire.declined("GET", &query, Json::Null, 400, "ValidationException")
                    .await;
            }
        }
    }
    for words in [
        &[
            "python3.12",
            "python3.99",
            "nodejs20.x",
            "nodejs4.3-edge",
            "nodejs",
        ][..],
        &[
            "provided",
            "provided.al2023",
            "java8.al2",
            "dotnetcore3.1",
            "dotnet8",
        ],
        &["go1.x", "ruby3.4", "wasm", "custom"],
    ] {
        let given = with(runtimes, words);
        let made = wire.lambda("POST", &path, given).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(made.json()[runtimes], json!(words));
    }
}
