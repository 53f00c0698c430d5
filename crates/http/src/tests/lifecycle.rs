//! Connections from their first request to their end.

use super::*;
use crate::{Client, ClientError, Patience, empty};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_whatever_pieces_they_come_in() {
    let server = start(Limits::default()).await;
    let bytes = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=\"y\"\r\nab\r\n1\r\nc\r\n0\r\nT: v\r\n\r\n\r\n\
        GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for piece in [1, 2, 3, 7, 50, bytes.len()] {
        let mut stream = server.connect().await;
        stream.set_nodelay(true).unwrap();
        for part in bytes.chunks(piece) {
            stream.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        let answer = read_to_end(&mut stream).await;
        let at = |text: &str| {
            answer
                .find(text)
                .unwrap_or_else(|| panic!("no {text:?} in {answer}"))
        };
        assert!(
            at("GET /1 ") < at("POST /2 hello") && at("POST /2 hello") < at("POST /3 abc"),
            "{answer}"
        );
        assert!(answer.ends_with("GET /4 "), "{answer}");
    }
}

#[tokio::test]
async fn a_refusal_waits_for_the_answers_before_it() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.started().await;
    server.toy.go.notify_one();
    let answer = read_to_end(&mut stream).await;
    let (first, second) = answer.split_at(answer.find("waited").unwrap() + "waited".len());
    assert!(first.starts_with("HTTP/1.1 200"), "{answer}");
    assert_refused(second, StatusCode::BAD_REQUEST);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn nothing_is_said_after_an_answer_that_closes() {
    let server = start(Limits::default()).await;
    let bytes = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nBAD\r\n\r\n";
    let answer = server.exchange(bytes).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("GET /last "),
        "{answer}"
    );
}

#[tokio::test]
async fn http_1_0_head_and_continue_work() {
    let server = start(Limits::default()).await;
    let old = server.exchange(b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(
        old.starts_with("HTTP/1.0 200") && old.ends_with("GET /old "),
        "{old}"
    );
    let head = server
        .exchange(b"HEAD /h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    assert!(
        head.contains("content-length: 8\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );

    let mut stream = server.connect().await;
    let asking = b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(asking).await.unwrap();
    assert_eq!(
        read_until(&mut stream, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"ok").await.unwrap();
    assert!(
        read_until(&mut stream, "POST /c ok")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_panic_costs_its_request_and_nothing_else() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(
        read_until(&mut stream, "refused: internal error")
            .await
            .starts_with("HTTP/1.1 500")
    );
    stream
        .write_all(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(
        read_until(&mut stream, "GET /after ")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.started().await;
    drop(stream);
    let cancelled = async {
        while server.toy.cancelled.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cancelled)
        .await
        .expect("the handler's future is dropped");
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_closes_the_rest() {
    let server = start(Limits::default()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "GET /idle ").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.started().await;

    server.tasks.stop().ask();
    assert_eq!(read_to_end(&mut idle).await, "");
    server.toy.go.notify_one();
    let answer = read_to_end(&mut busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("waited"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(server.tasks.drain(PATIENCE).await);
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = start(Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.started().await;
    assert!(server.tasks.drain(PATIENCE).await);
    assert_eq!(server.toy.cancelled.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_client_keeps_connections_and_replaces_closed_ones() {
    let limits = Limits {
        idle_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(limits).await;
    let client = Client::new(server.address, Patience::default(), &server.tasks);
    for turn in 0..3 {
        for path in ["/a", "/b"] {
            let request = http::Request::post(path).body(full("body")).unwrap();
            let response = client.send(request).await.unwrap();
            let bytes = collect(response.into_body(), 1_000).await.unwrap();
            assert_eq!(bytes, format!("POST {path} body"), "turn {turn}");
        }
        // Until the server has closed what lies idle.
        let closed = async {
            while server.tasks.running() > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed)
            .await
            .expect("both ends see the close");
    }
}

#[tokio::test]
async fn the_client_says_why_there_is_no_answer() {
    let server = start(Limits::default()).await;
    let patience = Patience {
        answer: Duration::from_millis(50),
        ..Patience::default()
    };
    let client = Client::new(server.address, patience, &server.tasks);
    let request = || http::Request::get("/wait").body(empty()).unwrap();
    assert!(matches!(
        client.send(request()).await,
        Err(ClientError::TimedOut { .. })
    ));
    server.tasks.drain(PATIENCE).await;
    let refused = client.send(request()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Connect { .. }), "{refused}");
    assert_eq!(refused.kind(), aloft_base::ErrorKind::Unavailable);
}
