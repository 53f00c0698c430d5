//! Every member of the service's model is looked at: whatever it is set to that makes no sense is refused, never passed over.
//! A member that was forgotten would be taken for an unknown one and fail here. The names are those of botocore 1.44's model.

use proptest::prelude::*;

use super::functions::{FUNCTIONS, input, lambda};
use super::*;

const WRITE: &str = "TableName Expected ReturnValues ReturnConsumedCapacity ReturnItemCollectionMetrics ConditionalOperator \
    ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValuesOnConditionCheckFailure";
const READ: &str = "TableName IndexName Select AttributesToGet Limit ConsistentRead ConditionalOperator ExclusiveStartKey \
    ReturnConsumedCapacity ProjectionExpression FilterExpression ExpressionAttributeNames ExpressionAttributeValues";

#[tokio::test]
async fn no_member_of_the_model_is_accepted_and_ignored() {
    let wire = start_with_tables().await;
    let key = json!({"id": {"S": "a"}});
    let created = "TableName AttributeDefinitions KeySchema LocalSecondaryIndexes GlobalSecondaryIndexes BillingMode \
        ProvisionedThroughput StreamSpecification SSESpecification Tags TableClass DeletionProtectionEnabled WarmThroughput \
        ResourcePolicy OnDemandThroughput GlobalTableSourceArn GlobalTableSettingsReplicationMode VectorIndexes";
    let got = "TableName Key AttributesToGet ConsistentRead ReturnConsumedCapacity ProjectionExpression ExpressionAttributeNames";
    let table = json!({"TableName": "orders"});
    let query = json!({"TableName": "orders", "KeyConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}});
    let model = [
        ("CreateTable", create("more", &[("id", "S")]), created.to_owned()),
        ("DescribeTable", table.clone(), "TableName".to_owned()),
        (
            "ListTables",
            json!({}),
            "ExclusiveStartTableName Limit".to_owned(),
        ),
        (
            "PutItem",
            json!({"TableName": "orders", "Item": key}),
            format!("{WRITE} Item"),
        ),
        (
            "GetItem",
            json!({"TableName": "orders", "Key": key}),
            got.to_owned(),
        ),
        (
            "UpdateItem",
            json!({"TableName": "orders", "Key": key}),
            format!("{WRITE} Key AttributeUpdates UpdateExpression"),
        ),
        (
            "DeleteItem",
            json!({"TableName": "orders", "Key": key}),
            format!("{WRITE} Key"),
        ),
        (
            "Query",
            query,
            format!("{READ} KeyConditions QueryFilter ScanIndexForward KeyConditionExpression"),
        ),
        (
            "Scan",
            table.clone(),
            format!("{READ} ScanFilter TotalSegments Segment"),
        ),
        ("DeleteTable", table, "TableName".to_owned()),
    ];
    for (operation, input, members) in &model {
        for member in members.split_whitespace() {
            let mut absurd = input.clone();
            absurd[member] = json!([[{"absurd": [1.5]}]]);
            let answer = wire.ask(operation, &absurd).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{operation} took {member}: {}",
                answer.text()
            );
        }
    }
    for (operation, input, _) in model {
        wire.done(operation, input).await;
    }
}

const CONFIGURATION: &str = "Role Handler Description Timeout MemorySize Runtime KMSKeyArn Layers FileSystemConfigs ImageConfig \
    CapacityProviderConfig DurableConfig VpcConfig VpcConfig.SubnetIds VpcConfig.SecurityGroupIds VpcConfig.Ipv6AllowedForDualStack \
    Environment Environment.Variables DeadLetterConfig DeadLetterConfig.TargetArn TracingConfig TracingConfig.Mode EphemeralStorage \
    EphemeralStorage.Size SnapStart SnapStart.ApplyOn LoggingConfig LoggingConfig.LogFormat LoggingConfig.ApplicationLogLevel \
    LoggingConfig.SystemLogLevel LoggingConfig.LogGroup";
const LATER: &str = "MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig DestinationConfig.OnSuccess \
    DestinationConfig.OnFailure DestinationConfig.OnSuccess.Destination DestinationConfig.OnFailure.Destination";

const CORS: &str = "AllowCredentials AllowHeaders AllowMethods AllowOrigins ExposeHeaders MaxAge";
const URL_PATH: &str = "/2021-10-31/functions/f/url";
const KEPT_PATH: &str = "/2019-09-30/functions/f/provisioned-concurrency";
const LATER_PATH: &str = "/2019-09-25/functions/f/event-invoke-config";
const LAYER_PATH: &str = "/2018-10-31/layers/l/versions";

/// A wire where the function `f` has the alias `live`.
async fn start_with_function() -> Wire {
    let wire = start(Trust::Loopback).await;
    let made = wire.lambda("POST", FUNCTIONS, input("f")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let alias = json!({ "Name": "live", "FunctionVersion": "$LATEST" });
    let alias = wire
        .lambda("POST", &format!("{FUNCTIONS}/f/aliases"), alias)
        .await;
    assert_eq!(alias.status, StatusCode::CREATED, "{}", alias.text());
    wire
}

/// The operations that have a body: method, path, an input that is right, and the members of the model; a dot leads into one.
fn bodies() -> Vec<(&'static str, String, Json, String)> {
    let of_f = |rest: &str| format!("{FUNCTIONS}/f/{rest}");
    let code = "ZipFile S3Bucket S3Key S3ObjectVersion S3ObjectStorageMode";
    let inside = |member: &str, names: &str| {
        let names = names.split_whitespace();
        names.map(|name| format!("{member}.{name} ")).collect::<String>()
    };
    let zip = input("f")["Code"].clone();
    vec![
        (
            "POST",
            FUNCTIONS.to_owned(),
            input("g"),
            format!(
                "{CONFIGURATION} FunctionName Publish PublishTo PackageType Tags CodeSigningConfigArn Architectures TenancyConfig Code {}",
                inside("Code", &format!("{code} ImageUri SourceKMSKeyArn"))
            ),
        ),
        (
            "PUT",
            of_f("configuration"),
            json!({}),
            format!("{CONFIGURATION} RevisionId"),
        ),
        (
            "PUT",
            of_f("code"),
            zip.clone(),
            format!("{code} ImageUri SourceKMSKeyArn Architectures Publish PublishTo DryRun RevisionId"),
        ),
        (
            "POST",
            of_f("versions"),
            json!({}),
            "CodeSha256 Description RevisionId PublishTo".to_owned(),
        ),
        (
            "POST",
            of_f("aliases"),
            json!({ "Name": "other", "FunctionVersion": "$LATEST" }),
            "Name FunctionVersion Description RoutingConfig RoutingConfig.AdditionalVersionWeights".to_owned(),
        ),
        (
            "PUT",
            of_f("aliases/live"),
            json!({}),
            "FunctionVersion Description RevisionId RoutingConfig RoutingConfig.AdditionalVersionWeights".to_owned(),
        ),
        (
            "POST",
            of_f("policy"),
            json!({ "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*" }),
            "StatementId Action Principal SourceArn FunctionUrlAuthType InvokedViaFunctionUrl SourceAccount EventSourceToken \
             RevisionId PrincipalOrgID"
                .to_owned(),
        ),
        (
            "POST",
            URL_PATH.to_owned(),
            json!({ "AuthType": "NONE" }),
            format!("AuthType InvokeMode Cors {}", inside("Cors", CORS)),
        ),
        (
            "PUT",
            URL_PATH.to_owned(),
            json!({}),
            format!("AuthType InvokeMode Cors {}", inside("Cors", CORS)),
        ),
        (
            "PUT",
            "/2017-10-31/functions/f/concurrency".to_owned(),
            json!({ "ReservedConcurrentExecutions": 1 }),
            "ReservedConcurrentExecutions".to_owned(),
        ),
        (
            "PUT",
            format!("{KEPT_PATH}?Qualifier=live"),
            json!({ "ProvisionedConcurrentExecutions": 1 }),
            "ProvisionedConcurrentExecutions".to_owned(),
        ),
        (
            "PUT",
            LATER_PATH.to_owned(),
            json!({ "MaximumRetryAttempts": 1 }),
            LATER.to_owned(),
        ),
        (
            "POST",
            LATER_PATH.to_owned(),
            json!({ "MaximumRetryAttempts": 2 }),
            LATER.to_owned(),
        ),
        (
            "POST",
            LAYER_PATH.to_owned(),
            json!({ "Content": zip }),
            format!(
                "Description CompatibleArchitectures CompatibleRuntimes LicenseInfo Content {}",
                inside("Content", code)
            ),
        ),
        (
            "POST",
            "/2017-03-31/tags/arn:aws:lambda:eu-west-1:000000000000:function:f".to_owned(),
            json!({ "Tags": {} }),
            "Tags".to_owned(),
        ),
    ]
}

/// The same of Lambda's.
#[tokio::test]
async fn no_member_of_lambdas_model_is_accepted_and_ignored() {
    let wire = start_with_function().await;
    let of_f = |rest: &str| format!("{FUNCTIONS}/f/{rest}");
    for (method, path, input, members) in &bodies() {
        for member in members.split_whitespace() {
            let mut absurd = input.clone();
            let at = member.split('.').fold(&mut absurd, |json, name| &mut json[name]);
            *at = json!([[{"absurd": [1.5]}]]);
            let answer = wire.lambda(method, path, absurd).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{method} {path} took {member}: {}",
                answer.text()
            );
        }
    }
    for (method, path, input, _) in bodies() {
        let answer = wire.lambda(method, &path, input).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
    }
    for (path, parameters) in [
        (FUNCTIONS, "MasterRegion FunctionVersion MaxItems"),
        (&of_f("aliases"), "FunctionVersion Marker MaxItems"),
        (&of_f("versions"), "Marker MaxItems"),
        (&of_f("policy"), "Qualifier"),
        (&of_f("configuration"), "Qualifier"),
        (&format!("{FUNCTIONS}/f"), "Qualifier"),
        (LATER_PATH, "Qualifier"),
        (URL_PATH, "Qualifier"),
        (KEPT_PATH, "Qualifier"),
        (&format!("{KEPT_PATH}?List=ALL"), "Marker MaxItems"),
        ("/2021-10-31/functions/f/urls", "Marker MaxItems"),
        (&format!("{LATER_PATH}/list"), "Marker MaxItems"),
        (
            "/2018-10-31/layers",
            "CompatibleArchitecture CompatibleRuntime MaxItems",
        ),
        (
            LAYER_PATH,
            "CompatibleArchitecture CompatibleRuntime Marker MaxItems",
        ),
        ("/2018-10-31/layers?find=LayerVersion", "Arn"),
    ] {
        for parameter in parameters.split_whitespace() {
            let sign = if path.contains('?') { '&' } else { '?' };
            let asked = format!("{path}{sign}{parameter}=%3F%21");
            let answer = wire.lambda("GET", &asked, Json::Null).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{asked}: {}",
                answer.text()
            );
        }
    }
    for header in [
        "x-amz-invocation-type",
        "x-amz-log-type",
        "x-amz-client-context",
        "x-amz-durable-execution-name",
        "x-amz-tenant-id",
    ] {
        for path in [
            of_f("invocations"),
            "/2021-11-15/functions/f/response-streaming-invocations".to_owned(),
        ] {
            let called = lambda(&wire.client, "POST", &path, &[(header, "?!")], Vec::new()).await;
            assert_eq!(
                called.status,
                StatusCode::BAD_REQUEST,
                "{path} {header}: {}",
                called.text()
            );
        }
    }
}

/// The same of CloudWatch Logs'.
#[tokio::test]
async fn no_member_of_the_model_of_logs_is_accepted_and_ignored() {
    let wire = start(Trust::Loopback).await;
    let (group, stream) = (
        json!({"logGroupName": "g"}),
        json!({"logGroupName": "g", "logStreamName": "s"}),
    );
    let arn = "arn:aws:logs:eu-west-1:000000000000:log-group:g";
    let put = json!({
        "logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": NOW.as_millis(), "message": "x"}],
    });
    let model = [
        (
            "CreateLogGroup",
            group.clone(),
            "logGroupName kmsKeyId tags logGroupClass deletionProtectionEnabled",
        ),
        ("CreateLogStream", stream.clone(), "logGroupName logStreamName"),
        (
            "DescribeLogGroups",
            json!({}),
            "accountIdentifiers logGroupNamePrefix logGroupNamePattern nextToken limit includeLinkedAccounts logGroupClass \
             logGroupIdentifiers",
        ),
        (
            "DescribeLogStreams",
            group.clone(),
            "logGroupName logGroupIdentifier logStreamNamePrefix orderBy descending nextToken limit",
        ),
        (
            "PutLogEvents",
            put,
            "logGroupName logStreamName logEvents sequenceToken entity",
        ),
        (
            "GetLogEvents",
            stream.clone(),
            "logGroupName logGroupIdentifier logStreamName startTime endTime nextToken limit startFromHead unmask",
        ),
        (
            "FilterLogEvents",
            group.clone(),
            "logGroupName logGroupIdentifier logStreamNames logStreamNamePrefix startTime endTime filterPattern nextToken limit \
             startFromHead interleaved unmask",
        ),
        (
            "PutRetentionPolicy",
            json!({"logGroupName": "g", "retentionInDays": 7}),
            "logGroupName retentionInDays",
        ),
        ("DeleteRetentionPolicy", group.clone(), "logGroupName"),
        (
            "TagResource",
            json!({"resourceArn": arn, "tags": {"k": "v"}}),
            "resourceArn tags",
        ),
        (
            "UntagResource",
            json!({"resourceArn": arn, "tagKeys": ["k"]}),
            "resourceArn tagKeys",
        ),
        ("ListTagsForResource", json!({"resourceArn": arn}), "resourceArn"),
        ("DeleteLogStream", stream, "logGroupName logStreamName"),
        ("DeleteLogGroup", group, "logGroupName"),
    ];
    for (operation, input, members) in &model {
        for member in members.split_whitespace() {
            let mut absurd = input.clone();
            absurd[member] = json!([[{"absurd": [1.5]}]]);
            let answer = super::logs::logs(&wire.client, operation, &absurd).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{operation} took {member}: {}",
                answer.text()
            );
        }
        wire.logs(operation, input.clone()).await;
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
        "(arn:aws:lambda:::?function:)?[a-z$:0-9]{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map("[a-zA-Z]{0,4}|Size|Variables|Destination", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Whatever a member or the whole body is, the answer is one of the operation or a refusal: nothing is taken for a failure of ours.
#[test]
fn any_json_is_taken_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let wire = runtime.block_on(start_with_function());
    let bodies = bodies();
    let strategy = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any_json(),
    );
    let run = |(which, member, value): (prop::sample::Index, prop::sample::Index, Json)| {
        let (method, path, input, members) = which.get(&bodies);
        let members: Vec<&str> = members.split_whitespace().chain([""]).collect();
        let mut body = input.clone();
        let member = *member.get(&members);
        match member {
            "" => body = value,
            member => *member.split('.').fold(&mut body, |json, name| &mut json[name]) = value,
        }
        let answer = runtime.block_on(wire.lambda(method, path, body));
        prop_assert!(
            !answer.status.is_server_error(),
            "{method} {path} {member}: {}",
            answer.text()
        );
        if answer.status.is_client_error() {
            prop_assert!(answer.header("x-amzn-errortype").ends_with("Exception"));
            prop_assert!(answer.json().is_object());
        }
        Ok(())
    };
    proptest::test_runner::TestRunner::default()
        .run(&strategy, run)
        .unwrap();
}
