//! Signing a request as a client does, for our own commands: the kept crate `aws-sigv4` would bring the SDK's runtime, and all that it does
//! stands here already, for checking.

use aloft_base::{Mac, Timestamp, hex};
use http::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::canonical::canonical_request;
use super::claim::Scope;
use super::date::basic;
use super::verify::{signing_key, string_to_sign};

/// A key by which requests are signed.
#[derive(Clone)]
pub struct Signer {
    /// The key's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The service.
    pub service: &'static str,
}

impl Signer {
    /// Signs a request, of which the `Host` is there already.
    ///
    /// # Errors
    /// When the key's id has letters that no header may have.
    pub fn sign(&self, head: &mut Parts, body: &[u8], now: Timestamp) -> Result<(), InvalidHeaderValue> {
        let signed_at = basic(now);
        let payload_hash = hex(&Sha256::digest(body));
        let date = HeaderValue::from_str(&signed_at)?;
        head.headers.insert("x-amz-date", date);
        let hash = HeaderValue::from_str(&payload_hash)?;
        head.headers.insert("x-amz-content-sha256", hash);
        let signed = ["host", "x-amz-content-sha256", "x-amz-date"].map(str::to_owned);
        let scope = Scope {
            date: signed_at.get(..8).unwrap_or_default().into(),
            region: self.region.as_str().into(),
            service: self.service.into(),
            terminator: "aws4_request".into(),
        };
        let canonical = canonical_request(head, &signed, &payload_hash);
        let to_sign = string_to_sign(&signed_at, &scope, &canonical);
        let signature = Mac::of(&signing_key(&self.secret, &scope), to_sign.as_bytes());
        let claim = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={}",
            self.id,
            signed.join(";"),
            hex(&signature.bytes())
        );
        head.headers.insert(AUTHORIZATION, HeaderValue::from_str(&claim)?);
        Ok(())
    }
}
