//! Rows: putting, getting, updating and deleting one.

use super::*;

fn key(id: &str) -> Json {
    json!({"id": {"S": id}})
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_put() {
    let wire = start_with_tables().await;
    let item = json!({
        "id": {"S": "ä\u{0}\"\\"}, "n": {"N": "-19.8"}, "b": {"B": "AAEC"}, "t": {"BOOL": false}, "z": {"NULL": true},
        "m": {"M": {"a": {"L": [{"S": ""}, {"M": {}}]}}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["-1", "2.5"]},
        "bs": {"BS": ["AA==", "AQ=="]}, "big": {"N": "99999999999999999999999999999999999999"}
    });
    assert_eq!(
        wire.done("PutItem", json!({"TableName": "orders", "Item": item}))
            .await,
        json!({})
    );
    let get = json!({"TableName": "orders", "Key": {"id": item["id"]}, "ConsistentRead": true});
    assert_eq!(wire.done("GetItem", get).await, json!({"Item": item}));
    assert_eq!(
        wire.done("GetItem", json!({"TableName": "orders", "Key": key("other")}))
            .await,
        json!({})
    );
    let get = json!({
        "TableName": "orders", "Key": {"id": item["id"]}, "ProjectionExpression": "#m.a[0], n",
        "ExpressionAttributeNames": {"#m": "m"}
    });
    let part = json!({"m": {"M": {"a": {"L": [{"S": ""}]}}}, "n": {"N": "-19.8"}});
    assert_eq!(wire.done("GetItem", get).await, json!({"Item": part}));
}

#[tokio::test]
async fn put_and_delete_return_the_old_row_when_asked() {
    let wire = start_with_tables().await;
    let put = |v: &str| json!({"TableName": "orders", "Item": {"id": {"S": "a"}, "v": {"N": v}}, "ReturnValues": "ALL_OLD"});
    assert_eq!(wire.done("PutItem", put("1")).await, json!({}));
    assert_eq!(
        wire.done("PutItem", put("2")).await,
        json!({"Attributes": {"id": {"S": "a"}, "v": {"N": "1"}}})
    );
    let delete = json!({"TableName": "orders", "Key": key("a"), "ReturnValues": "ALL_OLD"});
    assert_eq!(
        wire.done("DeleteItem", delete.clone()).await,
        json!({"Attributes": {"id": {"S": "a"}, "v": {"N": "2"}}})
    );
    assert_eq!(wire.done("DeleteItem", delete).await, json!({}));
    for operation in ["PutItem", "DeleteItem"] {
        let input =
            json!({"TableName": "orders", "Item": key("a"), "Key": key("a"), "ReturnValues": "ALL_NEW"});
        wire.invalid(operation, input, "Return values set to invalid value")
            .await;
    }
}

#[tokio::test]
async fn an_update_returns_what_is_asked_for() {
    let wire = start_with_tables().await;
    let update = |returns: &str| {
        json!({
            "TableName": "orders", "Key": key("a"), "ReturnValues": returns,
            "UpdateExpression": "SET #v = if_not_exists(#v, :zero) + :one REMOVE gone",
            "ExpressionAttributeNames": {"#v": "v"},
            "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}}
        })
    };
    let row = |v: &str| json!({"id": {"S": "a"}, "v": {"N": v}});
    let part = |v: &str| json!({"v": {"N": v}});
    assert_eq!(wire.done("UpdateItem", update("ALL_OLD")).await, json!({}));
    assert_eq!(
        wire.done("UpdateItem", update("ALL_NEW")).await,
        json!({"Attributes": row("2")})
    );
    assert_eq!(
        wire.done("UpdateItem", update("ALL_OLD")).await,
        json!({"Attributes": row("2")})
    );
    assert_eq!(
        wire.done("UpdateItem", update("UPDATED_OLD")).await,
        json!({"Attributes": part("3")})
    );
    assert_eq!(
        wire.done("UpdateItem", update("UPDATED_NEW")).await,
        json!({"Attributes": part("5")})
    );
    assert_eq!(wire.done("UpdateItem", update("NONE")).await, json!({}));
    let fresh = json!({"TableName": "orders", "Key": key("b"), "ReturnValues": "ALL_NEW"});
    assert_eq!(
        wire.done("UpdateItem", fresh).await,
        json!({"Attributes": key("b")})
    );
}

#[tokio::test]
async fn a_failed_condition_shows_the_row_only_when_asked() {
    let wire = start_with_tables().await;
    let item = json!({"id": {"S": "a"}, "v": {"N": "1"}});
    wire.done("PutItem", json!({"TableName": "orders", "Item": item}))
        .await;
    let code = format!("{DYNAMODB}ConditionalCheckFailedException");
    let text = "The conditional request failed";
    for (operation, what, condition) in [
        ("PutItem", "Item", "attribute_not_exists(id)"),
        ("UpdateItem", "Key", "attribute_not_exists(id)"),
        ("DeleteItem", "Key", "attribute_not_exists(id)"),
    ] {
        let mut input = json!({"TableName": "orders", "ConditionExpression": condition});
        input[what] = key("a");
        assert_eq!(
            wire.ask(operation, &input).await.json(),
            json!({"__type": code, "message": text}),
            "{operation}"
        );
        input["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        let shown = json!({"__type": code, "message": text, "Item": item});
        assert_eq!(wire.ask(operation, &input).await.json(), shown, "{operation}");
        input[what] = key("new");
        input["ConditionExpression"] = json!("attribute_exists(id)");
        assert_eq!(
            wire.ask(operation, &input).await.json(),
            json!({"__type": code, "message": text}),
            "{operation}"
        );
    }
    assert_eq!(
        wire.done("GetItem", json!({"TableName": "orders", "Key": key("a")}))
            .await,
        json!({"Item": item})
    );
}

#[tokio::test]
async fn what_it_cost_is_told_when_asked() {
    let wire = start_with_tables().await;
    let long = json!({"id": {"S": "a"}, "v": {"S": "x".repeat(5_000)}});
    let put = json!({"TableName": "orders", "Item": long, "ReturnConsumedCapacity": "TOTAL", "ReturnItemCollectionMetrics": "SIZE"});
    assert_eq!(
        wire.done("PutItem", put).await,
        json!({"ConsumedCapacity": {"TableName": "orders", "CapacityUnits": 5.0}})
    );
    for (consistent, units) in [(true, 2.0), (false, 1.0)] {
        let get = json!({
            "TableName": "orders", "Key": key("a"), "ConsistentRead": consistent, "ReturnConsumedCapacity": "INDEXES",
            "ProjectionExpression": "id"
        });
        let capacity =
            json!({"TableName": "orders", "CapacityUnits": units, "Table": {"CapacityUnits": units}});
        assert_eq!(
            wire.done("GetItem", get).await,
            json!({"Item": key("a"), "ConsumedCapacity": capacity})
        );
    }
}

#[tokio::test]
async fn what_is_no_row_or_no_expression_is_refused_in_dynamodbs_words() {
    let wire = start_with_tables().await;
    let parameters = "One or more parameter values were invalid:";
    let null =
        |at: &str| format!("Value null at '{at}' failed to satisfy constraint: Member must not be null");
    let cases = [
        ("GetItem", json!({}), format!("2 validation errors detected: {}; {}", null("tableName"), null("key"))),
        ("PutItem", json!({"TableName": "orders"}), format!("1 validation error detected: {}", null("item"))),
        ("PutItem", json!({"TableName": "orders", "Item": key("a"), "ReturnValues": "OLD"}), "1 validation error detected: Value 'OLD' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]".into()),
        ("GetItem", json!({"TableName": "orders", "Key": {"x": {"S": "a"}}}), "The provided key element does not match the schema".into()),
        ("PutItem", json!({"TableName": "orders", "Item": {"x": {"S": "a"}}}), format!("{parameters} Missing the key id in the item")),
        ("PutItem", json!({"TableName": "orders", "Item": {"id": {"N": "1"}}}), format!("{parameters} Type mismatch for key id expected: S actual: N")),
        ("PutItem", json!({"TableName": "orders", "Item": {"id": {}}}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".into()),
        ("PutItem", json!({"TableName": "orders", "Item": {"id": {"S": "a"}, "v": {"S": "x".repeat(400 * 1024)}}}), "Item size has exceeded the maximum allowed size".into()),
        ("GetItem", json!({"TableName": "orders", "Key": key("a"), "ExpressionAttributeNames": {"#a": "a"}}), "ExpressionAttributeNames can only be specified when using expressions".into()),
        ("PutItem", json!({"TableName": "orders", "Item": key("a"), "ExpressionAttributeValues": {":a": {"S": "a"}}}), "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null".into()),
        ("UpdateItem", json!({"TableName": "orders", "Key": key("a"), "ExpressionAttributeValues": {":a": {"S": "a"}}}), "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null".into()),
        ("PutItem", json!({"TableName": "orders", "Item": key("a"), "ConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {}}}), "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :a".into()),
        ("PutItem", json!({"TableName": "orders", "Item": key("a"), "ConditionExpression": "id = :a", "ExpressionAttributeValues": {":a": {"S": "a"}, ":b": {"S": "b"}}}), "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}".into()),
        ("UpdateItem", json!({"TableName": "orders", "Key": key("a"), "UpdateExpression": "SET id = :a", "ExpressionAttributeValues": {":a": {"S": "b"}}}), format!("{parameters} Cannot update attribute id. This attribute is part of the key")),
        ("PutItem", json!({"TableName": "orders", "Item": key("a"), "Expected": {}}), format!("{parameters} \"Expected\" is not supported yet")),
        ("UpdateItem", json!({"TableName": "orders", "Key": key("a"), "AttributeUpdates": {}}), format!("{parameters} \"AttributeUpdates\" is not supported yet")),
    ];
    for (operation, input, text) in cases {
        wire.invalid(operation, input, &text).await;
    }
    let broken = json!({"TableName": "orders", "Item": key("a"), "ConditionExpression": "attribute_exists("});
    let text = wire.refused("PutItem", broken, VALIDATION).await;
    assert!(text.starts_with("Invalid ConditionExpression: "), "{text}");
    assert_eq!(
        wire.done("Scan", json!({"TableName": "orders"})).await["Count"],
        0
    );
}
