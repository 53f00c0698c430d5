//! Creating, describing, listing and deleting tables.

use super::*;

#[tokio::test]
async fn a_table_is_created_described_listed_and_deleted() {
    let wire = start(Trust::Loopback).await;
    let created = wire
        .done("CreateTable", create("lines", &[("order", "S"), ("at", "N")]))
        .await;
    let table = &created["TableDescription"];
    assert_eq!(
        *table,
        json!({
            "AttributeDefinitions": [
                {"AttributeName": "order", "AttributeType": "S"}, {"AttributeName": "at", "AttributeType": "N"}
            ],
            "TableName": "lines",
            "KeySchema": [{"AttributeName": "order", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "TableStatus": "ACTIVE",
            "CreationDateTime": 1_440_938_160.0,
            "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/lines",
            "TableId": table["TableId"],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": 1_440_938_160.0},
            "DeletionProtectionEnabled": false,
            "ItemCount": 0,
            "TableSizeBytes": 0
        })
    );
    assert_eq!(table["TableId"].as_str().unwrap().len(), 36);
    assert_eq!(
        wire.done("DescribeTable", json!({"TableName": "lines"})).await["Table"],
        *table
    );
    assert_eq!(
        wire.done("DescribeTable", json!({"TableName": table["TableArn"]}))
            .await["Table"],
        *table
    );
    let by_arn = create(
        "arn:aws:dynamodb:us-east-1:000000000000:table/by-arn",
        &[("id", "S")],
    );
    assert_eq!(
        wire.done("CreateTable", by_arn).await["TableDescription"]["TableName"],
        "by-arn"
    );
    let text = wire
        .refused(
            "CreateTable",
            create("lines", &[("id", "S")]),
            &format!("{DYNAMODB}ResourceInUseException"),
        )
        .await;
    assert_eq!(text, "Table already exists: lines");

    let deleted = wire.done("DeleteTable", json!({"TableName": "lines"})).await;
    assert_eq!(deleted["TableDescription"]["TableStatus"], "DELETING");
    assert_eq!(
        wire.done("ListTables", json!({})).await,
        json!({"TableNames": ["by-arn"]})
    );
    for operation in ["DescribeTable", "DeleteTable"] {
        let text = wire
            .refused(
                operation,
                json!({"TableName": "lines"}),
                &format!("{DYNAMODB}ResourceNotFoundException"),
            )
            .await;
        assert_eq!(text, "Requested resource not found: Table: lines not found");
    }
}

#[tokio::test]
async fn provisioned_throughput_is_kept_and_shown() {
    let wire = start(Trust::Loopback).await;
    let mut input = create("orders", &[("id", "S")]);
    input["BillingMode"] = json!("PROVISIONED");
    input["ProvisionedThroughput"] = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 7});
    wire.done("CreateTable", input).await;
    let table = wire.done("DescribeTable", json!({"TableName": "orders"})).await["Table"].clone();
    let throughput = json!({"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 5, "WriteCapacityUnits": 7});
    assert_eq!(
        (&table["ProvisionedThroughput"], &table["BillingModeSummary"]),
        (&throughput, &Json::Null)
    );
}

#[tokio::test]
async fn names_are_listed_page_by_page() {
    let wire = start(Trust::Loopback).await;
    let names: Vec<String> = (0..7).map(|n| format!("table-{n}")).collect();
    for name in names.iter().rev() {
        wire.done("CreateTable", create(name, &[("id", "S")])).await;
    }
    let (mut listed, mut after) = (Vec::new(), Json::Null);
    loop {
        let page = wire
            .done(
                "ListTables",
                json!({"Limit": 3, "ExclusiveStartTableName": after}),
            )
            .await;
        listed.extend(
            page["TableNames"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned()),
        );
        after = page["LastEvaluatedTableName"].clone();
        if after.is_null() {
            break;
        }
        assert_eq!(listed.len() % 3, 0);
    }
    assert_eq!(listed, names);
    assert_eq!(
        wire.done("ListTables", json!({"Limit": 7})).await,
        json!({"TableNames": names})
    );
    for (limit, rule) in [
        (0, "greater than or equal to 1"),
        (101, "less than or equal to 100"),
    ] {
        let text = format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value {rule}"
        );
        wire.invalid("ListTables", json!({"Limit": limit}), &text).await;
    }
}

#[tokio::test]
async fn what_is_no_table_is_refused_in_dynamodbs_words() {
    let wire = start(Trust::Loopback).await;
    let table = |change: fn(&mut Json)| {
        let mut input = create("orders", &[("id", "S"), ("at", "N")]);
        change(&mut input);
        input
    };
    let one = "1 validation error detected:";
    let parameters = "One or more parameter values were invalid:";
    let cases = [
        (json!({}), "3 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; \
          Value null at 'attributeDefinitions' failed to satisfy constraint: Member must not be null; \
          Value null at 'keySchema' failed to satisfy constraint: Member must not be null".to_owned()),
        (table(|t| t["TableName"] = json!("ab")), "TableName must be at least 3 characters long and at most 255 characters long".into()),
        (table(|t| t["TableName"] = json!("a".repeat(256))), "TableName must be at least 3 characters long and at most 255 characters long".into()),
        (table(|t| t["TableName"] = json!("a b c")), format!("{one} Value 'a b c' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")),
        (table(|t| t["BillingMode"] = json!("FREE")), format!("{one} Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]")),
        (table(|t| t["BillingMode"] = json!(null)), format!("{parameters} ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")),
        (table(|t| t["ProvisionedThroughput"] = json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})), format!("{parameters} Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")),
        (table(|t| t["ProvisionedThroughput"] = json!({"ReadCapacityUnits": 0, "WriteCapacityUnits": 1})), format!("{one} Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: Member must have value greater than or equal to 1")),
        (table(|t| t["KeySchema"] = json!([])), "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".into()),
        (table(|t| t["KeySchema"][0]["KeyType"] = json!("RANGE")), "Invalid KeySchema: The first KeySchemaElement is not a HASH key type".into()),
        (table(|t| t["KeySchema"][1]["KeyType"] = json!("HASH")), "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type".into()),
        (table(|t| t["KeySchema"][1]["KeyType"] = json!("SORT")), format!("{one} Value 'SORT' at 'keySchema.2.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]")),
        (table(|t| t["KeySchema"][1]["AttributeName"] = json!("id")), "Both the Hash Key and the Range Key element in the KeySchema have the same name".into()),
        (table(|t| t["KeySchema"] = json!([{"AttributeName": "id", "KeyType": "HASH"}])), format!("{parameters} Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")),
        (table(|t| t["AttributeDefinitions"][1]["AttributeName"] = json!("x")), format!("{parameters} Some index key attributes are not defined in AttributeDefinitions. Keys: [id, at], AttributeDefinitions: [id, x]")),
        (table(|t| t["AttributeDefinitions"][0]["AttributeType"] = json!("SS")), format!("{one} Value 'SS' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]")),
        (table(|t| t["GlobalSecondaryIndexes"] = json!([])), format!("{parameters} \"GlobalSecondaryIndexes\" is not supported yet")),
        (table(|t| t["StreamSpecification"] = json!({"StreamEnabled": true})), format!("{parameters} \"StreamSpecification\" is not supported yet")),
        (table(|t| t["SSESpecification"] = json!({"Enabled": false, "SSEType": "KMS"})), format!("{parameters} \"SSEType\" is not supported yet")),
        (table(|t| t["Tags"] = json!([{"Key": "a", "Value": "b"}])), format!("{parameters} \"Tags\" is not supported yet")),
    ];
    for (input, text) in cases {
        wire.invalid("CreateTable", input, &text).await;
    }
    assert_eq!(
        wire.done("ListTables", json!({})).await,
        json!({"TableNames": []})
    );
}

#[tokio::test]
async fn settings_that_say_there_is_none_of_it_are_taken() {
    let wire = start(Trust::Loopback).await;
    let mut input = create("orders", &[("id", "S")]);
    input["DeletionProtectionEnabled"] = json!(false);
    input["TableClass"] = json!("STANDARD");
    input["StreamSpecification"] = json!({"StreamEnabled": false});
    input["SSESpecification"] = json!({"Enabled": false});
    input["Tags"] = json!([]);
    wire.done("CreateTable", input).await;
}
