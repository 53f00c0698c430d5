//! A request's path, in segments.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path's segments, percent-decoded; `/` has none, and a trailing slash makes an empty last one. `None` when an
/// encoding is broken or does not give UTF-8.
pub(crate) fn segments(path: &str) -> Option<Vec<Cow<'_, str>>> {
    match path.strip_prefix('/')? {
        "" => Some(Vec::new()),
        inner => inner.split('/').map(decode).collect(),
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    // The library leaves a broken encoding as it is; here it is a mistake of the client's.
    let is_hex = |digit: Option<&u8>| digit.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let is_valid = |at: usize| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2));
    if !text.match_indices('%').all(|(at, _)| is_valid(at)) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_first_and_decoded_then() {
        let check = |path, expected: Option<&[&str]>| {
            let found = segments(path);
            assert_eq!(
                found.as_deref(),
                expected
                    .map(|e| e.iter().map(|s| Cow::from(*s)).collect::<Vec<_>>())
                    .as_deref(),
                "{path}"
            );
        };
        check("/", Some(&[]));
        check("/a/b", Some(&["a", "b"]));
        check("/a/", Some(&["a", ""]));
        check("//a", Some(&["", "a"]));
        check("/a%2Fb/%c3%A4%20+", Some(&["a/b", "ä +"]));
        check("/%25zz", Some(&["%zz"]));
        for bad in ["*", "", "/%", "/%2", "/%zz", "/a%4", "/%ff", "/ok/%c3%28", "/%-1"] {
            check(bad, None);
        }
    }
}
