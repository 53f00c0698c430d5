//! Whether a signature is right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aloft_base::{Mac, Tenant, Timestamp, hex, unhex};
use aloft_call::Principal;
use async_trait::async_trait;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::canonical::{canonical_request, signed_names};
use super::claim::{Claim, Scope};
use super::date::{check_skew, signed_at};
use crate::Error;

/// Who holds an access key.
#[derive(Clone)]
pub struct Holder {
    /// The account.
    pub tenant: Tenant,
    /// Who, within it.
    pub principal: Principal,
    /// By which requests are signed.
    pub secret: Arc<str>,
}

/// Tells who holds access keys.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Who holds the key with this id; nothing if nobody does, or not any more. A token is the one of session credentials, which
    /// are only ever asked for with it.
    async fn holder(&self, id: &str, token: Option<&str>) -> Option<Holder>;
}

/// Keys of the account that a node has by itself, by their ids. Their secrets are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FixedKeys(BTreeMap<String, String>);

impl FromIterator<(String, String)> for FixedKeys {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl fmt::Debug for FixedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[async_trait]
impl Keys for FixedKeys {
    async fn holder(&self, id: &str, token: Option<&str>) -> Option<Holder> {
        // These keys are permanent: a token is one of somebody else.
        let secret = self.0.get(id).filter(|_| token.is_none())?;
        Some(Holder {
            tenant: Tenant::local(),
            principal: Principal::Owner { key: id.into() },
            secret: secret.as_str().into(),
        })
    }
}

/// A signature whose head is in order.
pub(crate) struct Headed<'a> {
    claim: Claim<'a>,
    signed_at: String,
    token: Option<String>,
}

/// A signature that is to be checked against the body, and whose key somebody holds.
pub(crate) struct Pending<'a> {
    claim: Claim<'a>,
    signed_at: String,
    token: Option<String>,
    pub(crate) holder: Holder,
}

/// Whether what a signature says of itself is in order, before anybody is asked for its key.
pub(crate) fn check_head<'a>(claim: Claim<'a>, request: &Parts, now: Timestamp) -> Result<Headed<'a>, Error> {
    let (time, signed_at) = signed_at(&request.headers, &claim)?;
    check_skew(time, &claim, now)?;
    let signed = signed_names(&claim.signed);
    let is_signed = |name: &str| signed.iter().any(|signed| signed == name);
    // The target decides what is done, so it must not be exchangeable; all SDKs sign every x-amz- header.
    for (name, shown) in [("host", "Host"), ("x-amz-target", "X-Amz-Target")] {
        if request.headers.contains_key(name) && !is_signed(name) {
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
    let token = match &claim.presigned {
        Some(presigned) => presigned.token.clone(),
        None => {
            let header = request.headers.get("x-amz-security-token");
            header.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned())
        }
    };
    // Session credentials leave a sandbox in what was signed for later, and in nothing else: inside, the place decides.
    if token.is_some() && claim.presigned.is_none() {
        return Err(Error::UnknownKey);
    }
    // Whoever was given a signed request may add nothing that changes what is done.
    let mut names = request.headers.keys().map(http::HeaderName::as_str);
    if let Some(name) = names.find(|name| name.starts_with("x-amz-") && !is_signed(name)) {
        return Err(Error::InvalidSignature(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization."
        )));
    }
    Ok(Headed {
        claim,
        signed_at,
        token,
    })
}

impl<'a> Headed<'a> {
    /// Asks who holds the key.
    pub(crate) async fn held(self, keys: &dyn Keys) -> Result<Pending<'a>, Error> {
        let holder = keys.holder(&self.claim.key, self.token.as_deref()).await;
        Ok(Pending {
            holder: holder.ok_or(Error::UnknownKey)?,
            claim: self.claim,
            signed_at: self.signed_at,
            token: self.token,
        })
    }
}

impl Pending<'_> {
    /// Whether the key is still somebody's: it may have been revoked while the body came.
    pub(crate) async fn check_held(&self, keys: &dyn Keys) -> Result<(), Error> {
        let holder = keys.holder(&self.claim.key, self.token.as_deref()).await;
        holder.map(drop).ok_or(Error::UnknownKey)
    }

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
        let canonical = canonical_request(request, &signed_names(&self.claim.signed), &payload_hash);
        let to_sign = string_to_sign(&self.signed_at, &self.claim.scope, &canonical);
        let key = signing_key(&self.holder.secret, &self.claim.scope);
        let signature = unhex(&self.claim.signature).unwrap_or_default();
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
    [&scope.region, &scope.service, &scope.terminator]
        .iter()
        .fold(first, |key, part| Mac::of(&key.bytes(), part.as_bytes()))
        .bytes()
}
