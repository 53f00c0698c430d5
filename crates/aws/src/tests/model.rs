//! Every member of the service's model is looked at: whatever it is set to that makes no sense is refused, never passed over.
//! A member that was forgotten would be taken for an unknown one and fail here. The names are those of botocore 1.44's model.

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
