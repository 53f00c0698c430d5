//! Which text an attribute may hold (CloudEvents 1.0.2, section 3.1 "Type System").

use std::borrow::Cow;

/// Whether CloudEvents allows the character in a string: no control characters (C0, DEL, C1) and no noncharacters.
/// Surrogates cannot occur in Rust's text.
pub(crate) fn is_allowed(c: char) -> bool {
    let code = u32::from(c);
    let is_noncharacter = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    !c.is_control() && !is_noncharacter
}

/// The text with `%` and every character that an attribute may not hold percent-encoded as UTF-8, so that decoding gives the
/// text again. A row's key can be any text; the subject of its event cannot.
///
/// ```
/// assert_eq!(aloft_event::printable("o-17 ä"), "o-17 ä");
/// assert_eq!(aloft_event::printable("50%\n"), "50%25%0A");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| is_allowed(c) && c != '%';
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_kept(c) {
            escaped.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Cow::Owned(escaped)
}

/// Whether the text is a URI reference by its characters (RFC 3986, appendix A): only reserved and unreserved ones, and `%`
/// only before two hexadecimal digits. The grammar beyond that forbids almost nothing for a relative reference.
pub(crate) fn is_uri_reference(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => {
                let mut is_hex = || bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
                is_hex() && is_hex()
            }
            other => other.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&other),
        };
        if !is_fine {
            return false;
        }
    }
    true
}
