//! The cipher: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, RFC 8439) with nonces drawn at random.
//!
//! Its nonces have 192 bits, so that a key may seal more than the platform ever will without two nonces meeting; AES-GCM's have 96,
//! which allows 2³² messages a key (NIST SP 800-38D, section 8.3) and would need a count of them that survives crashes and is shared
//! by nodes. It takes the same time on every machine, where AES without the processor's help is slow or leaks. For values of a few KiB
//! that are read when an instance starts, the speed of AES-NI would not be noticed.

use aloft_base::Chance;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::{Error, MAX_BYTES, Secret};

pub(crate) const KEY: usize = 32;
const NONCE: usize = 24;
/// The form of what is sealed: this byte, the nonce, and the ciphertext with its tag.
const FORM: u8 = 1;

/// A key, ready to seal and unseal. It is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// From bytes that were unsealed; none if it is no key.
    pub(crate) fn from_secret(key: &Secret) -> Option<Self> {
        let key = Zeroizing::new(<[u8; KEY]>::try_from(key.expose()).ok()?);
        Some(Self::new(&key))
    }

    /// Seals bytes, bound to `about`.
    pub(crate) fn seal(&self, about: &[u8], plain: &[u8], chance: &dyn Chance) -> Result<Bytes, Error> {
        let too_large = || Error::TooLarge { bytes: plain.len() };
        if plain.len() > MAX_BYTES {
            return Err(too_large());
        }
        let mut nonce = [0; NONCE];
        chance.fill(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: about,
        };
        // The cipher's only failure is a message of more than 256 GiB.
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| too_large())?;
        Ok([&[FORM][..], &nonce, &sealed].concat().into())
    }

    /// The bytes; none if anything of them or of `about` is not as it was sealed, or the key is another.
    pub(crate) fn unseal(&self, about: &[u8], sealed: &[u8]) -> Option<Secret> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[FORM])?.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: ciphertext,
            aad: about,
        };
        let nonce = XNonce::from(<[u8; NONCE]>::try_from(nonce).ok()?);
        self.0.decrypt(&nonce, payload).ok().map(Secret::new)
    }
}

/// Draws a key.
pub(crate) fn draw(chance: &dyn Chance) -> Zeroizing<[u8; KEY]> {
    let mut key = Zeroizing::new([0; KEY]);
    chance.fill(&mut *key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::{SeededChance, hex, unhex};

    /// The example of draft-irtf-cfrg-xchacha-03, appendix A.3.1: whoever else speaks this cipher reads what we write.
    #[test]
    fn it_is_the_cipher_of_the_draft() {
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let about = unhex("50515253c0c1c2c3c4c5c6c7").unwrap();
        let plain = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen \
             would be it.";
        let sealed = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
             ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c9763\
             7da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";
        let cipher = Cipher::from_secret(&Secret::new(key)).unwrap();
        let mut ours = vec![FORM];
        ours.extend(nonce);
        ours.extend(unhex(sealed).unwrap());
        assert_eq!(cipher.unseal(&about, &ours).unwrap().expose(), plain.as_bytes());
    }

    #[test]
    fn any_other_bit_is_refused() {
        let chance = SeededChance::new(3);
        let cipher = Cipher::new(&draw(&chance));
        let sealed = cipher.seal(b"about", b"plain", &chance).unwrap();
        assert_eq!(sealed.len(), b"plain".len() + 41, "{}", hex(&sealed));
        assert_eq!(cipher.unseal(b"about", &sealed).unwrap().expose(), b"plain");
        for bit in 0..sealed.len() * 8 {
            let mut other = sealed.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(cipher.unseal(b"about", &other).is_none(), "bit {bit}");
        }
        for end in 0..sealed.len() {
            assert!(cipher.unseal(b"about", &sealed[..end]).is_none(), "cut at {end}");
        }
        assert!(cipher.unseal(b"abouT", &sealed).is_none());
        assert!(
            Cipher::new(&draw(&chance)).unseal(b"about", &sealed).is_none(),
            "another key"
        );
        assert_ne!(
            sealed,
            cipher.seal(b"about", b"plain", &chance).unwrap(),
            "a new nonce"
        );
    }
}
