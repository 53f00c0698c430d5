//! Bounds of size and time.

use super::*;

fn quick() -> Limits {
    Limits {
        head_time: Duration::from_millis(80),
        idle_time: Duration::from_millis(120),
        body_stall: Duration::from_millis(80),
        write_stall: Duration::from_millis(150),
        ..Limits::default()
    }
}

/// Sends as much as the server takes and returns what it answers; a client that first sends everything must not be reset.
async fn send_then_read(server: &Server, head: &str, filler: &[u8], times: usize) -> String {
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..times {
        stream.write_all(filler).await.unwrap();
    }
    read_to_end(&mut stream).await
}

#[tokio::test]
async fn a_head_over_64_kib_is_431_even_if_ten_megabytes_come() {
    let server = start(Limits::default()).await;
    let line = format!("X-Filler: {}\r\n", "y".repeat(1_000));
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let answer = send_then_read(&server, start, line.as_bytes(), 10_000).await;
    assert_refused(&answer, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = send_then_read(&server, "GET / HTTP/1.1\r\nX: ", &[b'y'; 1 << 20], 10).await;
    assert_refused(&answer, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let many = format!("{start}{}\r\n", "X: y\r\n".repeat(100));
    assert_refused(
        &server.exchange(many.as_bytes()).await,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    );
    assert_eq!(server.calls(), 0);

    let end = "Connection: close\r\n\r\n";
    let room = Limits::default().head_bytes - start.len() - end.len() - "X: \r\n".len();
    let fits = format!("{start}X: {}\r\n{end}", "y".repeat(room));
    assert!(
        server.exchange(fits.as_bytes()).await.starts_with("HTTP/1.1 200"),
        "exactly 64 KiB pass"
    );
    let over = format!("{start}X: {}\r\n{end}", "y".repeat(room + 1));
    assert_refused(
        &server.exchange(over.as_bytes()).await,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    );
}

#[tokio::test]
async fn a_target_over_16_kib_is_414() {
    let server = start(Limits::default()).await;
    let get = |path: usize| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "p".repeat(path - 1)
        )
    };
    let most = Limits::default().target_bytes;
    assert!(
        server
            .exchange(get(most).as_bytes())
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_refused(
        &server.exchange(get(most + 1).as_bytes()).await,
        StatusCode::URI_TOO_LONG,
    );
    assert_refused(
        &send_then_read(&server, "GET /", &[b'p'; 1 << 20], 4).await,
        StatusCode::URI_TOO_LONG,
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_the_client_gets_to_read_it() {
    let server = start(Limits {
        body_bytes: 1 << 20,
        ..Limits::default()
    })
    .await;
    let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n";
    assert_refused(
        &send_then_read(&server, sized, &[b'x'; 1 << 20], 8).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    );
    assert_eq!(
        server.calls(),
        0,
        "a declared length is refused before the handler"
    );
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n";
    assert_refused(
        &send_then_read(&server, chunked, &[b'x'; 1 << 20], 8).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    );
    // A client that asks first is told without having to send.
    let asking = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\nExpect: 100-continue\r\n\r\n";
    assert_refused(
        &server.exchange(asking.as_bytes()).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    );
    let exact = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        1 << 20
    );
    assert!(
        send_then_read(&server, &exact, &[b'x'; 1 << 20], 1)
            .await
            .starts_with("HTTP/1.1 200")
    );
    // An answer to a request whose body nobody wants arrives too.
    let ignored = "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n";
    let answer = send_then_read(&server, ignored, &[b'x'; 1 << 20], 1).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ignored"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_does_not_complete_is_408() {
    let server = start(quick()).await;
    assert_refused(&server.exchange(b"").await, StatusCode::REQUEST_TIMEOUT);
    assert_refused(&server.exchange(b"GET / HT").await, StatusCode::REQUEST_TIMEOUT);
    assert_refused(
        &server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n").await,
        StatusCode::REQUEST_TIMEOUT,
    );
    // A byte now and then does not help.
    let mut stream = server.connect().await;
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
        .iter()
        .chain(std::iter::repeat(&b'x'));
    let drip = async {
        loop {
            let byte = *head.next().unwrap();
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
                ready = stream.readable() => { ready.unwrap(); return }
            }
        }
    };
    tokio::time::timeout(PATIENCE, drip)
        .await
        .expect("the server gives up");
    assert_refused(&read_to_end(&mut stream).await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let server = start(quick()).await;
    let answer = server.exchange(b"GET /once HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("GET /once "),
        "{answer}"
    );
    // A second head that stops half way is told, after the first answer.
    let answer = server
        .exchange(b"GET /once HTTP/1.1\r\nHost: a\r\n\r\nGET /tw")
        .await;
    let (first, second) = answer.split_at(answer.find("GET /once ").unwrap() + "GET /once ".len());
    assert!(first.starts_with("HTTP/1.1 200"), "{answer}");
    assert_refused(second, StatusCode::REQUEST_TIMEOUT);
}

/// Bodies that have come take up room, announced ones do not, and what was taken is given back with the answer.
#[tokio::test]
async fn bodies_share_the_room() {
    let server = start_in(&Room::new(10 << 10), Limits::default()).await;
    let post = |announced: usize, sent: usize| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {announced}\r\n\r\n{}",
            "x".repeat(sent)
        )
    };
    // Many that announce much and have sent next to nothing.
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(post(9 << 10, 1).as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    while server.calls() < 3 {
        tokio::task::yield_now().await;
    }
    let answer = server.exchange(post(7 << 10, 7 << 10).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // One of them sends on: now there is no room for another.
    waiting[0].write_all(&[b'x'; 6 << 10]).await.unwrap();
    loop {
        let answer = server.exchange(post(4 << 10, 4 << 10).as_bytes()).await;
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(waiting);
    loop {
        let answer = server.exchange(post(9 << 10, 9 << 10).as_bytes()).await;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_408() {
    let server = start(quick()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        .await
        .unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let mut buffer = [0; 1_024];
    // Far fewer than 500 bytes a second, and each comes well before a stall is one.
    while answer.is_empty() {
        tokio::select! {
            read = reading.read(&mut buffer) => {
                let count = read.unwrap();
                assert!(count > 0, "closed without an answer");
                answer.extend_from_slice(&buffer[..count]);
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => writing.write_all(b"x").await.unwrap(),
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let server = start(quick()).await;
    for body in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        let answer = server
            .exchange(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}").as_bytes())
            .await;
        assert_refused(&answer, StatusCode::REQUEST_TIMEOUT);
    }
    server.assert_alive().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let server = start(quick()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let cut = async {
        // The listener's task remains; the connection's ends.
        while server.calls() == 0 || server.tasks.running() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cut)
        .await
        .expect("the connection ends though nobody reads");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(bytes.len() < 64 << 20, "the answer was cut");
}

#[tokio::test]
async fn a_long_answer_does_not_count_as_idle() {
    let server = start(quick()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /ne")
        .await
        .unwrap();
    server.started().await;
    // Longer than every limit: the handler's time is its own.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(b"xt HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    server.toy.go.notify_one();
    assert!(
        read_until(&mut stream, "waited")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        read_until(&mut stream, "GET /next ")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn connections_over_the_bound_wait_for_a_place() {
    let server = start(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let mut first = server.connect().await;
    first
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    server.started().await;
    let mut second = server.connect().await;
    second
        .write_all(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second connection is not served yet");
    server.toy.go.notify_one();
    let answer = read_to_end(&mut first).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("connection: close"),
        "its place is wanted: {answer}"
    );
    read_until(&mut second, "GET /second ").await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_a_new_one_the_oldest_first() {
    let server = start(Limits {
        connections: 2,
        ..Limits::default()
    })
    .await;
    let mut idle = Vec::new();
    for path in ["/first", "/second"] {
        let mut stream = server.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, &format!("GET {path} ")).await;
        idle.push(stream);
    }
    let mut third = server.connect().await;
    third
        .write_all(b"GET /third HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut third, "GET /third ").await;
    assert_eq!(read_to_end(&mut idle[0]).await, "", "the oldest was closed");
    idle[1]
        .write_all(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle[1], "GET /again ").await;
}
