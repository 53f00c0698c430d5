//! Message authentication and how digests are written. The platform signs with one construction, HMAC-SHA256 (RFC 2104, FIPS 198-1),
//! and two floors need it: requests on the AWS wire, and the credentials that instances get.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;

/// The HMAC-SHA256 of a message under a key.
#[derive(Clone)]
pub struct Mac(Hmac<Sha256>);

impl Mac {
    /// The code of a message. A key may have any length.
    #[allow(
        clippy::expect_used,
        reason = "HMAC takes keys of any length (RFC 2104, section 3)"
    )]
    pub fn of(key: &[u8], message: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        mac.update(message);
        Self(mac)
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }

    /// Whether it is this one. Takes the same time wherever the first difference is.
    pub fn is(self, claimed: &[u8]) -> bool {
        self.0.verify_slice(claimed).is_ok()
    }
}

/// Nothing that a log could give away.
impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac")
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|n| char::from_digit(n.into(), 16).unwrap_or('0'))
        .collect()
}

/// The bytes that hexadecimal digits of either case stand for, if they are that.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_code_of_rfc_4231() {
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let mac = Mac::of(key, message);
            let bytes = mac.clone().bytes();
            assert_eq!(hex(&bytes), expected);
            assert!(mac.clone().is(&bytes));
            let mut other = bytes;
            other[31] ^= 1;
            assert!(!mac.clone().is(&other) && !mac.clone().is(&bytes[..31]) && !mac.is(b""));
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        assert_eq!(format!("{:?}", Mac::of(b"key", b"message")), "Mac");
        assert_eq!(hex(&[0, 0x9f, 0xff]), "009fff");
        assert_eq!(unhex("009fFF").unwrap(), [0, 0x9f, 0xff]);
        for none in ["0", "0g", "+1", "0x", "é"] {
            assert!(unhex(none).is_none(), "{none}");
        }
    }
}
