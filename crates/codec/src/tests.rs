//! The codec's laws: keys sort as their values do and read back; values read back, keep what is unknown, and no bytes
//! whatever make a reader panic.

use bytes::Bytes;
use proptest::prelude::*;

use crate::{
    Error, Field, KeyReader, KeyWriter, MAX_DEPTH, MAX_VALUE_BYTES, Reader, Unknown, Writer, prefix_end,
};

type Tuple = (u64, Vec<u8>, String, u16, Vec<u8>, u128);

fn encode(tuple: &Tuple) -> Bytes {
    let (a, b, c, d, e, f) = tuple;
    KeyWriter::new()
        .u64(*a)
        .bytes(b)
        .text(c)
        .u16(*d)
        .bytes(e)
        .u128(*f)
        .finish()
}

/// Short strings over few bytes, the dangerous ones among them, so that shared prefixes are common.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0x61, 0xfe, 0xff]), 0..5)
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let text = prop::collection::vec(
        prop::sample::select(vec!['\0', '\u{1}', 'a', 'é', '\u{10ffff}']),
        0..4,
    );
    (0u64..3, tricky(), text, 0u16..3, tricky(), 0u128..3)
        .prop_map(|(a, b, c, d, e, f)| (a, b, c.into_iter().collect(), d, e, f))
}

/// Reads everything there is, nested fields included, as every interpretation.
fn devour(mut reader: Reader) -> Result<usize, Error> {
    let mut fields = 0;
    while let Some(field) = reader.next()? {
        fields += 1;
        let _ = (
            field.u64(),
            field.u32(),
            field.u128(),
            field.text().map(str::len),
            field.bytes(),
        );
        if let Ok(inner) = field.nested() {
            fields += devour(inner).unwrap_or(0);
        }
    }
    Ok(fields)
}

proptest! {
    #[test]
    fn keys_sort_as_their_values_and_read_back(a in tuple(), b in tuple()) {
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
        let key = encode(&a);
        let mut parts = KeyReader::new(&key);
        let read = (
            parts.u64().unwrap(), parts.bytes().unwrap(), parts.text().unwrap(),
            parts.u16().unwrap(), parts.bytes().unwrap(), parts.u128().unwrap(),
        );
        parts.end().unwrap();
        prop_assert_eq!(read, a);
    }

    #[test]
    fn keys_of_random_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut parts = KeyReader::new(&bytes);
        let _ = (parts.bytes(), parts.u32(), parts.text(), parts.u8(), parts.u128(), parts.end());
        let mut parts = KeyReader::new(&bytes);
        if let Ok(read) = parts.bytes() {
            let again = KeyWriter::new().bytes(&read).raw(parts.rest()).finish();
            prop_assert_eq!(again.as_ref(), bytes.as_slice(), "one value has one encoding");
        }
    }

    #[test]
    fn the_end_of_a_prefix_parts_what_starts_with_it(prefix in tricky(), key in tricky()) {
        let inside = key.starts_with(&prefix);
        let below_end = prefix_end(&prefix).is_none_or(|end| key.as_slice() < end.as_ref());
        prop_assert_eq!(inside, key >= prefix && below_end);
    }

    #[test]
    fn values_read_back(number in any::<u16>(), n in any::<u64>(), big in any::<u128>(), text in ".{0,9}", raw in tricky()) {
        let value = Writer::new(3)
            .u64(number, n)
            .u128(2, big)
            .nested(3, |inner| inner.text(1, &text).nested(2, |deeper| deeper.bytes(9, &raw)))
            .finish();
        let mut reader = Reader::new(&value, 3).unwrap();
        let first = reader.next().unwrap().unwrap();
        prop_assert_eq!((first.number(), first.u64().unwrap()), (number, n));
        prop_assert_eq!(reader.next().unwrap().unwrap().u128().unwrap(), big);
        let mut inner = reader.next().unwrap().unwrap().nested().unwrap();
        let name = inner.next().unwrap().unwrap();
        prop_assert_eq!(name.text().unwrap(), text);
        let mut deeper = inner.next().unwrap().unwrap().nested().unwrap();
        let read = deeper.next().unwrap().unwrap().bytes();
        prop_assert_eq!(read.as_ref(), raw.as_slice());
        prop_assert_eq!(reader.next().unwrap(), None);
    }

    #[test]
    fn random_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let _ = Reader::new(&Bytes::from(bytes), 1).and_then(devour);
    }

    #[test]
    fn a_cut_value_never_reads_as_a_whole_one(n in any::<u64>(), text in ".{1,20}", at in any::<prop::sample::Index>()) {
        let value = Writer::new(1).u64(1, n).text(2, &text).finish();
        let whole = fields(&value).unwrap();
        let cut = fields(&value.slice(..at.index(value.len())));
        prop_assert!(cut.is_err() || cut.unwrap().len() < whole.len());
    }
}

fn fields(value: &Bytes) -> Result<Vec<Field>, Error> {
    let mut reader = Reader::new(value, 1)?;
    let mut all = Vec::new();
    while let Some(field) = reader.next()? {
        all.push(field);
    }
    Ok(all)
}

#[test]
fn unknown_fields_are_written_back() {
    let newer = Writer::new(1)
        .u64(1, 5)
        .text(7, "from the future")
        .nested(9, |w| w.u64(1, 1))
        .finish();
    let (mut count, mut unknown) = (0, Unknown::default());
    for field in fields(&newer).unwrap() {
        match field.number() {
            1 => count = field.u64().unwrap(),
            _ => unknown.keep(&field),
        }
    }
    assert!(!unknown.is_empty());
    assert_eq!(Writer::new(1).u64(1, count).unknown(&unknown).finish(), newer);
}

#[test]
fn other_formats_and_sizes_are_refused() {
    let value = Writer::new(2).finish();
    assert_eq!(
        Reader::new(&value, 1).unwrap_err(),
        Error::Format { found: 2, known: 1 }
    );
    assert!(matches!(Reader::new(&Bytes::new(), 1), Err(Error::Cut { .. })));
    let large = Bytes::from(vec![1; MAX_VALUE_BYTES + 1]);
    assert!(matches!(Reader::new(&large, 1), Err(Error::TooLarge { .. })));
}

#[test]
fn nesting_has_a_bound() {
    let mut inner = Vec::new();
    for _ in 0..=MAX_DEPTH {
        let value = Writer::new(1).bytes(1, &inner).finish();
        inner = value[1..].to_vec();
    }
    let mut reader = Reader::new(&Writer::new(1).bytes(1, &inner).finish(), 1).unwrap();
    let mut depth = 0;
    let error = loop {
        let field = reader.next().unwrap().unwrap();
        match field.nested() {
            Ok(inner) => reader = inner,
            Err(error) => break error,
        }
        depth += 1;
    };
    assert_eq!((depth, error), (MAX_DEPTH, Error::TooDeep));
}

#[test]
fn numbers_have_one_spelling() {
    for bad in [&[1u8, 1, 2, 0x80, 0x00][..], &[1, 0x80, 0x80, 0x04, 0]] {
        let read = Reader::new(&Bytes::copy_from_slice(bad), 1)
            .and_then(|mut r| r.next()?.map(|f| f.u64()).transpose());
        assert!(read.is_err(), "{bad:?}");
    }
    let most = Writer::new(1).u64(1, u64::MAX).finish();
    assert_eq!(fields(&most).unwrap()[0].u64().unwrap(), u64::MAX);
}
