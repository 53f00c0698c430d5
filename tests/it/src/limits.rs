//! What the gateway refuses, and that a refusal costs nobody else anything.

use std::thread;

use crate::harness::{Platform, Project, Raw, call, get};

const DEFINITION: &str = r#"
[project]
name = "limits"
[functions.echo]
runtime = "python3"
source = "functions"
handler = "echo.handler"
timeout = "20s"
[routes]
"GET /echo" = "echo"
"POST /echo" = "echo"
"GET /orders/{id}" = "echo"
"#;

const ECHO: &str = r#"
def handler(event, context):
    return {
        "statusCode": 200,
        "headers": {"content-type": "text/plain", "x-method": event["requestContext"]["http"]["method"]},
        "body": str(len(event.get("body") or "")),
    }
"#;

fn start() -> (Project, Platform) {
    let project = Project::new(&[("aloft.toml", DEFINITION), ("functions/echo.py", ECHO)]);
    let platform = project.start();
    (project, platform)
}

/// The platform still answers a well-behaved caller.
fn healthy(platform: &Platform) {
    assert_eq!(get(&platform.url("/echo")).is(200).text(), "0");
}

#[test]
fn paths_and_methods() {
    let (_project, platform) = start();
    get(&platform.url("/nowhere")).refusal(&[404]);
    get(&platform.url("/orders")).refusal(&[404]);
    get(&platform.url("/orders/7/receipt")).refusal(&[404]);
    get(&platform.url("/orders/7")).is(200);

    let wrong = call("DELETE", &platform.url("/echo"), &[], b"").is(405);
    let allowed: Vec<&str> = wrong
        .header("allow")
        .expect("an Allow header")
        .split(',')
        .map(str::trim)
        .collect();
    assert!(
        allowed.contains(&"GET") && allowed.contains(&"POST"),
        "{allowed:?}"
    );
    assert!(!allowed.contains(&"DELETE"), "{allowed:?}");
    wrong.refusal(&[405]);

    let head = call("HEAD", &platform.url("/echo"), &[], b"").is(200);
    assert!(head.body.is_empty());
    assert_eq!(
        head.header("content-type"),
        get(&platform.url("/echo")).header("content-type")
    );
    call("HEAD", &platform.url("/nowhere"), &[], b"").is(404);
}

#[test]
fn headers_over_64_kib_are_431() {
    let (_project, platform) = start();
    let mut raw = Raw::connect(&platform.app);
    raw.send(
        format!(
            "GET /echo HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n",
            "x".repeat(70 * 1024)
        )
        .as_bytes(),
    );
    assert_eq!(raw.answer().0, 431);
    raw.closes();

    let mut raw = Raw::connect(&platform.app);
    raw.send(
        format!(
            "GET /echo HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n",
            "x".repeat(32 * 1024)
        )
        .as_bytes(),
    );
    assert_eq!(raw.answer().0, 200, "half of the limit is fine");
    healthy(&platform);
}

#[test]
fn ten_megabytes_of_headers_hurt_nobody() {
    let (_project, platform) = start();
    healthy(&platform);
    let before = platform.resident_peak();
    let line = format!("x-more: {}\r\n", "y".repeat(1000));
    let header = line.repeat(10_000);
    for _ in 0..4 {
        let mut raw = Raw::connect(&platform.app);
        raw.send(b"GET /echo HTTP/1.1\r\nhost: a\r\n");
        let sent = raw.send(header.as_bytes());
        assert!(
            sent < header.len() || raw.answer().0 == 431,
            "10 MB of headers were taken"
        );
    }
    let grown = platform.resident_peak().saturating_sub(before);
    assert!(
        grown < 8 << 20,
        "{grown} bytes more resident for headers that are refused at 64 KiB"
    );
    healthy(&platform);
}

#[test]
fn a_body_over_6_mib_is_413() {
    let (_project, platform) = start();
    let fits = vec![b'x'; 4 << 20];
    assert_eq!(
        call(
            "POST",
            &platform.url("/echo"),
            &[("content-type", "text/plain")],
            &fits
        )
        .is(200)
        .text(),
        fits.len().to_string()
    );

    let mut stated = Raw::connect(&platform.app);
    stated.send(
        format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            (6 << 20) + 1
        )
        .as_bytes(),
    );
    assert_eq!(
        stated.answer().0,
        413,
        "a stated length is refused before the body comes"
    );

    let mut chunked = Raw::connect(&platform.app);
    chunked.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "z".repeat(64 << 10));
    let mut sent = 0;
    while sent <= 112 && chunked.send(chunk.as_bytes()) == chunk.len() {
        sent += 1;
    }
    assert_eq!(chunked.answer().0, 413, "after {sent} chunks of 64 KiB");
    healthy(&platform);
}

/// RFC 9112, section 6.3: what could be read in two ways is not read at all.
#[test]
fn ambiguous_lengths_are_400_and_close() {
    let (_project, platform) = start();
    let smuggled = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
    let heads = [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: +5\r\n",
        "content-length: -5\r\n",
        "content-length: 5x\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
    ];
    for head in heads {
        let mut raw = Raw::connect(&platform.app);
        raw.send(format!("POST /echo HTTP/1.1\r\nhost: a\r\n{head}\r\n0\r\n\r\n{smuggled}").as_bytes());
        // RFC 9112, section 6.1: a transfer coding that is not known may also be 501.
        let (status, text) = raw.answer();
        assert!(
            status == 400 || (status == 501 && !head.contains("length")),
            "{head:?}: {text}"
        );
        raw.closes();
    }
    healthy(&platform);
}

#[test]
fn what_is_not_http_is_400_and_close() {
    let (_project, platform) = start();
    let requests: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nhost: a\r\nno colon here\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nhost: a\r\n folded: x\r\n\r\n",
        b"GET /ec\x00ho HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
    ];
    for request in requests {
        let mut raw = Raw::connect(&platform.app);
        raw.send(request);
        assert_eq!(raw.answer().0, 400, "{:?}", String::from_utf8_lossy(request));
        raw.closes();
    }
    healthy(&platform);
}

#[test]
fn slow_clients_get_408_and_block_nobody() {
    let (_project, platform) = start();
    healthy(&platform);
    let mut slow: Vec<Raw> = (0..200).map(|_| Raw::connect(&platform.app)).collect();
    for raw in &mut slow {
        raw.send(b"GET /echo HTTP/1.1\r\nhost: a\r\nx-slow: ");
    }
    // While they dawdle, others are served.
    for _ in 0..20 {
        healthy(&platform);
    }
    thread::scope(|scope| {
        for raw in &mut slow[..4] {
            scope.spawn(|| {
                assert_eq!(raw.answer().0, 408);
                raw.closes();
            });
        }
    });
    healthy(&platform);
}

#[test]
fn one_connection_serves_many_requests_in_order() {
    let (_project, platform) = start();
    let mut raw = Raw::connect(&platform.app);
    raw.send(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
    let (status, text) = raw.answer();
    assert!(status == 200 && text.ends_with("\r\n\r\n3"), "{text}");
    assert_eq!(raw.answer().0, 404);
}
