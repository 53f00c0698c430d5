//! The canonical form of a request: the same bytes for the client that signs and the server that checks.

use http::request::Parts;
use percent_encoding::percent_decode_str;

/// The canonical request of everything but S3: the path is normalised and encoded once more than it arrived.
pub(crate) fn canonical_request(request: &Parts, signed: &[String], payload_hash: &str) -> Vec<u8> {
    let mut to = Vec::with_capacity(512);
    to.extend_from_slice(request.method.as_str().as_bytes());
    to.push(b'\n');
    append_path(&mut to, request.uri.path());
    to.push(b'\n');
    append_query(&mut to, request.uri.query().unwrap_or(""));
    to.push(b'\n');
    for name in signed {
        append_header(&mut to, request, name);
    }
    to.push(b'\n');
    to.extend_from_slice(signed.join(";").as_bytes());
    to.push(b'\n');
    to.extend_from_slice(payload_hash.as_bytes());
    to
}

/// The names of the signed headers in canonical form.
pub(crate) fn signed_names(given: &str) -> Vec<String> {
    let mut names: Vec<String> = given
        .split(';')
        .filter(|name| !name.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// RFC 3986, section 5.2.4, and empty segments dropped.
fn append_path(to: &mut Vec<u8>, path: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    for segment in &segments {
        to.push(b'/');
        append_encoded(to, segment.as_bytes());
    }
    if segments.is_empty() || is_folder {
        to.push(b'/');
    }
}

/// Pairs sorted by encoded name, then value.
fn append_query(to: &mut Vec<u8>, query: &str) {
    let encoded = |text: &str| {
        let mut bytes = Vec::with_capacity(text.len());
        append_encoded(&mut bytes, &percent_decode_str(text).collect::<Vec<u8>>());
        bytes
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        // A signature in the query cannot sign itself.
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            to.push(b'&');
        }
        to.extend_from_slice(name);
        to.push(b'=');
        to.extend_from_slice(value);
    }
}

/// All values in the order in which they came, divided by commas, each trimmed and with its runs of spaces made one.
fn append_header(to: &mut Vec<u8>, request: &Parts, name: &str) {
    to.extend_from_slice(name.as_bytes());
    to.push(b':');
    for (at, value) in request.headers.get_all(name).iter().enumerate() {
        if at > 0 {
            to.push(b',');
        }
        let words = value
            .as_bytes()
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        for (at, word) in words.enumerate() {
            if at > 0 {
                to.push(b' ');
            }
            to.extend_from_slice(word);
        }
    }
    to.push(b'\n');
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn append_encoded(to: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            to.push(*byte);
        } else {
            to.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
