//! Payload format 2.0, both ways: the shapes that API Gateway documents, and what handlers get wrong.

use std::net::IpAddr;

use aloft_base::ErrorKind;
use http::Request;
use proptest::prelude::*;

use serde_json::json;

use super::*;

/// `12/Mar/2020:19:03:58 +0000`, the documentation's own example.
const NOW: Timestamp = Timestamp::from_millis(1_584_039_838_000);

fn call(request: http::request::Builder) -> HttpCall {
    let (head, ()) = request.body(()).unwrap().into_parts();
    HttpCall {
        head,
        body: aloft_http::empty(),
        route: "$default".into(),
        variables: vec![],
        peer: IpAddr::from([192, 0, 2, 1]),
        api: "aloft".into(),
    }
}

fn event_of(call: &HttpCall, body: &[u8]) -> Value {
    event_by(&Principal::Anonymous, call, body)
}

fn event_by(principal: &Principal, call: &HttpCall, body: &[u8]) -> Value {
    let id = InvocationId::from_u128(7);
    let body = Bytes::copy_from_slice(body);
    let event = encode(call, &body, id, &Tenant::local(), principal, NOW);
    serde_json::from_slice(&event).unwrap()
}

/// The event of a GET with these headers.
fn event_with(headers: &[(&str, &[u8])]) -> Value {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    event_of(&call(request), b"")
}

#[test]
fn a_whole_request_has_the_documented_shape() {
    let mut call = call(
        Request::post("/my/path%20x?parameter1=value1&parameter1=value2&parameter2=value")
            .header("Host", "id.example.com")
            .header("User-Agent", "agent")
            .header("X-Twice", "value1")
            .header("X-Twice", "value2")
            .header("Cookie", "cookie1=a; cookie2=b")
            .header("Content-Type", "application/json"),
    );
    call.route = "POST /my/{name}".into();
    call.variables = vec![("name".into(), "path x".into())];
    let event = event_of(&call, br#"{"a":1}"#);
    let expected = json!({
        "version": "2.0",
        "routeKey": "POST /my/{name}",
        "rawPath": "/my/path%20x",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {
            "host": "id.example.com",
            "user-agent": "agent",
            "x-twice": "value1,value2",
            "content-type": "application/json",
        },
        "queryStringParameters": { "parameter1": "value1,value2", "parameter2": "value" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "aloft",
            "domainName": "id.example.com",
            "domainPrefix": "id",
            "http": {
                "method": "POST",
                "path": "/my/path%20x",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "agent",
            },
            "requestId": InvocationId::from_u128(7).to_string(),
            "routeKey": "POST /my/{name}",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_584_039_838_000_u64,
        },
        "pathParameters": { "name": "path x" },
        "body": r#"{"a":1}"#,
        "isBase64Encoded": false,
    });
    assert_eq!(event, expected);
}

/// The shape of a function URL's event, as Lambda's developer guide shows it.
#[test]
fn who_has_signed_is_told() {
    let key = Principal::Owner {
        key: "AKIDEXAMPLE".into(),
    };
    let event = event_by(&key, &call(Request::get("/")), b"");
    let expected = json!({
        "iam": {
            "accessKey": "AKIDEXAMPLE",
            "accountId": "000000000000",
            "callerId": "000000000000",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": "arn:aws:iam::000000000000:root",
            "userId": "000000000000",
        },
    });
    assert_eq!(event["requestContext"]["authorizer"], expected);
    let event = event_of(&call(Request::get("/")), b"");
    assert_eq!(event["requestContext"].get("authorizer"), None);
}

#[test]
fn a_function_that_streams_is_decoded_as_a_whole_too() {
    let answer = b"{\"statusCode\":404,\"headers\":{\"x-a\":\"b\"}}\0\0\0\0\0\0\0\0body";
    let response = decode_headed(Bytes::from_static(answer)).unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-a"]),
        (404, &HeaderValue::from_static("b"))
    );
    assert!(decode_headed(Bytes::from_static(b"{}")).is_err());
}

#[test]
fn what_a_request_does_not_have_is_absent() {
    let event = event_of(&call(Request::get("/")), b"");
    for absent in ["cookies", "queryStringParameters", "pathParameters", "body"] {
        assert_eq!(event.get(absent), None, "{absent}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["headers"], json!({}));
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn paths_and_queries_arrive_raw_and_the_parameters_decoded() {
    for (uri, path, query, parameters) in [
        ("/a%2Fb/%C3%BC", "/a%2Fb/%C3%BC", "", None),
        ("/a//b/", "/a//b/", "", None),
        ("/?", "/", "", None),
        ("/?&&", "/", "&&", None),
        ("/?a", "/", "a", Some(json!({ "a": "" }))),
        ("/?a=", "/", "a=", Some(json!({ "a": "" }))),
        ("/?=b", "/", "=b", Some(json!({ "": "b" }))),
        ("/?a=b=c", "/", "a=b=c", Some(json!({ "a": "b=c" }))),
        ("/?a+b=c+d", "/", "a+b=c+d", Some(json!({ "a b": "c d" }))),
        ("/?a=%2B%26%3D", "/", "a=%2B%26%3D", Some(json!({ "a": "+&=" }))),
        (
            "/?%C3%BC=%E2%82%AC",
            "/",
            "%C3%BC=%E2%82%AC",
            Some(json!({ "ü": "€" })),
        ),
        (
            "/?a=100%&b=%zz",
            "/",
            "a=100%&b=%zz",
            Some(json!({ "a": "100%", "b": "%zz" })),
        ),
        ("/?a=%FF", "/", "a=%FF", Some(json!({ "a": "\u{fffd}" }))),
        (
            "/?b=1&a=2&b=3",
            "/",
            "b=1&a=2&b=3",
            Some(json!({ "b": "1,3", "a": "2" })),
        ),
        ("/?a=1&%61=2", "/", "a=1&%61=2", Some(json!({ "a": "1,2" }))),
    ] {
        let event = event_of(&call(Request::get(uri)), b"");
        assert_eq!(event["rawPath"], path, "{uri}");
        assert_eq!(event["requestContext"]["http"]["path"], path, "{uri}");
        assert_eq!(event["rawQueryString"], query, "{uri}");
        assert_eq!(event.get("queryStringParameters"), parameters.as_ref(), "{uri}");
    }
}

#[test]
fn cookies_have_a_place_of_their_own() {
    for (lines, cookies) in [
        (vec!["a=1"], json!(["a=1"])),
        (vec!["a=1; b=2;c=3"], json!(["a=1", "b=2", "c=3"])),
        (vec!["a=1", "b=2"], json!(["a=1", "b=2"])),
        (vec!["a=1;", ";; b=\"x=y\" ;"], json!(["a=1", "b=\"x=y\""])),
        (vec![""], Value::Null),
        (vec![";"], Value::Null),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("Cookie", line.as_bytes())).collect();
        let event = event_with(&headers);
        assert_eq!(event["cookies"], cookies, "{lines:?}");
        assert_eq!(event["headers"], json!({}), "{lines:?}");
    }
}

#[test]
fn headers_are_lower_case_and_joined_and_never_lost() {
    let event = event_with(&[
        ("X-A", b"1"),
        ("x-b", b""),
        ("x-a", b"2, 3"),
        ("x-latin", b"caf\xe9"),
        ("x-utf8", "é".as_bytes()),
        ("Host", b"a.b.c:8080"),
    ]);
    let expected = json!({
        "x-a": "1,2, 3", "x-b": "", "x-latin": "caf\u{fffd}", "x-utf8": "é", "host": "a.b.c:8080"
    });
    assert_eq!(event["headers"], expected);
    assert_eq!(event["requestContext"]["domainName"], "a.b.c:8080");
    assert_eq!(event["requestContext"]["domainPrefix"], "a");
}

#[test]
fn a_body_is_text_when_its_type_says_so_and_base64_otherwise() {
    for (kind, encoding, body, expected) in [
        (Some("text/plain"), None, &b"abc"[..], Some("abc")),
        (Some("TEXT/HTML; charset=UTF-8"), None, b"<p>", Some("<p>")),
        (Some("application/json"), None, b"{}", Some("{}")),
        (Some("application/json ; charset=utf-8"), None, b"{}", Some("{}")),
        (Some("application/problem+json"), None, b"{}", Some("{}")),
        (Some("image/svg+xml"), None, b"<svg/>", Some("<svg/>")),
        (Some("application/xml"), None, b"<a/>", Some("<a/>")),
        (Some("application/javascript"), None, b"1", Some("1")),
        (None, None, b"abc", Some("abc")),
        (Some("text/plain"), None, "ü€".as_bytes(), Some("ü€")),
        // What cannot be text is not, whatever its type says.
        (Some("text/plain"), None, b"\xff\xfe", None),
        (None, None, b"\x89PNG\xff", None),
        (Some("application/json"), Some("gzip"), b"{}", None),
        (Some("application/octet-stream"), None, b"abc", None),
        (Some("image/png"), None, b"abc", None),
        (Some("application/x-www-form-urlencoded"), None, b"a=1", None),
        (
            Some("multipart/form-data; boundary=text/plain"),
            None,
            b"--x",
            None,
        ),
        (Some(""), None, b"abc", None),
    ] {
        let mut request = Request::post("/");
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        let event = event_of(&call(request), body);
        assert_eq!(event["isBase64Encoded"], expected.is_none(), "{kind:?}");
        let text = event["body"].as_str().unwrap();
        match expected {
            Some(expected) => assert_eq!(text, expected),
            None => assert_eq!(BASE64.decode(text).unwrap(), body),
        }
    }
}

/// The answer as its client sees it.
async fn answer(text: &str) -> (u16, HeaderMap, Bytes) {
    let response = decode(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let (head, body) = response.into_parts();
    let body = aloft_http::collect(body, usize::MAX).await.unwrap();
    (head.status.as_u16(), head.headers, body)
}

#[tokio::test]
async fn an_answer_without_a_status_is_the_body_itself() {
    for (given, body) in [
        (r#""hello""#, "hello"),
        (r#""a \"quoted\" ü""#, "a \"quoted\" ü"),
        (r#""""#, ""),
        (r#"{"message":"hello"}"#, r#"{"message":"hello"}"#),
        // Without a status the other fields mean nothing.
        (
            r#"{"body":"x","headers":{"a":"b"}}"#,
            r#"{"body":"x","headers":{"a":"b"}}"#,
        ),
        ("{}", "{}"),
        ("[1,2]", "[1,2]"),
        ("null", "null"),
        ("true", "true"),
        ("12.50", "12.50"),
        (
            r#"{"b": 1, "a": 12345678901234567890123}"#,
            r#"{"b": 1, "a": 12345678901234567890123}"#,
        ),
    ] {
        let (status, headers, answered) = answer(given).await;
        assert_eq!((status, &*answered), (200, body.as_bytes()), "{given}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{given}");
    }
}

#[tokio::test]
async fn an_answer_with_a_status_is_taken_apart() {
    let given = json!({
        "statusCode": 201,
        "headers": {
            "Content-Type": "text/html", "X-Number": 12, "X-Flag": true, "X-None": null, "X-Text": "é", "X-Empty": "",
            "set-cookie": "from=headers",
        },
        "cookies": ["a=1; Secure", "b=2"],
        "body": "<p>ü</p>",
    });
    let (status, headers, body) = answer(&given.to_string()).await;
    assert_eq!((status, &*body), (201, "<p>ü</p>".as_bytes()));
    assert_eq!(headers["content-type"], "text/html");
    assert_eq!(
        (&headers["x-number"], &headers["x-flag"]),
        (&HeaderValue::from(12), &HeaderValue::from_static("true"))
    );
    assert_eq!(headers["x-text"].as_bytes(), "é".as_bytes());
    assert_eq!(headers["x-empty"], "");
    assert!(!headers.contains_key("x-none"));
    let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["from=headers", "a=1; Secure", "b=2"]);
}

#[tokio::test]
async fn what_is_missing_or_null_has_a_default() {
    let nulls = r#"{"statusCode":204,"headers":null,"cookies":null,"body":null,"isBase64Encoded":null}"#;
    for (given, expected) in [
        (r#"{"statusCode":200}"#, 200),
        (r#"{"statusCode":"404"}"#, 404),
        (nulls, 204),
    ] {
        let (status, headers, body) = answer(given).await;
        assert_eq!((status, &*body), (expected, &b""[..]), "{given}");
        assert_eq!(headers["content-type"], "text/plain;charset=UTF-8", "{given}");
        assert_eq!(headers.len(), 1, "{given}");
    }
    let (_, headers, _) = answer(r#"{"statusCode":200,"headers":{"a":"1","A":"2"}}"#).await;
    assert_eq!(headers["a"], "2", "names are compared without case");
}

#[test]
fn garbage_is_told_with_what_is_wrong_about_it() {
    for (given, why) in [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ("{\"statusCode\":200", "not JSON"),
        ("{\"a\":NaN}", "not JSON"),
        ("\u{1f}\"", "not JSON"),
        (
            r#"{"statusCode":null}"#,
            "`statusCode` must be a number from 200 to 599, not null",
        ),
        (r#"{"statusCode":"ok"}"#, "`statusCode`"),
        (r#"{"statusCode":"+200"}"#, "`statusCode`"),
        (r#"{"statusCode":""}"#, "`statusCode`"),
        (r#"{"statusCode":200.5}"#, "`statusCode`"),
        (r#"{"statusCode":-200}"#, "`statusCode`"),
        (r#"{"statusCode":[200]}"#, "`statusCode`"),
        (r#"{"statusCode":true}"#, "`statusCode`"),
        (r#"{"statusCode":99}"#, "`statusCode`"),
        (r#"{"statusCode":101}"#, "`statusCode`"),
        (r#"{"statusCode":600}"#, "`statusCode`"),
        (r#"{"statusCode":65736}"#, "`statusCode`"),
        (
            r#"{"statusCode":200,"headers":[]}"#,
            "`headers` must be an object",
        ),
        (
            r#"{"statusCode":200,"headers":"a: b"}"#,
            "`headers` must be an object",
        ),
        (
            r#"{"statusCode":200,"headers":{"a":["b"]}}"#,
            "header \"a\" must be a string",
        ),
        (
            r#"{"statusCode":200,"headers":{"a":{}}}"#,
            "header \"a\" must be a string",
        ),
        (
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            "\"a b\" is not a header's name",
        ),
        (
            r#"{"statusCode":200,"headers":{"":"c"}}"#,
            "\"\" is not a header's name",
        ),
        (
            r#"{"statusCode":200,"headers":{"ü":"c"}}"#,
            "\"ü\" is not a header's name",
        ),
        (
            r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#,
            "header \"a\" has characters",
        ),
        (
            r#"{"statusCode":200,"headers":{"a":"\u0000"}}"#,
            "header \"a\" has characters",
        ),
        (
            r#"{"statusCode":200,"cookies":"a=1"}"#,
            "`cookies` must be a list of strings",
        ),
        (
            r#"{"statusCode":200,"cookies":[1]}"#,
            "`cookies` must be a list of strings",
        ),
        (
            r#"{"statusCode":200,"cookies":["a=1\n"]}"#,
            "\"set-cookie\" has characters",
        ),
        (
            r#"{"statusCode":200,"body":{}}"#,
            "`body` must be a string; use json.dumps",
        ),
        (r#"{"statusCode":200,"body":1}"#, "`body` must be a string"),
        (
            r#"{"statusCode":200,"isBase64Encoded":"true"}"#,
            "`isBase64Encoded` must be true or false",
        ),
        (
            r#"{"statusCode":200,"isBase64Encoded":1,"body":""}"#,
            "`isBase64Encoded`",
        ),
        (
            r#"{"statusCode":200,"isBase64Encoded":true,"body":"a"}"#,
            "`body` is not base64",
        ),
        (
            r#"{"statusCode":200,"isBase64Encoded":true,"body":"%%%%"}"#,
            "`body` is not base64",
        ),
    ] {
        let fault = decode(Bytes::from_static(given.as_bytes())).unwrap_err();
        assert!(
            matches!(&fault, Fault::Garbage { why: told } if told.contains(why)),
            "{given}: {fault}"
        );
        assert_eq!(fault.kind(), ErrorKind::Function);
    }
    assert!(decode(Bytes::from_static(b"\xff\xfe")).is_err(), "not UTF-8");
    let deep = "[".repeat(100_000);
    assert!(
        decode(deep.into()).is_err(),
        "refused, not a stack that overflows"
    );
}

/// Any JSON, with the names that mean something more often than not.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..700).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let name = prop_oneof![
            Just("statusCode".to_owned()),
            Just("headers".to_owned()),
            Just("cookies".to_owned()),
            Just("body".to_owned()),
            Just("isBase64Encoded".to_owned()),
            ".*",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_answer_is_decoded_or_garbage(value in json()) {
        match decode(value.to_string().into()) {
            Ok(response) => prop_assert!(response.status().as_u16() >= 200),
            Err(fault) => prop_assert!(matches!(fault, Fault::Garbage { .. }), "{fault}"),
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_garbage(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Err(fault) = decode(bytes.into()) {
            prop_assert!(matches!(fault, Fault::Garbage { .. }), "{fault}");
        }
    }

    #[test]
    fn an_answer_reaches_the_client_as_the_handler_made_it(
        status in 200_u16..600,
        headers in prop::collection::btree_map("x-[a-z0-9-]{1,10}", "[ -~é]{0,20}", 0..5),
        cookies in prop::collection::vec("[a-z]{1,5}=[!-~]{0,10}", 0..4),
        body in prop::collection::vec(any::<u8>(), 0..100),
        as_text in any::<bool>(),
    ) {
        let (text, is_base64) = match String::from_utf8(body.clone()) {
            Ok(text) if as_text => (text, false),
            _ => (BASE64.encode(&body), true),
        };
        let given = json!({
            "statusCode": status, "headers": headers, "cookies": cookies, "body": text, "isBase64Encoded": is_base64,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (got, map, answered) = runtime.block_on(answer(&given.to_string()));
        prop_assert_eq!((got, &*answered), (status, &*body));
        for (name, value) in &headers {
            prop_assert_eq!(map[name.as_str()].as_bytes(), value.as_bytes());
        }
        let set: Vec<&[u8]> = map.get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
        prop_assert_eq!(set, cookies.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn a_request_reaches_the_handler_as_the_client_made_it(
        pairs in prop::collection::vec(("[a-zü &=+%]{1,6}", ".{0,6}"), 0..6),
        cookies in prop::collection::vec("[a-z]{1,5}=[!#-:<-~]{0,10}", 0..4),
        kind in prop_oneof![Just("text/plain"), Just("image/png"), Just("application/json")],
        body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode as quote};
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", quote(name, NON_ALPHANUMERIC), quote(value, NON_ALPHANUMERIC)))
            .collect();
        let query = query.join("&");
        let mut request = Request::post(format!("/?{query}")).header("Content-Type", kind);
        if !cookies.is_empty() {
            request = request.header("Cookie", cookies.join("; "));
        }
        let event = event_of(&call(request), &body);
        prop_assert_eq!(&event["rawQueryString"], &query);
        for (name, _) in &pairs {
            let values: Vec<&str> = pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| &**value).collect();
            prop_assert_eq!(&event["queryStringParameters"][name], &values.join(","));
        }
        let got: Vec<&str> = event["cookies"].as_array().into_iter().flatten().map(|c| c.as_str().unwrap()).collect();
        prop_assert_eq!(got, cookies);
        let text = event["body"].as_str().unwrap_or_default();
        let arrived = if event["isBase64Encoded"] == true { BASE64.decode(text).unwrap() } else { text.into() };
        prop_assert_eq!(arrived, body);
    }
}
