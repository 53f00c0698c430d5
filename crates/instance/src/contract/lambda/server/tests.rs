//! The Runtime API as a runtime meets it: paths, refusals, reported errors, and answers that are too large.

use std::time::Duration;

use aloft_base::{InvocationId, Stop, Tasks};
use aloft_http::{Limits, Room, collect, empty};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn id() -> InvocationId {
    InvocationId::from_u128(7)
}

fn job() -> Job {
    Job {
        id: id(),
        body: "{}".into(),
        deadline_ms: 1_234,
        trace: "Root=1-0-0".into(),
    }
}

fn api() -> (Arc<Exchange>, RuntimeApi) {
    let exchange = Arc::new(Exchange::new());
    (
        exchange.clone(),
        RuntimeApi::new(exchange, "arn:aws:lambda:r:a:function:f"),
    )
}

async fn ask(api: &RuntimeApi, method: &str, path: &str, body: Body) -> (u16, HeaderMap, Bytes) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .unwrap();
    let (head, body) = api.handle(request).await.into_parts();
    (
        head.status.as_u16(),
        head.headers,
        collect(body, 1 << 20).await.unwrap(),
    )
}

fn kind(body: &Bytes) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    value["errorType"].as_str().unwrap().to_owned()
}

fn response_path(id: impl std::fmt::Display) -> String {
    format!("/2018-06-01/runtime/invocation/{id}/response")
}

#[tokio::test]
async fn what_is_no_part_of_the_api_or_out_of_order_is_refused_by_name() {
    let (_, api) = api();
    for (method, path, status, expected) in [
        ("GET", "/", 404, "NotFound"),
        ("GET", "/2018-06-01/runtime/invocation", 404, "NotFound"),
        ("POST", "/2018-06-01/runtime/invocation/next", 404, "NotFound"),
        (
            "GET",
            "/2018-06-01/runtime/invocation/x/response",
            404,
            "NotFound",
        ),
        (
            "POST",
            "/2018-06-01/runtime/invocation/x/response",
            403,
            "InvalidStateTransition",
        ),
        (
            "POST",
            "/2018-06-01/runtime/invocation/x/error",
            403,
            "InvalidStateTransition",
        ),
    ] {
        let (got, _, body) = ask(&api, method, path, full("{}")).await;
        assert_eq!((got, &*kind(&body)), (status, expected), "{method} {path}");
    }
    assert_eq!(ask(&api, "GET", "/2018-06-01/ping", empty()).await.2, "pong");
}

#[tokio::test]
async fn an_invocation_carries_its_headers_and_is_answered_once() {
    let (exchange, api) = api();
    let mut asked = std::pin::pin!(ask(&api, "GET", "/2018-06-01/runtime/invocation/next", empty()));
    assert!(
        futures_util::poll!(&mut asked).is_pending(),
        "it waits for an invocation"
    );
    let replied = exchange.give(job()).unwrap();
    let (status, headers, body) = asked.await;
    assert_eq!((status, &*body), (200, &b"{}"[..]));
    assert_eq!(headers["lambda-runtime-aws-request-id"], id().to_string());
    assert_eq!(headers["lambda-runtime-deadline-ms"], "1234");
    assert_eq!(headers["lambda-runtime-trace-id"], "Root=1-0-0");
    assert_eq!(
        headers["lambda-runtime-invoked-function-arn"],
        "arn:aws:lambda:r:a:function:f"
    );
    let wrong = ask(&api, "POST", &response_path("other"), full("1")).await;
    assert_eq!((wrong.0, &*kind(&wrong.2)), (400, "InvalidRequestID"));
    let (status, _, body) = ask(&api, "POST", &response_path(id()), full("1")).await;
    assert_eq!((status, &*body), (202, &br#"{"status":"OK"}"#[..]));
    assert!(matches!(replied.await, Ok(Reply::Answer(body)) if body == "1"));
    assert_eq!(
        ask(&api, "POST", &response_path(id()), full("1")).await.0,
        400,
        "twice"
    );
}

#[tokio::test]
async fn a_reported_error_is_kept_whatever_its_form() {
    for (body, kind, message) in [
        (
            r#"{"errorType":"E","errorMessage":"m","stackTrace":["l"],"requestId":"x"}"#,
            "E",
            "m",
        ),
        (r#"{"errorMessage":"m"}"#, "Runtime.Unknown", "m"),
        ("{}", "Runtime.Unknown", ""),
        ("plain text", "Runtime.Unknown", "plain text"),
        ("", "Runtime.Unknown", ""),
        ("[1]", "Runtime.Unknown", "[1]"),
    ] {
        let (exchange, api) = api();
        let _next = exchange.next().unwrap();
        let replied = exchange.give(job()).unwrap();
        let path = format!("/2018-06-01/runtime/invocation/{}/error", id());
        assert_eq!(ask(&api, "POST", &path, full(body)).await.0, 202, "{body}");
        let Ok(Reply::Error(error)) = replied.await else {
            panic!("{body}");
        };
        assert_eq!((&*error.kind, &*error.message), (kind, message), "{body}");
    }
}

/// Over a real connection, because what matters is that a runtime which writes first and reads then is not cut off.
#[tokio::test]
async fn an_answer_that_is_too_large_is_heard_out_refused_and_told_with_its_size() {
    const SIZE: usize = ANSWER_LIMIT + (4 << 20);
    let (exchange, api) = api();
    let tasks = Tasks::new(Stop::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        body_bytes: usize::MAX,
        drain: Duration::ZERO,
        ..Limits::default()
    };
    aloft_http::serve(listener, limits, &Room::new(16 << 20), Arc::new(api), &tasks);
    let head = format!("POST {} HTTP/1.1\r\nHost: a\r\n", response_path(id()));
    for (framing, before, after) in [
        (format!("Content-Length: {SIZE}\r\n\r\n"), String::new(), ""),
        (
            "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
            format!("{SIZE:x}\r\n"),
            "\r\n0\r\n\r\n",
        ),
    ] {
        let _next = exchange.next().unwrap();
        let replied = exchange.give(job()).unwrap();
        let mut runtime = TcpStream::connect(address).await.unwrap();
        runtime
            .write_all(format!("{head}{framing}{before}").as_bytes())
            .await
            .unwrap();
        runtime.write_all(&vec![b'x'; SIZE]).await.unwrap();
        runtime.write_all(after.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        runtime.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("6291556 bytes"),
            "{answer}"
        );
        assert!(matches!(replied.await, Ok(Reply::TooLarge { size: SIZE })));
    }
    tasks.drain(Duration::from_secs(5)).await;
}
