//! The Runtime API as a runtime meets it: paths, refusals, reported errors, and answers that are too large.

use std::time::Duration;

use aloft_base::{InvocationId, Stop, Tasks};
use aloft_call::FunctionError;
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
        qualifier: aloft_call::Qualifier::Latest,
        context: None,
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
    ask_with(api, method, path, ("x-nothing", ""), body).await
}

async fn ask_with(
    api: &RuntimeApi,
    method: &str,
    path: &str,
    (name, value): (&str, &str),
    body: Body,
) -> (u16, HeaderMap, Bytes) {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(name, value)
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
        ("PUT", "/2022-07-01/telemetry", 202, "Telemetry.NotSupported"),
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
    let replied = exchange.give(job(), None).unwrap();
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
        let replied = exchange.give(job(), None).unwrap();
        let path = format!("/2018-06-01/runtime/invocation/{}/error", id());
        assert_eq!(ask(&api, "POST", &path, full(body)).await.0, 202, "{body}");
        let Ok(Reply::Error(error)) = replied.await else {
            panic!("{body}");
        };
        assert_eq!((&*error.kind, &*error.message), (kind, message), "{body}");
    }
}

/// Gives the runtime a job and reports this error for it; what the call is told.
async fn reported((header, body): (&str, String)) -> FunctionError {
    let (exchange, api) = api();
    let _next = exchange.next().unwrap();
    let replied = exchange.give(job(), None).unwrap();
    let path = format!("/2018-06-01/runtime/invocation/{}/error", id());
    let header = ("lambda-runtime-function-error-type", header);
    assert_eq!(ask_with(&api, "POST", &path, header, full(body)).await.0, 202);
    match replied.await {
        Ok(Reply::Error(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_type_in_the_header_counts_in_the_documented_form_only() {
    let long = format!("Function.{}", "E".repeat(300));
    for (header, expected) in [
        ("Runtime.ImportModuleError", "Runtime.ImportModuleError"),
        ("Function.Oops", "Function.Oops"),
        ("Function.x", "Function.Unknown"),
        ("Function.", "Function.Unknown"),
        ("Function.A", "Function.Unknown"),
        ("Function.Bad Words", "Function.Unknown"),
        (&long, "Function.Unknown"),
        ("Runtime.Bad\u{e9}", "Runtime.Unknown"),
        ("Runtime.Twice.Over", "Runtime.Unknown"),
        ("ValueError", "Runtime.Unknown"),
        ("<script>", "Runtime.Unknown"),
        ("", "Runtime.Unknown"),
    ] {
        let error = reported((header, r#"{"errorMessage":"m"}"#.into())).await;
        assert_eq!((&*error.kind, &*error.message), (expected, "m"), "{header}");
        // What the body says itself is the function's own word.
        let error = reported((header, r#"{"errorType":"E"}"#.into())).await;
        assert_eq!(error.kind, "E", "{header}");
    }
}

/// A runtime that is refused its error cannot go on, and the call would end without a word about what went wrong.
#[tokio::test]
async fn an_error_that_is_too_large_is_cut() {
    let line = "\u{e9}".repeat(50 << 10);
    let body = json!({ "errorType": "E".repeat(1_000), "errorMessage": line.repeat(9), "stackTrace": vec![line; 9] });
    let error = reported(("", body.to_string())).await;
    assert!(
        error.kind.starts_with("EEE") && error.kind.len() <= 256,
        "{}",
        error.kind.len()
    );
    let message = &error.message;
    assert!(
        message.starts_with('\u{e9}') && message.ends_with('…'),
        "{}",
        message.len()
    );
    assert!(
        (200 << 10..=256 << 10).contains(&message.len()),
        "{}",
        message.len()
    );
    assert_eq!(error.trace.len(), 2, "100 KiB a line, and as many as go into 256");
    // So large that it is no JSON any more.
    let error = reported(("Runtime.Huge", format!("[{}]", "1,".repeat(5 << 20)))).await;
    assert_eq!(error.kind, "Runtime.Huge");
    assert!(error.message.starts_with("[1,1,") && error.message.len() <= 256 << 10);
}

#[tokio::test]
async fn an_answer_in_a_mode_that_is_not_there_is_refused_to_both_sides() {
    for (mode, expected) in [
        ("buffered", "Invalid function response mode"),
        ("Streaming", "Invalid function response mode"),
        ("\u{e9}", "Invalid function response mode"),
    ] {
        let (exchange, api) = api();
        let _next = exchange.next().unwrap();
        let mut replied = exchange.give(job(), None).unwrap();
        let header = ("lambda-runtime-function-response-mode", mode);
        let wrong = ask_with(&api, "POST", &response_path("other"), header, full("1")).await;
        assert_eq!((wrong.0, &*kind(&wrong.2)), (400, "InvalidRequestID"));
        assert!(
            replied.try_recv().is_err(),
            "another call's answer ended this one"
        );
        let (status, _, body) = ask_with(&api, "POST", &response_path(id()), header, full("1")).await;
        assert_eq!(
            (status, &*kind(&body)),
            (400, "InvalidFunctionResponseMode"),
            "{mode}"
        );
        let Ok(Reply::Error(error)) = replied.await else {
            panic!("{mode}");
        };
        assert_eq!(error.kind, "Runtime.InvalidResponseModeHeader");
        assert!(error.message.contains(expected), "{mode}: {}", error.message);
        assert!(exchange.next().is_ok(), "the runtime goes on");
    }
    let (exchange, api) = api();
    let _next = exchange.next().unwrap();
    let replied = exchange.give(job(), None).unwrap();
    let header = ("lambda-runtime-function-response-mode", "");
    assert_eq!(
        ask_with(&api, "POST", &response_path(id()), header, full("1"))
            .await
            .0,
        202
    );
    assert!(
        matches!(replied.await, Ok(Reply::Answer(_))),
        "an empty header says nothing"
    );
}

#[tokio::test]
async fn a_streamed_answer_is_gathered_and_its_trailers_tell_what_went_wrong() {
    let (exchange, api) = api();
    let tasks = Tasks::new(Stop::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let room = Room::new(16 << 20);
    aloft_http::serve(listener, Limits::default(), &room, Arc::new(api), &tasks);
    for (trailers, error) in [
        ("", None),
        (
            // {"errorType":"E","errorMessage":"late"}
            "Lambda-Runtime-Function-Error-Type: E\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJFIiwiZXJyb3JNZXNzYWdlIjoibGF0ZSJ9\r\n",
            Some("E: late"),
        ),
        ("Lambda-Runtime-Function-Error-Type: Odd\r\n", Some("Odd: ")),
    ] {
        let _next = exchange.next().unwrap();
        let replied = exchange.give(job(), None).unwrap();
        let mut runtime = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\
             Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n\
             3\r\none\r\n3\r\ntwo\r\n0\r\n{trailers}\r\n",
            response_path(id())
        );
        runtime.write_all(request.as_bytes()).await.unwrap();
        match (replied.await.unwrap(), error) {
            (Reply::Answer(bytes), None) => assert_eq!(bytes, "onetwo"),
            (Reply::Error(found), Some(expected)) => assert_eq!(found.to_string(), expected),
            (other, _) => panic!("{trailers}: {other:?}"),
        }
        let mut answer = String::new();
        runtime.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
}

/// A body that breaks off is no question of size: an answer is truncated, and of an error counts what has come.
#[tokio::test]
async fn what_breaks_off_ends_its_call_at_once() {
    let (exchange, api) = api();
    let tasks = Tasks::new(Stop::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    aloft_http::serve(
        listener,
        Limits::default(),
        &Room::new(16 << 20),
        Arc::new(api),
        &tasks,
    );
    for (what, framing, body, expected) in [
        (
            "response",
            "Content-Length: 100",
            "{\"a\":",
            "Runtime.TruncatedResponse: the body ended early",
        ),
        (
            "response",
            "Transfer-Encoding: chunked",
            "5\r\nab",
            "Runtime.TruncatedResponse: the body ended early",
        ),
        (
            "error",
            "Content-Length: 100",
            "{\"errorMess",
            "Function.Died: {\"errorMess",
        ),
        ("error", "Content-Length: 100", "", "Function.Died: "),
    ] {
        let _next = exchange.next().unwrap();
        let replied = exchange.give(job(), None).unwrap();
        let mut runtime = TcpStream::connect(address).await.unwrap();
        let path = format!("/2018-06-01/runtime/invocation/{}/{what}", id());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nLambda-Runtime-Function-Error-Type: Function.Died\r\n{framing}\r\n\r\n{body}"
        );
        runtime.write_all(head.as_bytes()).await.unwrap();
        runtime.shutdown().await.unwrap();
        let Ok(Reply::Broken(error)) = replied.await else {
            panic!("{what} {body}");
        };
        assert!(error.to_string().starts_with(expected), "{what} {body}: {error}");
        let mut answer = Vec::new();
        runtime.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let is_right = match what {
            "error" => answer.starts_with("HTTP/1.1 202"),
            _ => answer.starts_with("HTTP/1.1 400") && answer.contains("TruncatedHTTPRequest"),
        };
        assert!(is_right, "{what} {body}: {answer}");
    }
    tasks.drain(Duration::from_secs(5)).await;
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
        let replied = exchange.give(job(), None).unwrap();
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
        assert!(matches!(
            replied.await,
            Ok(Reply::TooLarge {
                size: SIZE,
                limit: ANSWER_LIMIT
            })
        ));
    }
    tasks.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_answer_that_asks_for_the_next_invocation_is_answered_with_it() {
    let (exchange, api) = api();
    for what in ["response", "error"] {
        let _next = exchange.next().unwrap();
        let replied = exchange.give(job(), None).unwrap();
        let wrong = ask(
            &api,
            "POST",
            "/2018-06-01/runtime/invocation/x/response?next",
            full("1"),
        );
        let (status, _, body) = wrong.await;
        assert_eq!((status, &*kind(&body)), (400, "InvalidRequestID"));
        let path = format!("/2018-06-01/runtime/invocation/{}/{what}?next", id());
        let mut asked = std::pin::pin!(ask(&api, "POST", &path, full("{}")));
        assert!(futures_util::poll!(&mut asked).is_pending(), "there is none yet");
        match (what, replied.await.unwrap()) {
            ("response", Reply::Answer(body)) => assert_eq!(body, "{}"),
            ("error", Reply::Error(_)) => {}
            other => panic!("{other:?}"),
        }
        let _replied = exchange.give(job(), None).unwrap();
        let (status, headers, body) = asked.await;
        assert_eq!((status, &*body), (200, &b"{}"[..]));
        assert_eq!(headers["lambda-runtime-aws-request-id"], id().to_string());
        exchange
            .answer(&id().to_string(), Reply::Answer(Bytes::new()))
            .unwrap();
    }
}

/// An idle instance must not go on taking up the room of the answer that it gave last.
#[tokio::test]
async fn what_waits_for_the_next_invocation_holds_no_room() {
    let (exchange, api) = api();
    let tasks = Tasks::new(Stop::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (limits, room) = (Limits::default(), Room::new(4 << 10));
    aloft_http::serve(listener, limits, &room, Arc::new(api), &tasks);
    let post = |path: &str| {
        let body = "x".repeat(3 << 10);
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let _next = exchange.next().unwrap();
    let replied = exchange.give(job(), None).unwrap();
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let asking = post(&format!("{}?next", response_path(id())));
    waiting.write_all(asking.as_bytes()).await.unwrap();
    assert!(matches!(replied.await, Ok(Reply::Answer(_))));
    // The room is given back in the step in which the reply is passed on.
    tokio::task::yield_now().await;
    let mut other = TcpStream::connect(address).await.unwrap();
    other
        .write_all(post(&response_path("x")).as_bytes())
        .await
        .unwrap();
    let mut answer = [0; 1 << 10];
    let length = other.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains("InvalidRequestID"), "{answer}");
}

/// While one connection hands an answer on, whatever another says of the same invocation is out of order.
#[tokio::test]
async fn nothing_ends_an_answer_that_is_on_its_way() {
    use http_body_util::{BodyExt as _, StreamBody};

    let (exchange, api) = api();
    let _next = exchange.next().unwrap();
    let (sink, beginning) = tokio::sync::oneshot::channel();
    let to = stream::To {
        sink,
        version: 1,
        is_http: false,
        until: tokio::time::Instant::now() + Duration::from_secs(900),
    };
    let mut replied = exchange.give(job(), Some(to)).unwrap();
    let (pieces, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((Ok::<_, BodyError>(http_body::Frame::data(piece)), receiver))
    });
    let path = response_path(id());
    let mode = ("lambda-runtime-function-response-mode", "streaming");
    let streamed = ask_with(&api, "POST", &path, mode, StreamBody::new(frames).boxed_unsync());
    let others = async {
        let (_, mut taken) = beginning.await.unwrap().into_parts();
        pieces.send("one".into()).await.unwrap();
        assert_eq!(taken.recv().await.unwrap(), "one");
        for (path, header) in [
            (path.clone(), ("x-nothing", "")),
            (path.clone(), mode),
            (path.replace("/response", "/error"), ("x-nothing", "")),
        ] {
            let (status, _, body) = ask_with(&api, "POST", &path, header, aloft_http::full("{}")).await;
            assert_eq!((status, &*kind(&body)), (403, "InvalidStateTransition"), "{path}");
        }
        assert!(replied.try_recv().is_err(), "the call goes on");
        drop(pieces);
    };
    let ((status, ..), ()) = tokio::join!(streamed, others);
    assert_eq!(status, 202);
    assert!(matches!(replied.await, Ok(Reply::Streamed(3))));
}
