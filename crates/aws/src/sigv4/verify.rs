//! Whether a signature is right.

use std::collections::BTreeMap;
use std::fmt;

use aloft_base::{Mac, Timestamp, hex, unhex};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::canonical::{canonical_request, signed_names};
use super::claim::{Claim, Scope};
use super::date::{check_skew, signed_at};
use crate::Error;

/// Access keys that a node knows: ids and their secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Keys {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// Secrets are never shown.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A claim of which all is checked but the signature itself, for which the body is needed.
pub(crate) struct Pending<'a> {
    claim: Claim<'a>,
    secret: &'a str,
    signed_at: String,
}

impl Keys {
    /// Checks what can be checked before the body is read, so that a stranger's body is never taken in.
    ///
    /// # Errors
    /// When the claim cannot be true.
    pub(crate) fn check_head<'a>(
        &'a self,
        claim: Claim<'a>,
        request: &Parts,
        now: Timestamp,
    ) -> Result<Pending<'a>, Error> {
        let (time, signed_at) = signed_at(&request.headers, &claim)?;
        check_skew(time, now)?;
        let signed = signed_names(claim.signed);
        // The target decides what is done, so it must not be exchangeable; all SDKs sign every x-amz- header.
        for (name, shown) in [("host", "Host"), ("x-amz-target", "X-Amz-Target")] {
            if request.headers.contains_key(name) && !signed.iter().any(|signed| signed == name) {
                return Err(Error::InvalidSignature(format!(
                    "'{shown}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        let day = signed_at.get(..8).unwrap_or_default();
        if claim.scope.date != day {
            return Err(Error::InvalidSignature(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from '{signed_at}'.",
                claim.scope.date
            )));
        }
        let secret = self.0.get(claim.key).ok_or(Error::UnknownKey)?;
        // These keys are permanent: nothing here issues session credentials, so a token is one of somebody else.
        if request.headers.contains_key("x-amz-security-token") {
            return Err(Error::UnknownKey);
        }
        Ok(Pending {
            claim,
            secret,
            signed_at,
        })
    }
}

impl Pending<'_> {
    /// Checks the signature over the whole request.
    ///
    /// # Errors
    /// When it was made over another request or with another secret.
    pub(crate) fn check(&self, request: &Parts, body: &[u8]) -> Result<(), Error> {
        let payload_hash = hex(&Sha256::digest(body));
        let stated = request
            .headers
            .get("x-amz-content-sha256")
            .map(|value| value.as_bytes());
        if stated.is_some_and(|stated| !stated.eq_ignore_ascii_case(payload_hash.as_bytes())) {
            return Err(Error::InvalidSignature(
                "The value of the x-amz-content-sha256 header is not the SHA-256 of the body.".into(),
            ));
        }
        let canonical = canonical_request(request, &signed_names(self.claim.signed), &payload_hash);
        let to_sign = string_to_sign(&self.signed_at, &self.claim.scope, &canonical);
        let key = signing_key(self.secret, &self.claim.scope);
        let signature = unhex(self.claim.signature).unwrap_or_default();
        if Mac::of(&key, to_sign.as_bytes()).is(&signature) {
            return Ok(());
        }
        Err(Error::InvalidSignature(format!(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and \
             signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have \
             been\n'{}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n",
            String::from_utf8_lossy(&canonical)
        )))
    }
}

pub(crate) fn string_to_sign(signed_at: &str, scope: &Scope<'_>, canonical: &[u8]) -> String {
    format!(
        "AWS4-HMAC-SHA256\n{signed_at}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    )
}

pub(crate) fn signing_key(secret: &str, scope: &Scope<'_>) -> [u8; 32] {
    let first = Mac::of(format!("AWS4{secret}").as_bytes(), scope.date.as_bytes());
    [scope.region, scope.service, scope.terminator]
        .iter()
        .fold(first, |key, part| Mac::of(&key.bytes(), part.as_bytes()))
        .bytes()
}
