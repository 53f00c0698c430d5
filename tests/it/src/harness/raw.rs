//! A bare socket, for what no honest client sends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// An answer must come within this, also the one to a header that never ends (10 s).
const BOUND: Duration = Duration::from_secs(45);

/// A connection.
pub(crate) struct Raw {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    /// Connects to `http://host:port`.
    pub(crate) fn connect(address: &str) -> Self {
        let place = address.strip_prefix("http://").unwrap();
        let socket = TcpStream::connect(place).unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        Self {
            socket,
            read: Vec::new(),
        }
    }

    /// Sends as much as the other side takes, and says how much that was: it may refuse and close in the middle.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        sent
    }

    /// The next answer: status, and the whole text with head and body.
    pub(crate) fn answer(&mut self) -> (u16, String) {
        let started = Instant::now();
        loop {
            if let Some(length) = whole(&self.read) {
                let text: Vec<u8> = self.read.drain(..length).collect();
                let text = String::from_utf8_lossy(&text).into_owned();
                let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.unwrap_or_else(|| panic!("no status in {text:?}")), text);
            }
            let open = self.receive();
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(
                open,
                "the connection closed without a whole answer; so far: {so_far:?}"
            );
            assert!(
                started.elapsed() < BOUND,
                "no answer within {} s; so far: {so_far:?}",
                BOUND.as_secs()
            );
        }
    }

    /// Waits until what came has these bytes in it, and gives back all of it.
    pub(crate) fn until(&mut self, wanted: &[u8]) -> String {
        let started = Instant::now();
        while !self.read.windows(wanted.len()).any(|bytes| bytes == wanted) {
            let is_open = self.receive();
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(is_open, "the connection closed; so far: {so_far:?}");
            assert!(started.elapsed() < BOUND, "it does not come; so far: {so_far:?}");
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// Waits until the other side has closed; nothing but what was read may come before.
    pub(crate) fn closes(&mut self) {
        let started = Instant::now();
        while self.receive() {
            assert!(started.elapsed() < BOUND, "the connection stays open");
        }
        let rest = String::from_utf8_lossy(&self.read).into_owned();
        assert!(
            rest.is_empty(),
            "a second answer on a connection that should close: {rest:?}"
        );
    }

    /// Takes what is there, or waits a moment; false once the connection is over.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ),
        }
    }
}

/// How long the first whole answer is; the platform's own answers state their length.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
    (bytes.len() >= head + length).then_some(head + length)
}

#[test]
fn an_answer_is_whole_when_its_stated_length_is_there() {
    assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"), None);
    assert_eq!(
        whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!"),
        Some(40)
    );
}
