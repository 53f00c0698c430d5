//! Lambda: what is set of functions beside their code, and what lists tell of them.

use super::functions::{FUNCTIONS, input, version};
use super::*;

const INVALID: &str = "InvalidParameterValueException";
const BROKEN: &str = "ValidationException";
const NONE: &str = "ResourceNotFoundException";
const CONFLICT: &str = "ResourceConflictException";
const ARN: &str = "arn:aws:lambda:eu-west-1:000000000000:function";

impl Wire {
    /// Asks for what must be done.
    async fn lambda_done(&self, method: &str, path: &str, input: Json) -> Json {
        let answer = self.lambda(method, path, input).await;
        assert!(
            answer.status.is_success(),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.body.is_empty() {
            Json::Null
        } else {
            answer.json()
        }
    }

    /// Makes a function with so many versions.
    async fn versioned(&self, name: &str, versions: usize) {
        self.lambda_done("POST", FUNCTIONS, input(name)).await;
        for number in 0..versions {
            let described = json!({ "Description": number.to_string(), "Timeout": number + 1 });
            let path = format!("{FUNCTIONS}/{name}/configuration");
            self.lambda_done("PUT", &path, described).await;
            self.lambda_done("POST", &format!("{FUNCTIONS}/{name}/versions"), Json::Null)
                .await;
        }
    }

    async fn alias(&self, name: &str, alias: &str, version: &str) {
        let pointer = json!({ "Name": alias, "FunctionVersion": version });
        self.lambda_done("POST", &format!("{FUNCTIONS}/{name}/aliases"), pointer)
            .await;
    }
}

fn provisioned(name: &str, qualifier: &str) -> String {
    format!("/2019-09-30/functions/{name}/provisioned-concurrency?Qualifier={qualifier}")
}

fn instances(count: u32) -> Json {
    json!({ "ProvisionedConcurrentExecutions": count })
}

#[tokio::test]
async fn reserved_and_provisioned_concurrency_leave_each_other_room() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("b", 1).await;
    wire.versioned("x", 1).await;
    let reserved = |name: &str| format!("/2017-10-31/functions/{name}/concurrency");
    let calls = |count: u32| json!({ "ReservedConcurrentExecutions": count });
    wire.lambda_done("PUT", &provisioned("b", "1"), instances(3))
        .await;
    for count in [0, 1] {
        let text = wire
            .declined("PUT", &reserved("b"), calls(count), 400, INVALID)
            .await;
        assert_eq!(
            text,
            format!(
                "ReservedConcurrentExecutions [{count}] should not be lower than function's total provisioned concurrency [3]."
            )
        );
    }
    wire.lambda_done("PUT", &reserved("b"), calls(3)).await;
    let text = wire
        .declined("PUT", &provisioned("b", "1"), instances(4), 400, INVALID)
        .await;
    assert!(text.contains("can run at once, 3,"), "{text}");
    wire.lambda_done("DELETE", &reserved("b"), Json::Null).await;
    // What is shared is not taken from those for which instances are kept.
    wire.lambda_done("PUT", &provisioned("b", "1"), instances(900))
        .await;
    let text = wire
        .declined("PUT", &reserved("x"), calls(101), 400, INVALID)
        .await;
    assert!(
        text.ends_with("below its minimum value of [900]. At most [100] can be reserved for it."),
        "{text}"
    );
    wire.lambda_done("PUT", &reserved("x"), calls(100)).await;
}

#[tokio::test]
async fn a_version_is_provisioned_by_one_of_its_names() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("f", 2).await;
    wire.alias("f", "live", "1").await;
    wire.lambda_done("PUT", &provisioned("f", "1"), instances(1))
        .await;
    let text = wire
        .declined("PUT", &provisioned("f", "live"), instances(1), 409, CONFLICT)
        .await;
    let of_alias =
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version";
    assert!(text.starts_with(of_alias), "{text}");
    wire.lambda_done("DELETE", &provisioned("f", "1"), Json::Null)
        .await;
    wire.lambda_done("PUT", &provisioned("f", "live"), instances(1))
        .await;
    let text = wire
        .declined("PUT", &provisioned("f", "1"), instances(1), 409, CONFLICT)
        .await;
    assert!(
        text.starts_with("Version is pointed by a Provisioned Concurrency alias"),
        "{text}"
    );
    wire.lambda_done("PUT", &provisioned("f", "2"), instances(1))
        .await;
    let path = format!("{FUNCTIONS}/f/aliases/live");
    let text = wire
        .declined("PUT", &path, json!({ "FunctionVersion": "2" }), 409, CONFLICT)
        .await;
    assert!(text.starts_with(of_alias), "{text}");
    wire.lambda_done("PUT", &path, json!({ "Description": "stays" }))
        .await;
}

#[tokio::test]
async fn what_is_not_there_is_not_provisioned() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("f", 1).await;
    wire.alias("f", "live", "1").await;
    for (qualifier, said) in [
        ("9", format!("Function not found: {ARN}:f:9")),
        ("none", format!("Cannot find alias arn: {ARN}:f:none")),
    ] {
        for (method, body) in [("GET", Json::Null), ("DELETE", Json::Null), ("PUT", instances(1))] {
            let path = provisioned("f", qualifier);
            assert_eq!(wire.declined(method, &path, body, 404, NONE).await, said);
        }
    }
    for qualifier in ["1", "live"] {
        let code = "ProvisionedConcurrencyConfigNotFoundException";
        wire.declined("GET", &provisioned("f", qualifier), Json::Null, 404, code)
            .await;
    }
    for method in ["GET", "DELETE"] {
        let text = wire
            .declined(method, &provisioned("f", "$LATEST"), Json::Null, 400, INVALID)
            .await;
        assert_eq!(
            text,
            "The function resource provided must be an alias or a published version."
        );
    }
}

#[tokio::test]
async fn of_a_function_of_the_project_there_is_nothing_to_read() {
    let wire = start(Trust::Loopback).await;
    wire.catalogue.replace([version("pf")]);
    let alias = format!("Cannot find alias arn: {ARN}:pf:x");
    let url = "/2021-10-31/functions/pf/url";
    for (path, said) in [
        (format!("{FUNCTIONS}/pf/aliases/x"), alias.as_str()),
        (provisioned("pf", "x"), &alias),
        (url.to_owned(), "The resource you requested does not exist."),
        (
            format!("{url}?Qualifier=x"),
            "The resource you requested does not exist.",
        ),
    ] {
        assert_eq!(wire.declined("GET", &path, Json::Null, 404, NONE).await, said);
    }
    for (method, path, body) in [
        ("PUT", provisioned("pf", "x"), instances(1)),
        ("POST", url.to_owned(), json!({ "AuthType": "NONE" })),
        ("DELETE", url.to_owned(), Json::Null),
    ] {
        wire.declined(method, &path, body, 409, CONFLICT).await;
    }
}

#[tokio::test]
async fn all_versions_are_listed_page_by_page() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("a", 2).await;
    wire.versioned("c", 11).await;
    wire.versioned("d", 0).await;
    wire.catalogue.replace([version("b")]);
    let mut all = vec!["a:$LATEST", "a:1", "a:2", "b:$LATEST", "c:$LATEST"];
    let of_c: Vec<String> = (1..=11).map(|number| format!("c:{number}")).collect();
    all.extend(of_c.iter().map(String::as_str));
    all.push("d:$LATEST");
    for size in [1, 2, 3, 4, 5, 16, 17, 18, 50, 10_000] {
        let (mut seen, mut marker, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let path = format!("{FUNCTIONS}/?FunctionVersion=ALL&MaxItems={size}{marker}");
            let page = wire.lambda_done("GET", &path, Json::Null).await;
            let functions = page["Functions"].as_array().unwrap();
            pages += 1;
            for function in functions {
                let short = format!(
                    "{}:{}",
                    function["FunctionName"].as_str().unwrap(),
                    function["Version"].as_str().unwrap()
                );
                assert_eq!(function["FunctionArn"], format!("{ARN}:{short}"));
                seen.push(short);
            }
            match page["NextMarker"].as_str() {
                Some(next) => marker = format!("&Marker={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all, "{size}");
        assert_eq!(pages, all.len().div_ceil(size), "{size}");
    }
    let count = async |query: &str| {
        let path = format!("{FUNCTIONS}?{query}");
        let page = wire.lambda_done("GET", &path, Json::Null).await;
        page["Functions"].as_array().unwrap().len()
    };
    // No function is replicated from elsewhere.
    assert_eq!(count("FunctionVersion=ALL&MasterRegion=ALL").await, all.len());
    assert_eq!(
        count("FunctionVersion=ALL&MasterRegion=eu-west-1").await,
        all.len()
    );
    assert_eq!(count("FunctionVersion=ALL&MasterRegion=eu-west-2").await, 0);
    for (query, code, said) in [
        ("FunctionVersion=1", BROKEN, "[ALL]"),
        (
            "FunctionVersion=ALL&MasterRegion=x",
            BROKEN,
            "'x' at 'masterRegion'",
        ),
        ("MasterRegion=ALL", INVALID, "FunctionVersion must be ALL"),
        ("FunctionVersion=ALL&Marker=a", INVALID, "Marker \"a\""),
    ] {
        let path = format!("{FUNCTIONS}?{query}");
        let text = wire.declined("GET", &path, Json::Null, 400, code).await;
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn a_page_has_no_more_than_the_model_allows() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("f", 0).await;
    for path in [
        "/2018-10-31/layers?",
        "/2018-10-31/layers/l/versions?",
        "/2019-09-25/functions/f/event-invoke-config/list?",
        "/2021-10-31/functions/f/urls?",
        "/2019-09-30/functions/f/provisioned-concurrency?List=ALL&",
    ] {
        wire.lambda_done("GET", &format!("{path}MaxItems=50"), Json::Null)
            .await;
        let path = format!("{path}MaxItems=51");
        let text = wire.declined("GET", &path, Json::Null, 400, BROKEN).await;
        assert_eq!(
            text,
            "1 validation error detected: Value '51' at 'maxItems' failed to satisfy constraint: Member must have value less than or \
             equal to 50",
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_account_is_what_lists_show() {
    let wire = start(Trust::Loopback).await;
    let usage = async || {
        let account = wire
            .lambda_done("GET", "/2016-08-19/account-settings/", Json::Null)
            .await;
        let usage = &account["AccountUsage"];
        (
            usage["FunctionCount"].as_u64().unwrap(),
            usage["TotalCodeSize"].as_u64().unwrap(),
        )
    };
    assert_eq!(usage().await, (0, 0));
    wire.catalogue.replace([version("a")]);
    let made = wire.lambda_done("POST", FUNCTIONS, input("b")).await;
    let code = made["CodeSize"].as_u64().unwrap();
    assert_eq!(usage().await, (2, code));
    let mut bytes = code;
    let versions = "/2018-10-31/layers/l/versions";
    for text in ["one", "two, which is longer"] {
        let content = json!({ "Content": { "ZipFile": super::functions::zip(&[("layer", text)]) } });
        let layer = wire.lambda_done("POST", versions, content).await;
        bytes += layer["Content"]["CodeSize"].as_u64().unwrap();
        assert_eq!(usage().await, (2, bytes));
    }
    // The same again is not kept again.
    let content = json!({ "Content": { "ZipFile": super::functions::zip(&[("layer", "one")]) } });
    wire.lambda_done("POST", versions, content).await;
    assert_eq!(usage().await, (2, bytes));
    // A function keeps a layer that was deleted.
    let layers = json!({ "Layers": ["arn:aws:lambda:eu-west-1:000000000000:layer:l:2"] });
    wire.lambda_done("PUT", &format!("{FUNCTIONS}/b/configuration"), layers)
        .await;
    wire.lambda_done("DELETE", &format!("{versions}/2"), Json::Null)
        .await;
    assert_eq!(usage().await, (2, bytes));
    wire.lambda_done("DELETE", &format!("{FUNCTIONS}/b"), Json::Null)
        .await;
    let (functions, less) = usage().await;
    assert_eq!(functions, 1);
    assert!(less > 0 && less < bytes - code, "{less}");
}

#[tokio::test]
async fn asynchronous_calls_are_told_to_another_function_that_is_there() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("f", 0).await;
    wire.versioned("g", 0).await;
    let path = "/2019-09-25/functions/f/event-invoke-config";
    let to = |arn: &str| json!({ "DestinationConfig": { "OnFailure": { "Destination": arn } } });
    let itself = format!("{ARN}:f");
    for (input, code, said) in [
        (
            json!({}),
            INVALID,
            "You must specify at least one of error handling or destination setting.",
        ),
        (
            to(&itself),
            INVALID,
            "You can't specify the function as a destination for itself.",
        ),
        (
            to(&format!("{itself}:1")),
            INVALID,
            "You can't specify the function as a destination for itself.",
        ),
        (
            to("junk"),
            BROKEN,
            "Value 'junk' at 'destinationConfig.onFailure.destination'",
        ),
        (to("kafka://topic"), BROKEN, "Value 'kafka://topic'"),
        (to("arn:aws:lambda:x"), BROKEN, "Value 'arn:aws:lambda:x'"),
        (
            to("arn:aws:sqs:us-east-1:000000000000:q"),
            INVALID,
            "the service \"sqs\" does not exist here yet",
        ),
        (to(&format!("{ARN}:none")), INVALID, "there is no such function"),
    ] {
        for method in ["PUT", "POST"] {
            let text = wire.declined(method, path, input.clone(), 400, code).await;
            assert!(text.contains(said), "{text}");
        }
    }
    wire.lambda_done("PUT", path, to(&format!("{ARN}:g"))).await;
    // An empty one takes it away.
    let set = wire.lambda_done("PUT", path, to("")).await;
    assert_eq!(set["DestinationConfig"]["OnFailure"], json!({}));
}

#[tokio::test]
async fn tags_have_the_models_letters() {
    let wire = start(Trust::Loopback).await;
    wire.versioned("f", 0).await;
    let path = format!("/2017-03-31/tags/{ARN}:f");
    let tag = |key: &str, value: &str| json!({ "Tags": { key: value } });
    for (key, value) in [
        ("aws:x", "y"),
        ("AWS:x", "y"),
        ("aWs:x", "y"),
        ("a*b", "y"),
        ("a\tb", "y"),
        ("a", "y!"),
        ("a", "\u{0}"),
    ] {
        let text = wire.declined("POST", &path, tag(key, value), 400, INVALID).await;
        assert!(text.contains(key.trim()) || text.contains("\\t"), "{key}: {text}");
    }
    for (key, value) in [("Größe 1_.:/=+-@", "名前 ²"), ("awsx", ""), ("é", "")] {
        wire.lambda_done("POST", &path, tag(key, value)).await;
    }
    let text = wire.declined("DELETE", &path, Json::Null, 400, BROKEN).await;
    assert_eq!(
        text,
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
    );
    wire.lambda_done("DELETE", &format!("{path}?tagKeys=awsx&tagKeys=none"), Json::Null)
        .await;
    let tags = wire.lambda_done("GET", &path, Json::Null).await;
    assert_eq!(tags["Tags"].as_object().unwrap().len(), 2, "{tags}");
}
