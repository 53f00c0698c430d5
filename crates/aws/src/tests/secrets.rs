//! Secrets Manager, asked as clients ask.

use super::*;

const JSON_11: &str = "application/x-amz-json-1.1";

async fn secrets(client: &Client, operation: &str, input: &Json) -> Answer {
    let request = http::Request::post("/")
        .header("authorization", claim("eu-west-1", "secretsmanager"))
        .header("content-type", JSON_11)
        .header("x-amz-target", format!("secretsmanager.{operation}"));
    send(
        client,
        request.body(full(input.to_string().into_bytes())).unwrap(),
    )
    .await
}

async fn done(client: &Client, operation: &str, input: Json) -> Json {
    let answer = secrets(client, operation, &input).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{operation} {input}: {}",
        answer.text()
    );
    assert_eq!(answer.header("content-type"), JSON_11);
    answer.json()
}

async fn refused(client: &Client, operation: &str, input: Json, code: &str) -> String {
    let answer = secrets(client, operation, &input).await;
    let body = answer.json();
    let code = match code {
        "AccessDeniedException" => format!("{SERVICE}{code}"),
        code => code.to_owned(),
    };
    assert_eq!(
        (answer.status, &body["__type"]),
        (StatusCode::BAD_REQUEST, &json!(code)),
        "{operation} {input}: {body}"
    );
    let text = body.get("message").or_else(|| body.get("Message"));
    text.unwrap().as_str().unwrap().to_owned()
}

const INVALID: &str = "InvalidParameterException";
const REQUEST: &str = "InvalidRequestException";
const MISSING: &str = "ResourceNotFoundException";
const EXISTS: &str = "ResourceExistsException";
const TOKEN: &str = "00000000-0000-0000-0000-000000000001";

#[tokio::test]
async fn a_secret_lives_from_its_making_to_its_end() {
    let wire = start(Trust::Loopback).await;
    let client = &wire.client;
    let made = done(
        client,
        "CreateSecret",
        json!({
            "Name": "app/db", "SecretString": "hunter22", "ClientRequestToken": TOKEN, "Description": "the database",
            "Tags": [{"Key": "team", "Value": "a"}], "KmsKeyId": "alias/aws/secretsmanager"
        }),
    )
    .await;
    let arn = made["ARN"].as_str().unwrap().to_owned();
    assert!(
        arn.starts_with("arn:aws:secretsmanager:eu-west-1:000000000000:secret:app/db-"),
        "{arn}"
    );
    assert_eq!(
        (&made["Name"], &made["VersionId"]),
        (&json!("app/db"), &json!(TOKEN))
    );
    let partial = &arn[..arn.len() - 7];
    for id in ["app/db", &arn, partial] {
        let got = done(client, "GetSecretValue", json!({"SecretId": id})).await;
        let expected = json!({
            "ARN": arn, "Name": "app/db", "VersionId": TOKEN, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_440_938_160.0,
            "SecretString": "hunter22"
        });
        assert_eq!(got, expected);
    }
    let strange = format!("{partial}-abcdef");
    refused(client, "GetSecretValue", json!({"SecretId": strange}), MISSING).await;
    let other = arn.replace("000000000000", "111111111111");
    refused(
        client,
        "GetSecretValue",
        json!({"SecretId": other}),
        "AccessDeniedException",
    )
    .await;

    let put = done(
        client,
        "PutSecretValue",
        json!({"SecretId": arn, "SecretBinary": "AAEC"}),
    )
    .await;
    assert_eq!(put["VersionStages"], json!(["AWSCURRENT"]));
    let got = done(client, "GetSecretValue", json!({"SecretId": "app/db"})).await;
    assert_eq!(
        (&got["SecretBinary"], got.get("SecretString")),
        (&json!("AAEC"), None)
    );
    let got = done(
        client,
        "GetSecretValue",
        json!({"SecretId": "app/db", "VersionStage": "AWSPREVIOUS"}),
    )
    .await;
    assert_eq!(got["VersionId"], json!(TOKEN));
    let shown = done(client, "DescribeSecret", json!({"SecretId": "app/db"})).await;
    let second = put["VersionId"].as_str().unwrap();
    assert_eq!(
        shown,
        json!({
            "ARN": arn, "Name": "app/db", "CreatedDate": 1_440_938_160.0, "LastChangedDate": 1_440_938_160.0,
            "Description": "the database", "Tags": [{"Key": "team", "Value": "a"}],
            "VersionIdsToStages": {TOKEN: ["AWSPREVIOUS"], second: ["AWSCURRENT"]}
        })
    );
    let moved = json!({
        "SecretId": "app/db", "VersionStage": "AWSCURRENT", "MoveToVersionId": TOKEN, "RemoveFromVersionId": second
    });
    done(client, "UpdateSecretVersionStage", moved).await;
    let got = done(client, "GetSecretValue", json!({"SecretId": "app/db"})).await;
    assert_eq!(got["SecretString"], json!("hunter22"));
    let all = done(
        client,
        "ListSecretVersionIds",
        json!({"SecretId": "app/db", "MaxResults": 1}),
    )
    .await;
    assert_eq!(all["Versions"][0]["VersionId"], json!(TOKEN));
    let next = json!({"SecretId": "app/db", "MaxResults": 1, "NextToken": all["NextToken"]});
    let rest = done(client, "ListSecretVersionIds", next).await;
    assert_eq!(
        (&rest["Versions"][0]["VersionId"], rest.get("NextToken")),
        (&json!(second), None)
    );

    let deleted = done(
        client,
        "DeleteSecret",
        json!({"SecretId": arn, "RecoveryWindowInDays": 7}),
    )
    .await;
    assert_eq!(deleted["DeletionDate"], json!(1_440_938_160.0 + 7.0 * 86_400.0));
    refused(client, "GetSecretValue", json!({"SecretId": "app/db"}), REQUEST).await;
    assert_eq!(
        done(client, "ListSecrets", json!({})).await,
        json!({"SecretList": []})
    );
    let listed = done(client, "ListSecrets", json!({"IncludePlannedDeletion": true})).await;
    assert_eq!(listed["SecretList"][0]["Name"], json!("app/db"));
    done(client, "RestoreSecret", json!({"SecretId": arn})).await;
    done(
        client,
        "TagResource",
        json!({"SecretId": arn, "Tags": [{"Key": "x", "Value": "y"}]}),
    )
    .await;
    done(
        client,
        "UntagResource",
        json!({"SecretId": arn, "TagKeys": ["team"]}),
    )
    .await;
    let shown = done(client, "DescribeSecret", json!({"SecretId": arn})).await;
    assert_eq!(shown["Tags"], json!([{"Key": "x", "Value": "y"}]));
    done(
        client,
        "DeleteSecret",
        json!({"SecretId": arn, "ForceDeleteWithoutRecovery": true}),
    )
    .await;
    refused(client, "DescribeSecret", json!({"SecretId": "app/db"}), MISSING).await;
    // What is not there: at once it is as good as deleted, with a window it is missing.
    let again = json!({"SecretId": "app/db", "ForceDeleteWithoutRecovery": true});
    assert_eq!(done(client, "DeleteSecret", again).await["Name"], json!("app/db"));
    refused(client, "DeleteSecret", json!({"SecretId": "app/db"}), MISSING).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_the_services_words() {
    let wire = start(Trust::Loopback).await;
    let client = &wire.client;
    done(
        client,
        "CreateSecret",
        json!({"Name": "a", "SecretString": "x", "ClientRequestToken": TOKEN}),
    )
    .await;
    done(client, "CreateSecret", json!({"Name": "empty"})).await;
    let long = "x".repeat(65_537);
    let cases = [
        (
            "CreateSecret",
            json!({"Name": "a", "SecretString": "x"}),
            EXISTS,
            "already exists",
        ),
        (
            "CreateSecret",
            json!({"Name": "a b", "SecretString": "x"}),
            INVALID,
            "Invalid name",
        ),
        (
            "CreateSecret",
            json!({"SecretString": "x"}),
            INVALID,
            "Invalid name",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "SecretString": long}),
            INVALID,
            "65537 bytes",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "SecretString": ""}),
            INVALID,
            "0 bytes",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "SecretString": "x", "SecretBinary": "eA=="}),
            INVALID,
            "both",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "ClientRequestToken": "short"}),
            INVALID,
            "32 to 64",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "KmsKeyId": "alias/mine"}),
            INVALID,
            "KmsKeyId",
        ),
        (
            "CreateSecret",
            json!({"Name": "b", "AddReplicaRegions": [{"Region": "x"}]}),
            INVALID,
            "AddReplicaRegions",
        ),
        ("CreateSecret", json!({"Name": "b", "Type": "x"}), INVALID, "Type"),
        (
            "GetSecretValue",
            json!({"SecretId": "none"}),
            MISSING,
            "can't find the specified secret.",
        ),
        (
            "GetSecretValue",
            json!({"SecretId": "empty"}),
            MISSING,
            "value for staging label: AWSCURRENT",
        ),
        ("GetSecretValue", json!({}), INVALID, "secretId"),
        (
            "GetSecretValue",
            json!({"SecretId": "a", "VersionId": "x".repeat(32)}),
            MISSING,
            "VersionId: xxx",
        ),
        (
            "GetSecretValue",
            json!({"SecretId": "a", "VersionId": TOKEN, "VersionStage": "AWSPREVIOUS"}),
            REQUEST,
            "not associated",
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a"}),
            INVALID,
            "either SecretString or SecretBinary",
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "y", "ClientRequestToken": TOKEN}),
            EXISTS,
            "never changes",
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "y", "VersionStages": []}),
            INVALID,
            "VersionStages",
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "y", "RotationToken": "t"}),
            INVALID,
            "RotationToken",
        ),
        (
            "DeleteSecret",
            json!({"SecretId": "a", "RecoveryWindowInDays": 6}),
            INVALID,
            "between 7 and 30",
        ),
        (
            "DeleteSecret",
            json!({"SecretId": "a", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true}),
            INVALID,
            "in conjunction",
        ),
        (
            "RotateSecret",
            json!({"SecretId": "a"}),
            REQUEST,
            "rotation is not supported yet",
        ),
        (
            "ListSecrets",
            json!({"SortBy": "created-date"}),
            INVALID,
            "SortBy",
        ),
        (
            "ListSecrets",
            json!({"NextToken": "%"}),
            "InvalidNextTokenException",
            "NextToken",
        ),
        (
            "ListSecrets",
            json!({"Filters": [{"Key": "mood", "Values": ["x"]}]}),
            INVALID,
            "enum value set",
        ),
        ("BatchGetSecretValue", json!({}), INVALID, "SecretIdList"),
        (
            "TagResource",
            json!({"SecretId": "a", "Tags": [{"Key": "", "Value": ""}]}),
            INVALID,
            "tag",
        ),
        (
            "GetRandomPassword",
            json!({"PasswordLength": 3}),
            INVALID,
            "one of each",
        ),
        (
            "GetRandomPassword",
            json!({"PasswordLength": 4_097}),
            INVALID,
            "between 1 and 4096",
        ),
    ];
    for (operation, input, code, said) in cases {
        let shown = input.to_string();
        let text = refused(client, operation, input, code).await;
        assert!(
            text.contains(said),
            "{operation} {}: {text}",
            &shown[..shown.len().min(200)]
        );
    }
}

#[tokio::test]
async fn secrets_are_found_by_what_is_known_of_them() {
    let wire = start(Trust::Loopback).await;
    let client = &wire.client;
    for (name, description, tag) in [
        ("app/a", "Main database", "x"),
        ("app/b", "queue", "y"),
        ("other", "", "x"),
    ] {
        let input = json!({
            "Name": name, "Description": description, "SecretString": name, "Tags": [{"Key": "env", "Value": tag}]
        });
        done(client, "CreateSecret", input).await;
    }
    let cases = [
        (
            json!([{"Key": "name", "Values": ["app/"]}]),
            vec!["app/a", "app/b"],
        ),
        (json!([{"Key": "name", "Values": ["App/"]}]), vec![]),
        (json!([{"Key": "name", "Values": ["!app/"]}]), vec!["other"]),
        (json!([{"Key": "description", "Values": ["main"]}]), vec!["app/a"]),
        (
            json!([{"Key": "tag-value", "Values": ["x"]}, {"Key": "name", "Values": ["o"]}]),
            vec!["other"],
        ),
        (
            json!([{"Key": "tag-key", "Values": ["en"]}]),
            vec!["app/a", "app/b", "other"],
        ),
        (
            json!([{"Key": "all", "Values": ["DATABASE main"]}]),
            vec!["app/a"],
        ),
        (json!([{"Key": "owning-service", "Values": ["rds"]}]), vec![]),
    ];
    for (filters, expected) in cases {
        let found = done(client, "ListSecrets", json!({"Filters": filters})).await;
        let names: Vec<&str> = found["SecretList"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{filters}");
        let batch = done(client, "BatchGetSecretValue", json!({"Filters": filters})).await;
        let values = batch["SecretValues"].as_array().unwrap();
        let values: Vec<&str> = values
            .iter()
            .map(|s| s["SecretString"].as_str().unwrap())
            .collect();
        assert_eq!(values, expected, "{filters}");
    }
    let (mut names, mut token) = (Vec::new(), Json::Null);
    loop {
        let page = done(
            client,
            "ListSecrets",
            json!({"MaxResults": 1, "NextToken": token}),
        )
        .await;
        names.extend(
            page["SecretList"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s["Name"].as_str().unwrap().to_owned()),
        );
        match page.get("NextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["app/a", "app/b", "other"]);
    let batch = done(
        client,
        "BatchGetSecretValue",
        json!({"SecretIdList": ["app/a", "none"]}),
    )
    .await;
    assert_eq!(batch["SecretValues"].as_array().unwrap().len(), 1);
    assert_eq!(batch["Errors"][0]["ErrorCode"], json!(MISSING));
}

#[tokio::test]
async fn a_function_reads_what_it_is_granted_and_changes_nothing() {
    let wire = start(Trust::Loopback).await;
    for name in ["db", "pay"] {
        done(
            &wire.client,
            "CreateSecret",
            json!({"Name": name, "SecretString": "x"}),
        )
        .await;
    }
    let caller = Caller {
        tenant: Tenant::local(),
        region: "eu-west-1".parse().unwrap(),
        principal: Principal::Function {
            name: "create".parse().unwrap(),
            grants: Arc::new(Grants {
                secrets: ["db".to_owned()].into_iter().collect(),
                ..Grants::default()
            }),
        },
    };
    let inside = listen(wire.aws.inside(caller), &wire.tasks).await;
    done(&inside, "GetSecretValue", json!({"SecretId": "db"})).await;
    done(&inside, "GetRandomPassword", json!({})).await;
    const DENIED: &str = "AccessDeniedException";
    let said = refused(&inside, "GetSecretValue", json!({"SecretId": "pay"}), DENIED).await;
    assert!(said.contains(r#"secrets = ["db", "pay"]"#), "{said}");
    // What is not there is told in the same words.
    let said = refused(&inside, "GetSecretValue", json!({"SecretId": "none"}), DENIED).await;
    assert!(said.contains("may not read secret \"none\""), "{said}");
    for (operation, input) in [
        ("PutSecretValue", json!({"SecretId": "db", "SecretString": "y"})),
        ("DeleteSecret", json!({"SecretId": "db"})),
        ("CreateSecret", json!({"Name": "new"})),
        ("ListSecrets", json!({})),
    ] {
        refused(&inside, operation, input, DENIED).await;
    }
    let batch = done(
        &inside,
        "BatchGetSecretValue",
        json!({"SecretIdList": ["db", "pay"]}),
    )
    .await;
    assert_eq!(batch["Errors"][0]["ErrorCode"], json!(DENIED));
    assert_eq!(batch["SecretValues"][0]["Name"], json!("db"));
}

#[tokio::test]
async fn a_password_has_what_was_asked_for() {
    let wire = start(Trust::Loopback).await;
    let client = &wire.client;
    let draw = async |input: Json| {
        let drawn = done(client, "GetRandomPassword", input).await;
        drawn["RandomPassword"].as_str().unwrap().to_owned()
    };
    let plain = draw(json!({})).await;
    assert_eq!(plain.len(), 32);
    assert!(
        plain.bytes().any(|b| b.is_ascii_lowercase()) && plain.bytes().any(|b| b.is_ascii_punctuation()),
        "{plain}"
    );
    assert_ne!(plain, draw(json!({})).await);
    let digits = json!({
        "PasswordLength": 200, "ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludePunctuation": true,
        "ExcludeCharacters": "01234567"
    });
    assert!(draw(digits).await.bytes().all(|b| b"89".contains(&b)));
    let tight = draw(json!({"PasswordLength": 5, "IncludeSpace": true})).await;
    assert!(tight.contains(' '), "{tight}");
}

/// Every member of the service's model is looked at (see `model.rs`). The names are those of botocore's; rotation is refused as a whole.
#[tokio::test]
async fn no_member_of_the_model_of_secrets_is_accepted_and_ignored() {
    let wire = start(Trust::Loopback).await;
    let client = &wire.client;
    done(
        client,
        "CreateSecret",
        json!({"Name": "a", "SecretString": "x", "ClientRequestToken": TOKEN}),
    )
    .await;
    let a = json!({"SecretId": "a"});
    let move_it = json!({"SecretId": "a", "VersionStage": "mine", "MoveToVersionId": TOKEN});
    let model = [
        (
            "CreateSecret",
            json!({"Name": "b"}),
            "Name ClientRequestToken Description KmsKeyId SecretBinary SecretString Tags AddReplicaRegions \
             ForceOverwriteReplicaSecret Type CrossAccountPrimaryARN",
        ),
        ("GetSecretValue", a.clone(), "SecretId VersionId VersionStage"),
        (
            "BatchGetSecretValue",
            json!({"SecretIdList": ["a"]}),
            "SecretIdList Filters MaxResults NextToken",
        ),
        (
            "PutSecretValue",
            json!({"SecretId": "a", "SecretString": "y"}),
            "SecretId ClientRequestToken SecretBinary SecretString VersionStages RotationToken",
        ),
        (
            "UpdateSecret",
            a.clone(),
            "SecretId ClientRequestToken Description KmsKeyId SecretBinary SecretString Type",
        ),
        (
            "UpdateSecretVersionStage",
            move_it,
            "SecretId VersionStage RemoveFromVersionId MoveToVersionId",
        ),
        ("DescribeSecret", a.clone(), "SecretId"),
        ("GetResourcePolicy", a.clone(), "SecretId PolicyName"),
        (
            "ListSecretVersionIds",
            a.clone(),
            "SecretId MaxResults NextToken IncludeDeprecated",
        ),
        (
            "ListSecrets",
            json!({}),
            "IncludePlannedDeletion MaxResults NextToken Filters SortOrder SortBy",
        ),
        (
            "TagResource",
            json!({"SecretId": "a", "Tags": [{"Key": "k", "Value": "v"}]}),
            "SecretId Tags",
        ),
        (
            "UntagResource",
            json!({"SecretId": "a", "TagKeys": ["k"]}),
            "SecretId TagKeys",
        ),
        (
            "GetRandomPassword",
            json!({}),
            "PasswordLength ExcludeCharacters ExcludeNumbers ExcludePunctuation ExcludeUppercase ExcludeLowercase IncludeSpace \
             RequireEachIncludedType",
        ),
        (
            "DeleteSecret",
            a.clone(),
            "SecretId RecoveryWindowInDays ForceDeleteWithoutRecovery",
        ),
        ("RestoreSecret", a, "SecretId"),
    ];
    for (operation, input, members) in model {
        for member in members.split_whitespace() {
            let mut absurd = input.clone();
            absurd[member] = json!([[{"absurd": [1.5]}]]);
            let answer = secrets(client, operation, &absurd).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{operation} took {member}: {}",
                answer.text()
            );
        }
        done(client, operation, input).await;
    }
}
