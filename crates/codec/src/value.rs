//! Versioned values: a format byte, then fields. A field is a number and a length (both LEB128 varints) and that many bytes;
//! every field has a length, so a reader can pass over what it does not know. A field that holds fields is a value without
//! the format byte. Fields may repeat: a list is a repeated field.
//!
//! The format byte changes only when old readers must not read on (fields changed their meaning); everything else is a new
//! field number. Numbers in keys are fixed width for order; here they are varints, because most are small.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Error;

/// The largest value that is read, in bytes: the size of a whole batch.
pub const MAX_VALUE_BYTES: usize = 16 << 20;
/// How deep fields may lie in fields. DynamoDB's items nest 32 deep; twice that leaves room for what wraps them.
pub const MAX_DEPTH: usize = 64;

/// Writes a value field by field.
#[derive(Debug, Clone)]
pub struct Writer(BytesMut);

impl Writer {
    /// A value of this format, without fields yet.
    pub fn new(format: u8) -> Self {
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_u8(format);
        Self(bytes)
    }

    /// Appends a number.
    pub fn u64(mut self, number: u16, value: u64) -> Self {
        self.head(number, varint_len(value));
        put_varint(&mut self.0, value);
        self
    }

    /// Appends a large number, such as an id, in 16 bytes.
    pub fn u128(self, number: u16, value: u128) -> Self {
        self.bytes(number, &value.to_be_bytes())
    }

    /// Appends bytes.
    pub fn bytes(mut self, number: u16, value: &[u8]) -> Self {
        self.head(number, value.len());
        self.0.put_slice(value);
        self
    }

    /// Appends text.
    pub fn text(self, number: u16, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    /// Appends a field that holds fields, written by `write`.
    pub fn nested(self, number: u16, write: impl FnOnce(Self) -> Self) -> Self {
        let inner = write(Self(BytesMut::new()));
        self.bytes(number, &inner.0)
    }

    /// Appends a name and its value.
    pub fn pair(self, number: u16, name: &str, value: &str) -> Self {
        self.nested(number, |w| w.text(1, name).text(2, value))
    }

    /// Writes back what a reader did not know.
    pub fn unknown(mut self, unknown: &Unknown) -> Self {
        self.0.put_slice(&unknown.0);
        self
    }

    /// The finished value.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }

    fn head(&mut self, number: u16, len: usize) {
        self.0.reserve(len + 13);
        put_varint(&mut self.0, number.into());
        put_varint(&mut self.0, len as u64);
    }
}

/// Reads a value field by field, in the order of writing.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
    depth: usize,
}

impl Reader {
    /// Reads `value`, which must have the format `known`.
    pub fn new(value: &Bytes, known: u8) -> Result<Self, Error> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::TooLarge { bytes: value.len() });
        }
        match value.first() {
            Some(found) if *found == known => Ok(Self {
                bytes: value.clone(),
                at: 1,
                depth: 0,
            }),
            Some(found) => Err(Error::Format { found: *found, known }),
            None => Err(Error::Cut {
                what: "the format byte",
                at: 0,
            }),
        }
    }

    /// The next field; `None` at the end. (Not `Iterator`: an error must end the reading, and `?` reads better here.)
    #[allow(
        clippy::should_implement_trait,
        reason = "a fallible cursor, see the doc comment"
    )]
    pub fn next(&mut self) -> Result<Option<Field>, Error> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let at = self.at;
        let number = u16::try_from(self.varint("a field's number")?).map_err(|_| Error::Malformed {
            expected: "a field's number up to 65535",
            at,
        })?;
        let len = self.varint("a field's length")?;
        let cut = Error::Cut {
            what: "a field",
            at: self.at,
        };
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| self.at.checked_add(len))
            .filter(|end| *end <= self.bytes.len())
            .ok_or(cut)?;
        let bytes = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(Some(Field {
            number,
            bytes,
            depth: self.depth,
        }))
    }

    fn varint(&mut self, what: &'static str) -> Result<u64, Error> {
        let (value, used) = take_varint(self.bytes.get(self.at..).unwrap_or_default(), what, self.at)?;
        self.at += used;
        Ok(value)
    }
}

/// One field, not interpreted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    number: u16,
    bytes: Bytes,
    depth: usize,
}

impl Field {
    /// The field's number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The field as a number.
    pub fn u64(&self) -> Result<u64, Error> {
        let (value, used) = take_varint(&self.bytes, "a number", 0)?;
        if used == self.bytes.len() {
            return Ok(value);
        }
        Err(Error::Malformed {
            expected: "the end of a number",
            at: used,
        })
    }

    /// The field as a number that must fit 32 bits.
    pub fn u32(&self) -> Result<u32, Error> {
        u32::try_from(self.u64()?).map_err(|_| Error::Malformed {
            expected: "a number below 2^32",
            at: 0,
        })
    }

    /// The field as a large number.
    pub fn u128(&self) -> Result<u128, Error> {
        let bytes = <[u8; 16]>::try_from(self.bytes.as_ref()).map_err(|_| Error::Malformed {
            expected: "16 bytes",
            at: 0,
        })?;
        Ok(u128::from_be_bytes(bytes))
    }

    /// The field as bytes, shared with the value.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The field as text.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.bytes).map_err(|error| Error::Malformed {
            expected: "UTF-8",
            at: error.valid_up_to(),
        })
    }

    /// The field as a name and its value, as [`Writer::pair`] writes them.
    pub fn pair(&self) -> Result<(String, String), Error> {
        let (mut name, mut value) = (String::new(), String::new());
        let mut fields = self.nested()?;
        while let Some(field) = fields.next()? {
            match field.number() {
                1 => field.text()?.clone_into(&mut name),
                2 => field.text()?.clone_into(&mut value),
                _ => {}
            }
        }
        Ok((name, value))
    }

    /// The field as fields.
    pub fn nested(&self) -> Result<Reader, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        Ok(Reader {
            bytes: self.bytes.clone(),
            at: 0,
            depth: self.depth + 1,
        })
    }
}

/// Fields that a reader did not know, to be written back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unknown(BytesMut);

impl Unknown {
    /// Keeps a field.
    pub fn keep(&mut self, field: &Field) {
        put_varint(&mut self.0, field.number.into());
        put_varint(&mut self.0, field.bytes.len() as u64);
        self.0.put_slice(&field.bytes);
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// Reads a varint of at most 64 bits; gives the value and how many bytes it took. Longer spellings than needed are refused,
/// so that equal values are equal bytes.
fn take_varint(bytes: &[u8], what: &'static str, at: usize) -> Result<(u64, usize), Error> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            break;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                break;
            }
            return Ok((value, index + 1));
        }
    }
    if bytes.len() < 10 && bytes.iter().all(|byte| byte & 0x80 != 0) {
        return Err(Error::Cut {
            what,
            at: at + bytes.len(),
        });
    }
    Err(Error::Malformed {
        expected: "a number of at most 64 bits in its shortest form",
        at,
    })
}
