//! The load: a kept HTTP/1.1 connection over a plain socket. A client library would take more CPU time than some of the
//! servers it measures, and two cores carry both.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Longer than any single answer takes, a cold start on two busy cores included.
const BOUND: Duration = Duration::from_secs(30);

/// One kept connection, one request at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects to `http://host:port`, with `TCP_NODELAY`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn open(address: &str) -> Result<Self> {
        let place = address.strip_prefix("http://").unwrap_or(address);
        let stream = TcpStream::connect(place).with_context(|| format!("cannot connect to {place}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(BOUND))?;
        Ok(Self {
            stream,
            buffer: vec![0; 64 << 10],
            filled: 0,
        })
    }

    /// Sends a whole request and reads the whole answer, which must state its length.
    ///
    /// # Errors
    /// When the connection fails, or the answer is none.
    pub fn call(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request)?;
        self.filled = 0;
        let head = loop {
            self.fill()?;
            let read = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(at) = find(read, b"\r\n\r\n") {
                break parse(read.get(..at).unwrap_or_default(), at + 4)?;
            }
        };
        let end = head.start + head.length;
        while self.filled < end {
            self.fill()?;
        }
        let body = self.buffer.get(head.start..end).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    /// Calls and insists on a status.
    ///
    /// # Errors
    /// As [`call`](Self::call), and when the status is another.
    pub fn expect(&mut self, status: u16, request: &[u8]) -> Result<Answer<'_>> {
        let answer = self.call(request)?;
        if answer.status != status {
            let body = String::from_utf8_lossy(answer.body);
            bail!("expected status {status}, got {}: {body}", answer.status);
        }
        Ok(answer)
    }

    /// Sends a whole request, and reads a whole answer that comes in chunks. Says how long its first byte behind the head took, and how
    /// many bytes followed the head.
    ///
    /// # Errors
    /// As [`call`](Self::call); the status must be 200.
    pub fn stream(&mut self, request: &[u8]) -> Result<(Duration, usize)> {
        let started = Instant::now();
        self.stream.write_all(request)?;
        self.filled = 0;
        let (mut first, mut start) = (None, None);
        loop {
            self.fill()?;
            let read = self.buffer.get(..self.filled).unwrap_or_default();
            if start.is_none() {
                start = find(read, b"\r\n\r\n").map(|at| at + 4);
            }
            let Some(body) = start.and_then(|start| read.get(start..)) else {
                continue;
            };
            if !body.is_empty() && first.is_none() {
                first = Some(started.elapsed());
            }
            if body.ends_with(b"\r\n0\r\n\r\n") {
                let length = body.len();
                if !read.starts_with(b"HTTP/1.1 200 ") {
                    bail!("expected status 200, got {}", String::from_utf8_lossy(read));
                }
                return Ok((first.unwrap_or_default(), length));
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = self.stream.read(room).context("no answer came")?;
        if count == 0 {
            bail!("the connection was closed without an answer");
        }
        self.filled += count;
        Ok(())
    }
}

struct Head {
    status: u16,
    /// Where the body starts, and how long it is.
    start: usize,
    length: usize,
}

fn parse(head: &[u8], start: usize) -> Result<Head> {
    let text = std::str::from_utf8(head).context("the answer's head is not text")?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status in {text:?}"))?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length = match length {
        Some(length) => length.parse().with_context(|| format!("no length in {text:?}"))?,
        None if status == 204 => 0,
        None => bail!("the answer does not state its length: {text:?}"),
    };
    Ok(Head {
        status,
        start,
        length,
    })
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let head = parse(b"HTTP/1.1 201 Created\r\ncontent-LENGTH: 12", 40).unwrap();
        assert_eq!((head.status, head.start, head.length), (201, 40, 12));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", 40).is_err());
        assert!(parse(b"nonsense", 12).is_err());
    }
}
