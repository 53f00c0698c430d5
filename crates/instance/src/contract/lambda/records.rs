//! An event as a Lambda handler expects it: a table's change as a DynamoDB stream record, anything else as a CloudEvent.

use aloft_base::{Region, Tenant};
use aloft_call::{Event, Fault};
use aloft_item::{Change, Kind, Typed};
use serde_json::{Value, json};

/// The event's payload.
pub(crate) fn encode(event: &Event, tenant: &Tenant, region: &Region) -> Result<Vec<u8>, Fault> {
    let value = match &event.change {
        Some(change) => json!({ "Records": [record(event.event.id(), change, tenant, region)] }),
        None => event.event.to_value(),
    };
    serde_json::to_vec(&value).map_err(|error| Fault::Payload {
        why: error.to_string(),
        too_large: false,
    })
}

/// One record of a DynamoDB stream with both images (`StreamViewType: NEW_AND_OLD_IMAGES`).
fn record(id: &str, change: &Change, tenant: &Tenant, region: &Region) -> Value {
    let name = match change.kind {
        Kind::Insert => "INSERT",
        Kind::Modify => "MODIFY",
        Kind::Remove => "REMOVE",
    };
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": change.at.as_secs(),
        "Keys": Typed(&change.keys),
        "SequenceNumber": change.sequence.to_string(),
        "SizeBytes": change.size(),
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    if let Some(fields) = dynamodb.as_object_mut() {
        let images = [("NewImage", &change.new), ("OldImage", &change.old)];
        let present = images
            .into_iter()
            .filter_map(|(name, image)| Some((name.to_owned(), json!(Typed(image.as_ref()?)))));
        fields.extend(present);
    }
    let table = &change.table;
    json!({
        "eventID": id,
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region.as_str(),
        "eventSourceARN": format!("arn:aws:dynamodb:{region}:{tenant}:table/{table}/stream/aloft"),
        "dynamodb": dynamodb,
    })
}

#[cfg(test)]
mod tests;
