//! Requests that two parsers may read differently. Each must end in one refusal and a closed connection: what follows it on
//! the connection must never be taken for a request.

use super::*;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

async fn check(server: &Server, head: &str, body: &str, status: u16) {
    let calls = server.calls();
    let bytes = format!("{head}\r\n\r\n{body}{SMUGGLED}");
    let answer = server.exchange(bytes.as_bytes()).await;
    assert_refused(&answer, StatusCode::from_u16(status).unwrap());
    assert_eq!(server.calls(), calls, "{head:?} reached the handler");
}

#[tokio::test]
async fn ambiguous_framing_is_refused_and_the_connection_closed() {
    let server = start(Limits::default()).await;
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}");
    for fields in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5\x0b",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Content-Length\t: 5",
        " Content-Length: 5",
        "X: y\r\n Content-Length: 5",
        "X: y\r\n\tTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: \x00chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t:\tchunked",
        "Transfer-Encoding:",
        "Transfer Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\n\nGET / HTTP/1.1",
        ": empty",
        "Host: b",
        "no colon here",
    ] {
        check(&server, &post(fields), "0\r\n\r\n", 400).await;
    }
    check(
        &server,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
        400,
    )
    .await;
    check(&server, "POST / HTTP/1.1\r\nContent-Length: 0", "", 400).await;
    for host in ["a b", "a/c", "user@a", "a?", "a,\tb"] {
        check(&server, &format!("GET / HTTP/1.1\r\nHost: {host}"), "", 400).await;
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn a_request_line_that_is_not_http_1_is_refused() {
    let server = start(Limits::default()).await;
    for (line, status) in [
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/3", 505),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET\t/ HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("G\u{e4}T / HTTP/1.1", 400),
        ("GET /\u{e4} HTTP/1.1", 400),
        ("GET /<x> HTTP/1.1", 400),
        ("GET /#fragment HTTP/1.1", 400),
        ("GET nowhere.example/ HTTP/1.1", 400),
        ("GET http:/// HTTP/1.1", 400),
        ("CONNECT a:80 HTTP/1.1", 501),
        ("ANEXCEEDINGLYLONGMETHODTHATNOBODYNEEDS / HTTP/1.1", 400),
        ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1", 400),
    ] {
        check(&server, &format!("{line}\r\nHost: a"), "", status).await;
    }
    let hello = server
        .exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and no line end")
        .await;
    assert_refused(&hello, StatusCode::BAD_REQUEST);
    server.assert_alive().await;
}

#[tokio::test]
async fn a_malformed_chunk_is_an_error_of_its_body_and_nothing_follows() {
    let server = start(Limits::default()).await;
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rX0\r\n\r\n",
        "5\rXhello\r\n0\r\n\r\n",
        "0\r\n\rX",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        ";x\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5;\x00\r\nhello\r\n0\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\n\n",
        &long,
    ] {
        let calls = server.calls();
        let bytes =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}");
        let answer = server.exchange(bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{body:?}: {answer}");
        assert!(
            answer.ends_with("the body ended early: the chunked body is malformed"),
            "{body:?}: {answer}"
        );
        assert_eq!(server.calls(), calls + 1, "{body:?}");
    }
    server.assert_alive().await;
}
