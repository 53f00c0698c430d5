//! How items stand in the store: fields of the codec, whose numbers are the types. A name (field 1) is followed by its
//! value; a list's elements follow each other. So a level of a document is one level of the codec, and 32 fit its bound.
//!
//! | field | value |
//! |---|---|
//! | 1 | the name of the next value |
//! | 2 S, 3 N, 4 B, 5 BOOL, 6 NULL | the scalar |
//! | 7 M, 8 L, 9 SS, 10 NS, 11 BS | the members, as fields |
//! | from 12 on | none of ours: what a newer release keeps beside the attributes of a row, and a write of ours keeps too |
//!
//! A number is one byte of sign (bit 7) and last digit's power plus 32 (1 to 63, or 0 with two bytes of it behind), then the
//! digits as a big-endian number without leading zeros: three digits take two bytes.

use aloft_codec::{Field, Reader, Unknown, Writer};
use aloft_item::{Item, Map, Number, Value};
use bytes::Bytes;

type Result<T> = std::result::Result<T, aloft_codec::Error>;

/// The format of a row.
pub(crate) const FORMAT: u8 = 1;

const NAME: u16 = 1;
/// The first number that is no type of a value.
const FIRST_UNKNOWN: u16 = 12;

/// A row's value in the store.
pub(crate) fn write_item(item: &Item) -> Bytes {
    write_map(Writer::new(FORMAT), &item.0).finish()
}

/// A row's value in the store, in place of one that held what a newer release wrote.
pub(crate) fn write_row(item: &Item, unknown: &Unknown) -> Bytes {
    write_map(Writer::new(FORMAT), &item.0).unknown(unknown).finish()
}

/// The row of a stored value.
pub(crate) fn read_item(value: &Bytes) -> Result<Item> {
    Ok(read_row(value)?.0)
}

/// The row of a stored value, and what it holds beside its attributes, to be written back.
pub(crate) fn read_row(value: &Bytes) -> Result<(Item, Unknown)> {
    let (mut fields, mut map, mut unknown) = (Reader::new(value, FORMAT)?, Map::new(), Unknown::default());
    while let Some(field) = fields.next()? {
        if field.number() < FIRST_UNKNOWN {
            let (name, value) = read_pair(&field, &mut fields)?;
            map.insert(name, value);
        } else {
            unknown.keep(&field);
        }
    }
    Ok((Item(map), unknown))
}

fn write_map(writer: Writer, map: &Map) -> Writer {
    map.iter().fold(writer, |writer, (name, value)| {
        write_value(writer.text(NAME, name), value)
    })
}

fn write_value(writer: Writer, value: &Value) -> Writer {
    match value {
        Value::S(text) => writer.text(2, text),
        Value::N(number) => write_number(writer, 3, number),
        Value::B(bytes) => writer.bytes(4, bytes),
        Value::Bool(value) => writer.u64(5, (*value).into()),
        Value::Null => writer.bytes(6, &[]),
        Value::M(map) => writer.nested(7, |w| write_map(w, map)),
        Value::L(list) => writer.nested(8, |w| list.iter().fold(w, write_value)),
        Value::Ss(set) => writer.nested(9, |w| set.iter().fold(w, |w, text| w.text(2, text))),
        Value::Ns(set) => writer.nested(10, |w| set.iter().fold(w, |w, number| write_number(w, 3, number))),
        Value::Bs(set) => writer.nested(11, |w| set.iter().fold(w, |w, bytes| w.bytes(4, bytes))),
    }
}

fn write_number(writer: Writer, field: u16, number: &Number) -> Writer {
    let (negative, scale, digits) = number.to_parts();
    let sign = if negative { 0x80 } else { 0 };
    let mut bytes = Vec::with_capacity(19);
    match u8::try_from(scale + 32) {
        Ok(small @ 1..=63) => bytes.push(sign | small),
        _ => {
            bytes.push(sign);
            bytes.extend(scale.to_be_bytes());
        }
    }
    bytes.extend(digits.to_be_bytes().into_iter().skip_while(|byte| *byte == 0));
    writer.bytes(field, &bytes)
}

fn read_map(mut fields: Reader) -> Result<Map> {
    let mut map = Map::new();
    while let Some(name) = fields.next()? {
        let (name, value) = read_pair(&name, &mut fields)?;
        map.insert(name, value);
    }
    Ok(map)
}

fn read_pair(name: &Field, fields: &mut Reader) -> Result<(String, Value)> {
    match (name.number(), fields.next()?) {
        (NAME, Some(value)) => Ok((name.text()?.to_owned(), read_value(&value)?)),
        _ => Err(malformed("a name and its value")),
    }
}

fn read_value(field: &Field) -> Result<Value> {
    Ok(match field.number() {
        2 => Value::S(field.text()?.to_owned()),
        3 => Value::N(read_number(field)?),
        4 => Value::B(field.bytes()),
        5 => Value::Bool(field.u64()? != 0),
        6 => Value::Null,
        7 => Value::M(read_map(field.nested()?)?),
        8 => Value::L(read_all(field, read_value)?),
        9 => Value::Ss(read_all(field, |field| Ok(field.text()?.to_owned()))?),
        10 => Value::Ns(read_all(field, read_number)?),
        11 => Value::Bs(read_all(field, |field| Ok(field.bytes()))?),
        _ => return Err(malformed("a value's type, 2 to 11")),
    })
}

fn read_all<T, C: FromIterator<T>>(field: &Field, read: impl Fn(&Field) -> Result<T>) -> Result<C> {
    let mut fields = field.nested()?;
    std::iter::from_fn(|| fields.next().transpose())
        .map(|field| read(&field?))
        .collect()
}

fn read_number(field: &Field) -> Result<Number> {
    let read = || {
        let bytes = field.bytes();
        let (head, mut rest) = bytes.split_first()?;
        let scale = match head & 0x7f {
            0 => {
                let (scale, digits) = rest.split_first_chunk::<2>()?;
                rest = digits;
                i16::from_be_bytes(*scale)
            }
            small => i16::from(small) - 32,
        };
        if rest.len() > 16 {
            return None;
        }
        let digits = rest.iter().fold(0u128, |n, byte| (n << 8) | u128::from(*byte));
        Number::from_parts(head & 0x80 != 0, scale, digits).ok()
    };
    read().ok_or_else(|| malformed("a number"))
}

fn malformed(expected: &'static str) -> aloft_codec::Error {
    aloft_codec::Error::Malformed { expected, at: 0 }
}
