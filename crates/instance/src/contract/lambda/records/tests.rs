//! Stream records as DynamoDB's documentation and the AWS SDKs have them, and events as CloudEvents.

use aloft_base::{TableName, Timestamp};
use aloft_item::{Item, parse_item};

use super::*;

fn item(json: Value) -> Item {
    parse_item(json).unwrap()
}

fn change(kind: Kind, new: Option<Value>, old: Option<Value>) -> Change {
    Change {
        table: "orders".parse::<TableName>().unwrap(),
        kind,
        keys: item(json!({ "id": { "S": "a" } })),
        new: new.map(item),
        old: old.map(item),
        at: Timestamp::from_millis(1_700_000_000_999),
        sequence: 340_282_366_920_938_463_463_374_607_431_768_211_455,
        lineage: None,
        trace: None,
    }
}

fn encoded(change: Option<Change>) -> Value {
    let event = aloft_event::Event::new("e-1", "/tables/orders", "aloft.table.insert").unwrap();
    let event = Event {
        event: event.with_json(json!({ "id": "a" })),
        change,
    };
    let bytes = encode(&event, &Tenant::local(), &"eu-central-1".parse().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The one record that a change becomes.
fn record_of(change: Change) -> Value {
    let mut value = encoded(Some(change));
    let records = value["Records"].as_array_mut().unwrap();
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn a_modified_row_has_the_documented_shape() {
    let record = record_of(change(
        Kind::Modify,
        Some(json!({ "id": { "S": "a" }, "n": { "N": "2" } })),
        Some(json!({ "id": { "S": "a" }, "n": { "N": "1" } })),
    ));
    let expected = json!({
        "eventID": "e-1",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:000000000000:table/orders/stream/aloft",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000,
            "Keys": { "id": { "S": "a" } },
            "NewImage": { "id": { "S": "a" }, "n": { "N": "2" } },
            "OldImage": { "id": { "S": "a" }, "n": { "N": "1" } },
            // A string: it does not fit JSON's usual numbers.
            "SequenceNumber": "340282366920938463463374607431768211455",
            "SizeBytes": 15,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    });
    assert_eq!(record, expected);
}

#[test]
fn an_image_that_there_is_none_of_is_absent() {
    let row = json!({ "id": { "S": "a" } });
    for (kind, new, old, name) in [
        (Kind::Insert, Some(&row), None, "INSERT"),
        (Kind::Remove, None, Some(&row), "REMOVE"),
        (Kind::Modify, Some(&row), Some(&row), "MODIFY"),
    ] {
        let record = record_of(change(kind, new.cloned(), old.cloned()));
        assert_eq!(record["eventName"], name);
        assert_eq!(record["dynamodb"].get("NewImage"), new, "{name}");
        assert_eq!(record["dynamodb"].get("OldImage"), old, "{name}");
        assert_eq!(record["dynamodb"]["Keys"], row, "{name}");
        assert_eq!(record.get("userIdentity"), None);
    }
}

#[test]
fn every_type_of_value_stands_in_an_image_as_on_the_wire() {
    let row = json!({
        "id": { "S": "a" },
        "text": { "S": "\"ü\u{1f600}\u{0}" },
        "number": { "N": "-1234567890123456789012345678.0123456789" },
        "tiny": { "N": "0.000000000000000000000000000001" },
        "binary": { "B": "AAECgP8=" },
        "empty": { "B": "" },
        "flag": { "BOOL": false },
        "nothing": { "NULL": true },
        "strings": { "SS": ["a", "b"] },
        "numbers": { "NS": ["-1", "2.5"] },
        "binaries": { "BS": ["AA==", "AQ=="] },
        "list": { "L": [{ "N": "1" }, { "L": [] }, { "M": { "": { "NULL": true } } }] },
        "map": { "M": { "inner": { "M": { "deep": { "L": [{ "B": "AA==" }, { "SS": ["x"] }] } } } } },
    });
    let record = record_of(change(Kind::Modify, Some(row.clone()), Some(row.clone())));
    for image in ["NewImage", "OldImage"] {
        let image = &record["dynamodb"][image];
        assert_eq!(
            parse_item(image.clone()).unwrap(),
            item(row.clone()),
            "it reads back"
        );
        for (name, value) in row.as_object().unwrap() {
            if !["number", "tiny"].contains(&&**name) {
                assert_eq!(&image[name], value, "{name}");
            }
        }
    }
}

#[test]
fn a_repeated_record_is_the_same() {
    let again = || record_of(change(Kind::Insert, Some(json!({ "id": { "S": "a" } })), None));
    assert_eq!(again(), again());
}

#[test]
fn any_other_event_is_a_cloudevent() {
    let expected = json!({
        "specversion": "1.0",
        "id": "e-1",
        "source": "/tables/orders",
        "type": "aloft.table.insert",
        "datacontenttype": "application/json",
        "data": { "id": "a" },
    });
    assert_eq!(encoded(None), expected);
}
