//! The envelope: what is refused, and that an event survives each way of writing it.

use std::collections::HashSet;

use aloft_base::{ErrorKind, InvocationId, SeededChance, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

fn minimal() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"})
}

fn with(name: &str, value: Value) -> Value {
    let mut object = minimal();
    object[name] = value;
    object
}

#[test]
fn a_structured_event_reads_back_as_written() {
    for (name, value) in [
        ("subject", json!("o-17 ä %")),
        ("time", json!("2026-01-31T12:34:56.789Z")),
        ("dataschema", json!("https://example.com/schema?v=1#x")),
        ("data", json!(null)),
        ("data", json!({"b": 1, "a": [1.5, "x"]})),
        ("aloftdepth", json!(3)),
        ("flag", json!(true)),
        ("empty", json!("")),
    ] {
        let object = with(name, value);
        let event = Event::from_value(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"));
        assert_eq!(event.to_value(), object);
        assert_eq!(Event::from_json(&event.to_json().unwrap()).unwrap(), event);
    }
}

#[test]
fn the_payload_follows_its_type() {
    let read = |media_type: &str, name: &str, value: Value| {
        let mut object = with(name, value);
        object["datacontenttype"] = json!(media_type);
        Event::from_value(object).unwrap().data().cloned().unwrap()
    };
    assert_eq!(
        read("application/json; charset=utf-8", "data", json!("x")),
        Data::Json(json!("x"))
    );
    assert_eq!(
        read("application/vnd.x+json", "data", json!({})),
        Data::Json(json!({}))
    );
    assert_eq!(read("text/plain", "data", json!("x")), Data::Bytes(b"x".to_vec()));
    assert_eq!(
        read("image/png", "data_base64", json!("AAE=")),
        Data::Bytes(vec![0, 1])
    );
    assert_eq!(
        read("application/json", "data_base64", json!("e30=")),
        Data::Json(json!({}))
    );
    let text = Event::from_value(
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t",
        "datacontenttype": "text/xml", "data": "<a/>"}),
    )
    .unwrap();
    assert_eq!(text.to_value()["data"], json!("<a/>"));
    assert!(Event::new("1", "/s", "t").unwrap().data().is_none());
}

#[test]
fn what_is_no_event_is_refused() {
    for (object, part) in [
        (json!([]), "it is an array"),
        (
            json!({"id": "1", "source": "/s", "type": "t"}),
            "no \"specversion\"",
        ),
        (
            json!({"specversion": "1.0", "source": "/s", "type": "t"}),
            "no \"id\"",
        ),
        (
            json!({"specversion": "1.0", "id": "1", "type": "t"}),
            "no \"source\"",
        ),
        (
            json!({"specversion": "1.0", "id": "1", "source": "/s", "type": null}),
            "no \"type\"",
        ),
        (with("specversion", json!("0.3")), "only version \"1.0\""),
        (with("id", json!("")), "\"id\" is not valid: it must not be empty"),
        (with("id", json!(1)), "a string is expected, but it is \"1\""),
        (with("id", json!("a\u{7}")), "control characters"),
        (with("id", json!("a\u{ffff}")), "noncharacters"),
        (with("source", json!("a b")), "a URI reference is expected"),
        (with("source", json!("%4")), "a URI reference is expected"),
        (with("time", json!("yesterday")), "RFC 3339"),
        (with("datacontenttype", json!("json")), "a media type"),
        (with("datacontenttype", json!("text/plain; x=ä")), "a media type"),
        (
            with("Tenant", json!("x")),
            "\"Tenant\" is not a valid name of an extension attribute",
        ),
        (with("a_b", json!("x")), "not a valid name"),
        (with(&"x".repeat(65), json!("x")), "1 to 64 characters"),
        (with("x", json!({})), "a string, number or boolean"),
        (with("x", json!(1.5)), "whole number"),
        (with("x", json!(3_000_000_000u64)), "32 bits"),
        (
            with("subject", json!("x".repeat(16 * 1024 + 1))),
            "at most 16384 are allowed",
        ),
        (with("data_base64", json!("%")), "not Base64"),
        (with("data_base64", json!(1)), "must be a string"),
        (with("data_base64", json!("AAE=")), "it is not JSON"),
        (
            json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1, "data_base64": ""}),
            "exclude each other",
        ),
        (
            json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1, "datacontenttype": "text/plain"}),
            "\"data\" must be a string",
        ),
    ] {
        let error = Event::from_value(object.clone()).expect_err(&object.to_string());
        assert!(error.to_string().contains(part), "{object}: {error}");
    }
    assert!(matches!(Event::from_json(b"{"), Err(Error::Json { .. })));
    assert!(
        Event::new("1", "/s", "t")
            .unwrap()
            .with_extension("type", Extension::Text("x".into()))
            .is_err()
    );
}

#[test]
fn events_are_bounded() {
    let large = vec![b' '; MAX_EVENT_BYTES + 1];
    assert_eq!(Event::from_json(&large).unwrap_err().kind(), ErrorKind::TooLarge);
    let event = Event::new("1", "/s", "t")
        .unwrap()
        .with_json(json!("x".repeat(MAX_EVENT_BYTES)));
    assert_eq!(event.to_json().unwrap_err().kind(), ErrorKind::TooLarge);
    let mut object = minimal();
    for i in 0..65 {
        object[format!("x{i}")] = json!(i);
    }
    assert_eq!(Event::from_value(object).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(Event::from_json("[".repeat(100_000).as_bytes()).is_err());
}

fn sample() -> Event {
    Event::new("A-1", "/tables/orders", "aloft.table.insert")
        .and_then(|e| e.with_subject("Euro € 😀 \"50%\""))
        .and_then(|e| e.with_lineage(InvocationId::draw(&SeededChance::new(1)), 2))
        .unwrap()
        .with_time(Timestamp::from_millis(951_782_400_123))
        .with_json(json!({"a": 1}))
}

#[test]
fn binary_mode_escapes_as_the_binding_says() {
    let message = sample().to_binary().unwrap();
    let header = |name: &str| {
        message
            .headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    // The binding's own example: "Euro € 😀" is `Euro%20%E2%82%AC%20%F0%9F%98%80`.
    assert_eq!(
        header("ce-subject"),
        Some("Euro%20%E2%82%AC%20%F0%9F%98%80%20%2250%25%22")
    );
    assert_eq!(header("ce-time"), Some("2000-02-29T00:00:00.123Z"));
    assert_eq!(header("ce-aloftdepth"), Some("2"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("ce-datacontenttype"), None);
    assert_eq!(message.body, br#"{"a":1}"#);
}

fn read(headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Error> {
    Event::from_http(headers.iter().copied(), body)
}

#[test]
fn http_messages_are_read_in_both_modes() {
    let required = [
        ("CE-SpecVersion", "1.0"),
        ("ce-id", "1"),
        ("Ce-Source", "/s"),
        ("ce-type", "t"),
    ];
    let event = read(
        &[
            &required[..],
            &[("ce-subject", "\"a \\\"b\\\" %41\""), ("Host", "x")],
        ]
        .concat(),
        b"",
    )
    .unwrap();
    assert_eq!(event.subject(), Some("a \"b\" A"));
    assert_eq!(event.data(), None);
    let event = read(
        &[&required[..], &[("content-type", "text/plain")]].concat(),
        b"hi",
    )
    .unwrap();
    assert_eq!(event.data(), Some(&Data::Bytes(b"hi".to_vec())));
    let event = read(&required, b"hi").unwrap();
    assert_eq!(event.datacontenttype(), Some("application/octet-stream"));
    let structured = minimal().to_string();
    for media_type in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=utf-8",
    ] {
        let event = read(
            &[("Content-Type", media_type), ("ce-id", "other")],
            structured.as_bytes(),
        )
        .unwrap();
        assert_eq!(event.id(), "1", "the body decides");
    }
    // Another format's events may be forwarded as they are, if the headers say what they are.
    let event = read(
        &[&required[..], &[("content-type", "application/cloudevents+avro")]].concat(),
        b"x",
    )
    .unwrap();
    assert_eq!(event.datacontenttype(), Some("application/cloudevents+avro"));
}

#[test]
fn http_messages_without_an_event_are_refused() {
    let required = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
    ];
    for (extra, body, part) in [
        (&[("ce-id", "2")][..], &b""[..], "\"ce-id\" occurs twice"),
        (&[("ce-subject", "%FF")], b"", "percent-encoded UTF-8"),
        (&[("ce-bad_name", "x")], b"", "not a valid name"),
        (&[("content-type", "application/json")], b"{", "not JSON"),
        (
            &[("content-type", "application/cloudevents-batch+json")],
            b"[]",
            "one event per message",
        ),
    ] {
        let error = read(&[&required[..], extra].concat(), body).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    for missing in 0..required.len() {
        let headers: Vec<_> = required
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != missing)
            .map(|(_, h)| *h)
            .collect();
        assert!(matches!(read(&headers, b""), Err(Error::Missing { .. })));
    }
    assert!(read(&[("content-type", "application/cloudevents+avro")], b"x").is_err());
}

#[test]
fn lineage_survives_both_modes_and_nonsense_is_none() {
    let event = sample();
    let lineage = event.lineage().unwrap();
    assert_eq!(lineage.1, 2);
    let message = event.to_binary().unwrap();
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    assert_eq!(
        Event::from_http(headers, &message.body).unwrap().lineage(),
        Some(lineage)
    );
    for (root, depth, expected) in [
        (json!("x"), json!(1), None),
        (json!(lineage.0.to_string()), json!("x"), None),
        (json!(lineage.0.to_string()), json!(true), None),
        (json!(lineage.0.to_string()), json!(-5), Some(0)),
        (json!(lineage.0.to_string()), json!(70_000), Some(255)),
    ] {
        let mut object = minimal();
        object["aloftroot"] = root;
        object["aloftdepth"] = depth;
        assert_eq!(
            Event::from_value(object)
                .unwrap()
                .lineage()
                .map(|(_, depth)| depth),
            expected
        );
    }
    assert_eq!(Event::new("1", "/s", "t").unwrap().lineage(), None);
}

#[test]
fn printable_text_is_a_subject_and_keeps_texts_apart() {
    let texts = ["a", "a\n", "a%0A", "\u{85}", "%", "%\n", "\u{fffe}"];
    let printed: HashSet<_> = texts.iter().map(|text| printable(text)).collect();
    assert_eq!(printed.len(), texts.len());
    for text in &printed {
        assert!(
            Event::new("1", "/s", "t")
                .unwrap()
                .with_subject(text.to_string())
                .is_ok()
        );
    }
}

proptest! {
    #[test]
    fn events_survive_structured_and_binary_mode(
        id in "[^\\p{C}]{1,20}", subject in prop::option::of("\\PC{1,20}"), millis in 0u64..253_402_300_800_000,
        extensions in prop::collection::btree_map("x[a-z0-9]{1,10}", "[^\\p{C}\"]{0,20}", 0..5),
        payload in prop_oneof![
            Just(None),
            "\\PC{1,30}".prop_map(|text| Some(("application/json", serde_json::to_vec(&text).unwrap()))),
            "\\PC{1,30}".prop_map(|text| Some(("text/plain", text.into_bytes()))),
            prop::collection::vec(any::<u8>(), 1..30).prop_map(|bytes| Some(("image/png", bytes))),
        ],
    ) {
        let mut event = Event::new(id, "/s?a=%20", "t").unwrap().with_time(Timestamp::from_millis(millis));
        if let Some(subject) = subject {
            event = event.with_subject(printable(&subject)).unwrap();
        }
        for (name, value) in extensions {
            event = event.with_extension(name, Extension::Text(value)).unwrap();
        }
        if let Some((media_type, bytes)) = payload {
            event = event.with_bytes(media_type, bytes).unwrap();
        }
        prop_assert_eq!(&Event::from_json(&event.to_json().unwrap()).unwrap(), &event);
        for message in [event.to_binary().unwrap(), event.to_structured().unwrap()] {
            for (name, value) in &message.headers {
                prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}: {}", name, value);
            }
            let headers = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            prop_assert_eq!(&Event::from_http(headers, &message.body).unwrap(), &event);
        }
    }

    #[test]
    fn no_headers_panic(headers in prop::collection::vec(("(ce-)?[a-z]{0,12}", "\\PC{0,20}"), 0..8), body in any::<Vec<u8>>()) {
        let _ = Event::from_http(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())), &body);
    }
}
