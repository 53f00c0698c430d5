//! Requests on DynamoDB's wire, as bytes.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{Connection, signed::post, wait_for};

/// The table of all benchmarks; its partition key is `id`.
const TABLE: &str = "rows";

/// A row of about 200 bytes, as DynamoDB's JSON. Numbers of one width, so that every row has the same size.
pub fn row(number: usize) -> Value {
    let text = "An order of three things that a customer in a hurry wrote, 120 characters long, and of no interest to any other reader..";
    json!({
        "id": { "S": key(number) },
        "customer": { "S": "ada" },
        "version": { "N": format!("{}", 1_000_000 + number % 1_000_000) },
        "text": { "S": text },
    })
}

fn key(number: usize) -> String {
    format!("order-{number:012}")
}

/// `PutItem` of a row.
pub fn put_item(number: usize) -> Vec<u8> {
    request("PutItem", &json!({ "TableName": TABLE, "Item": row(number) }))
}

/// `GetItem` of a row.
pub fn get_item(number: usize) -> Vec<u8> {
    let key = json!({ "id": { "S": key(number) } });
    request(
        "GetItem",
        &json!({ "TableName": TABLE, "Key": key, "ConsistentRead": true }),
    )
}

/// Creates the table and waits until it can be used.
///
/// # Errors
/// When the platform refuses.
pub fn create_table(connection: &mut Connection) -> Result<()> {
    let create = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    connection.expect(200, &request("CreateTable", &create))?;
    let describe = request("DescribeTable", &json!({ "TableName": TABLE }));
    wait_for("the table to be active", || {
        let answer: Value = serde_json::from_slice(connection.expect(200, &describe)?.body)?;
        let status = answer.pointer("/Table/TableStatus").and_then(Value::as_str);
        let status = status.with_context(|| format!("no TableStatus in {answer}"))?;
        Ok((status == "ACTIVE").then_some(()))
    })
}

fn request(operation: &str, body: &Value) -> Vec<u8> {
    let headers = format!(
        "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n"
    );
    post("dynamodb", "/", &headers, body)
}
