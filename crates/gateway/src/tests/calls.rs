//! Requests to functions: what the function sees, and what becomes of each outcome.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::*;
use aloft_call::FunctionError;
use aloft_http::BodyError;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

fn raised() -> Fault {
    Fault::Raised(FunctionError {
        kind: "ValueError".to_owned(),
        message: "secret detail".to_owned(),
        trace: vec!["File \"create.py\", line 3".to_owned()],
        body: None,
        printed: None,
    })
}

#[tokio::test]
async fn a_call_carries_route_variables_body_and_trace() {
    let house = House::with_routes(&[("PUT /orders/{id}/items/{item+}", "put_item")]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::put("/orders/a%20b/items/x/y?q=1")
        .header("traceparent", trace)
        .body(full("payload"))
        .unwrap();
    let answer = house.send(request).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    assert_eq!(answer.header("x-request-id").len(), 36);
    let expected = Seen {
        function: "put_item".to_owned(),
        method: "PUT".to_owned(),
        uri: "/orders/a%20b/items/x/y?q=1".to_owned(),
        route: "PUT /orders/{id}/items/{item+}".to_owned(),
        variables: vec![
            ("id".to_owned(), "a b".to_owned()),
            ("item".to_owned(), "x/y".to_owned()),
        ],
        fields: vec!["traceparent".to_owned()],
        body: Bytes::from("payload"),
        trace: trace.to_owned(),
    };
    assert_eq!(house.last(), expected);

    // What speaks of the connection stays here, whoever it names.
    let request = Request::put("/orders/1/items/2")
        .header("connection", "keep-alive, x-mine, host")
        .header("host", "a")
        .header("x-mine", "1")
        .header("x-other", "2")
        .body(empty())
        .unwrap();
    house.send(request).await;
    let mut fields = house.last().fields;
    fields.sort();
    assert_eq!(fields, ["host", "x-other"]);

    // A trace that is not valid, or there twice, is replaced by a new one.
    for traces in [vec!["00-zz"], vec![trace, trace], vec![]] {
        let mut request = Request::put("http://example.org/orders/1/items/2")
            .body(empty())
            .unwrap();
        for given in traces {
            request
                .headers_mut()
                .append("traceparent", given.parse().unwrap());
        }
        house.send(request).await;
        assert_eq!(
            house.last().uri,
            "/orders/1/items/2",
            "the absolute form is reduced to its path"
        );
        assert!(
            house.last().trace != trace && house.last().trace.ends_with("-01"),
            "{}",
            house.last().trace
        );
    }
}

#[tokio::test]
async fn head_runs_the_get_route_and_other_methods_are_405_with_allow() {
    let house = House::with_routes(&[
        ("GET /x", "read"),
        ("POST /x", "write"),
        ("HEAD /y", "head"),
        ("ANY /z", "any"),
    ]);
    assert_eq!(house.method("HEAD", "/x").await.status, 200);
    assert_eq!(
        (house.last().method.as_str(), house.last().function.as_str()),
        ("GET", "read")
    );
    house.method("HEAD", "/y").await;
    assert_eq!(
        (house.last().method.as_str(), house.last().function.as_str()),
        ("HEAD", "head")
    );
    for method in ["HEAD", "PURGE", "OPTIONS"] {
        assert_eq!(house.method(method, "/z").await.status, 200);
        assert_eq!(house.last().method, method);
    }
    let calls = house.calls();
    for (method, path, status, allow) in [
        ("DELETE", "/x", 405, "GET, HEAD, POST"),
        ("OPTIONS", "/x", 405, "GET, HEAD, POST"),
        ("PURGE", "/x", 405, "GET, HEAD, POST"),
        ("GET", "/y", 405, "HEAD"),
        ("GET", "/x/", 404, ""),
        ("GET", "/", 404, ""),
        ("GET", "/_aloft/health", 404, ""),
        ("OPTIONS", "*", 400, ""),
        ("GET", "/%zz", 400, ""),
        ("GET", "/%ff", 400, ""),
    ] {
        let answer = house.method(method, path).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (status, allow),
            "{method} {path}"
        );
        assert_eq!(
            answer.json()["request_id"],
            answer.header("x-request-id"),
            "{method} {path}"
        );
        assert!(answer.json()["message"].is_string());
    }
    assert_eq!(house.calls(), calls, "no function was called");
}

#[tokio::test]
async fn each_fault_has_its_status_and_only_dev_tells_more() {
    let busy = |after: u64| Fault::Busy {
        bound: aloft_call::Bound::Function,
        why: "the queue is full".to_owned(),
        retry_after: Duration::from_millis(after),
    };
    let text = || "x".to_owned();
    let faults = [
        (raised(), 502, ""),
        (Fault::Init(FunctionError::default()), 502, ""),
        (Fault::Exited { how: text() }, 502, ""),
        (Fault::OutOfMemory { limit_mb: 128 }, 502, ""),
        (Fault::Garbage { why: text() }, 502, ""),
        (Fault::AnswerTooLarge { size: 2, limit: 1 }, 502, ""),
        (Fault::NoFunction { name: text() }, 502, ""),
        (Fault::Unrunnable { why: text() }, 502, ""),
        (
            Fault::TimedOut {
                after: Duration::from_secs(3),
            },
            504,
            "",
        ),
        (busy(1), 429, "1"),
        (busy(2_001), 429, "3"),
        (
            Fault::Payload {
                why: text(),
                too_large: true,
            },
            413,
            "",
        ),
        (
            Fault::Payload {
                why: text(),
                too_large: false,
            },
            400,
            "",
        ),
        (Fault::Draining, 503, "1"),
        (Fault::Platform { why: text() }, 500, ""),
    ];
    for is_dev in [true, false] {
        let house = House::new(Config {
            is_dev,
            ..Config::dev()
        });
        house.gateway.replace(App {
            routes: parsed(&[("GET /", "f")]),
            ..App::default()
        });
        for (fault, status, retry) in faults.clone() {
            let scripted = fault.clone();
            house.answers(move || Err(scripted.clone()));
            let answer = house.get("/").await;
            assert_eq!(
                (answer.status, answer.header("retry-after")),
                (status, retry),
                "{fault:?}"
            );
            assert_eq!(answer.header("content-type"), "application/json");
            let json = answer.json();
            assert_eq!(json["request_id"], answer.header("x-request-id"));
            if is_dev {
                assert_eq!(
                    json["error"],
                    serde_json::to_value(fault.error()).unwrap(),
                    "{fault:?}"
                );
            } else {
                assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
            }
        }
    }
}

#[tokio::test]
async fn a_functions_answer_keeps_its_fields_but_not_those_of_a_connection() {
    let house = House::with_routes(&[("GET /", "f")]);
    house.answers(|| {
        let response = Response::builder()
            .status(201)
            .header("Location", "/orders/1")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("Content-Length", "999")
            .header("Transfer-Encoding", "chunked")
            .header("Connection", "close, X-Private")
            .header("X-Private", "p")
            .header("Keep-Alive", "timeout=5")
            .header("Upgrade", "h2c")
            .header("x-request-id", "forged");
        Ok(Answer::Http(response.body(full("made")).unwrap()))
    });
    let answer = house.get("/").await;
    assert_eq!(
        (answer.status, &answer.body[..], answer.header("location")),
        (201, &b"made"[..], "/orders/1")
    );
    assert_eq!(answer.head.get_all("set-cookie").iter().count(), 2);
    assert_eq!(answer.header("x-request-id").len(), 36);
    for gone in [
        "content-length",
        "transfer-encoding",
        "connection",
        "x-private",
        "keep-alive",
        "upgrade",
    ] {
        assert!(!answer.head.contains_key(gone), "{gone}");
    }
    house.answers(|| {
        Ok(Answer::Http(
            Response::builder().status(204).body(full("none")).unwrap(),
        ))
    });
    assert!(house.get("/").await.body.is_empty());
    house.answers(|| {
        Ok(Answer::Http(
            Response::builder().status(101).body(empty()).unwrap(),
        ))
    });
    assert_eq!(house.get("/").await.status, 502);
    house.answers(|| Ok(Answer::Bytes(Bytes::from("bytes"))));
    assert_eq!(house.get("/").await.status, 502);
}

/// A body that announces so much, has brought the first piece, and then keeps its reader waiting.
struct Slow {
    piece: Option<Bytes>,
    announced: u64,
}

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(http_body::Frame::data(piece)))),
            None => Poll::Pending,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.announced)
    }
}

fn slow(arrived: usize, announced: u64) -> Request<Body> {
    let slow = Slow {
        piece: (arrived > 0).then(|| vec![b'x'; arrived].into()),
        announced,
    };
    Request::post("/").body(slow.boxed_unsync()).unwrap()
}

#[tokio::test]
async fn a_body_has_a_bound_and_a_full_house_says_when_to_come_back() {
    let house = House::new(Config {
        body_bytes: 10_000,
        ..Config::dev()
    });
    house.gateway.replace(App {
        routes: parsed(&[("POST /", "f")]),
        ..App::default()
    });
    let post = |length: usize| Request::post("/").body(full(vec![b'x'; length])).unwrap();
    assert_eq!(house.send(post(10_000)).await.status, 200);
    assert_eq!(house.send(post(10_001)).await.status, 413);
    let crowded = futures_util::stream::once(async { Err::<http_body::Frame<Bytes>, _>(BodyError::NoRoom) });
    let crowded = http_body_util::StreamBody::new(Box::pin(crowded)).boxed_unsync();
    let refused = house.send(Request::post("/").body(crowded).unwrap()).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(house.calls(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_too() {
    let house = House::with_routes(&[("POST /x", "f")]);
    let mut request = slow(1, 10);
    *request.uri_mut() = "/x".parse().unwrap();
    let mut request = house.gateway.handle(request);
    assert!((&mut request).now_or_never().is_none());
    drop(request);
    let text = house.metrics.render();
    let line = "aloft_http_requests_total{route=\"POST /x\",status=\"4xx\"} 1";
    assert!(text.contains(line), "{line} is not in\n{text}");
}

#[tokio::test]
async fn what_is_served_is_replaced_as_a_whole() {
    let house = House::with_routes(&[("GET /old", "old")]);
    assert_eq!(house.get("/old").await.status, 200);
    house.gateway.replace(App {
        routes: parsed(&[("GET /new", "new")]),
        ..App::default()
    });
    assert_eq!(house.get("/old").await.status, 404);
    assert_eq!(house.get("/new").await.status, 200);
    assert_eq!(house.last().function, "new");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status_class() {
    let house = House::with_routes(&[("GET /x", "f")]);
    for _ in 0..3 {
        house.get("/x").await;
    }
    house.answers(|| Err(raised()));
    house.get("/x").await;
    house.get("/nowhere").await;
    house
        .gateway
        .refuse(&aloft_http::Refusal::new(StatusCode::URI_TOO_LONG, "too long"));
    let text = house.metrics.render();
    for line in [
        "aloft_http_requests_total{route=\"GET /x\",status=\"2xx\"} 3",
        "aloft_http_requests_total{route=\"GET /x\",status=\"5xx\"} 1",
        "aloft_http_requests_total{route=\"none\",status=\"4xx\"} 2",
        "aloft_http_request_seconds_count{route=\"GET /x\"} 4",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
