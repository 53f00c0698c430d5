//! Ordered keys. Numbers are big-endian; byte strings and text end with `00 01` and write a `00` inside as `00 FF`, so that
//! a shorter string sorts before its extensions whatever follows. FoundationDB's tuple layer ends with a single `00`, which
//! is unambiguous only because each of its elements opens with a type byte; our readers know the types, so the two-byte end
//! is the smaller one.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Error;

const ESCAPE: u8 = 0x00;
const END: u8 = 0x01;
const ZERO: u8 = 0xff;

/// Writes a key part by part.
#[derive(Debug, Clone, Default)]
pub struct KeyWriter(BytesMut);

impl KeyWriter {
    /// An empty key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.put_u8(value);
        self
    }

    /// Appends a 16-bit number.
    pub fn u16(mut self, value: u16) -> Self {
        self.0.put_u16(value);
        self
    }

    /// Appends a 32-bit number.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }

    /// Appends a 64-bit number.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.put_u64(value);
        self
    }

    /// Appends a 128-bit number.
    pub fn u128(mut self, value: u128) -> Self {
        self.0.put_u128(value);
        self
    }

    /// Appends a byte string, escaped, so that more may follow.
    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.reserve(value.len() + 2);
        for byte in value {
            self.0.put_u8(*byte);
            if *byte == ESCAPE {
                self.0.put_u8(ZERO);
            }
        }
        self.0.put_slice(&[ESCAPE, END]);
        self
    }

    /// Appends text; it sorts by its UTF-8 bytes.
    pub fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// Appends bytes as they are: the last part of a key, or a prefix made elsewhere.
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.0.put_slice(value);
        self
    }

    /// The finished key.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads a key part by part, as it was written.
#[derive(Debug, Clone)]
pub struct KeyReader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> KeyReader<'a> {
    /// Reads from the start of `key`.
    pub fn new(key: &'a [u8]) -> Self {
        Self { rest: key, at: 0 }
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>("a byte").map(u8::from_be_bytes)
    }

    /// Reads a 16-bit number.
    pub fn u16(&mut self) -> Result<u16, Error> {
        self.array("a 16-bit number").map(u16::from_be_bytes)
    }

    /// Reads a 32-bit number.
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array("a 32-bit number").map(u32::from_be_bytes)
    }

    /// Reads a 64-bit number.
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.array("a 64-bit number").map(u64::from_be_bytes)
    }

    /// Reads a 128-bit number.
    pub fn u128(&mut self) -> Result<u128, Error> {
        self.array("a 128-bit number").map(u128::from_be_bytes)
    }

    /// Reads an escaped byte string.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let mut value = Vec::new();
        loop {
            match self.u8()? {
                ESCAPE => match self.u8()? {
                    END => return Ok(value),
                    ZERO => value.push(ESCAPE),
                    _ => return Err(self.malformed("the end of a byte string (01) or an escaped zero (FF)")),
                },
                byte => value.push(byte),
            }
        }
    }

    /// Reads text.
    pub fn text(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?).map_err(|_| self.malformed("UTF-8 before here"))
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::Malformed {
            expected: "the end of the key",
            at: self.at,
        })
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let cut = Error::Cut { what, at: self.at };
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(cut)?;
        self.rest = rest;
        self.at += N;
        Ok(*head)
    }

    fn malformed(&self, expected: &'static str) -> Error {
        Error::Malformed {
            expected,
            at: self.at.saturating_sub(1),
        }
    }
}

/// The first key after all that start with `prefix`; `None` when there is none, because the prefix is all `FF`.
pub fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = BytesMut::from(prefix.get(..=last)?);
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end.freeze())
}
