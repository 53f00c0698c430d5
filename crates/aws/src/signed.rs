//! Who has signed a request that is for a function: one at a function URL that wants signatures.

use std::sync::Arc;

use aloft_base::Clock;
use aloft_call::Principal;
use http::header::ORIGIN;
use http::request::Parts;

use crate::service::Service;
use crate::sigv4::{Claim, Pending};
use crate::{Error, Trust};

/// Tells who has signed requests that are for functions.
pub struct Signatures {
    trust: Trust,
    clock: Arc<dyn Clock>,
}

impl Signatures {
    /// Those that are believed by `trust`.
    pub fn new(trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self { trust, clock }
    }

    /// Who has signed a request for Lambda, given its head as it came, if somebody has. Where any key is believed, that of a web page is
    /// only when it `is_invited`.
    pub fn signer(&self, head: &Parts, body: &[u8], is_invited: bool) -> Option<Principal> {
        let signer = self.check(head, body, is_invited);
        signer
            .inspect_err(
                |error| tracing::debug!(%error, "a request for a function has no signature that is right"),
            )
            .ok()
    }

    /// Whether a request with this head can be signed: all but the signature itself, for which the body is needed.
    pub fn can_be_signed(&self, head: &Parts, is_invited: bool) -> bool {
        let checked = self.check_head(head, is_invited);
        checked
            .inspect_err(|error| tracing::debug!(%error, "a request for a function cannot be signed"))
            .is_ok()
    }

    fn check(&self, head: &Parts, body: &[u8], is_invited: bool) -> Result<Principal, Error> {
        let (principal, pending) = self.check_head(head, is_invited)?;
        if let Some(pending) = pending {
            pending.check(head, body)?;
        }
        Ok(principal)
    }

    /// Who is said to have signed, and what is to be checked with the body.
    fn check_head<'a>(
        &'a self,
        head: &'a Parts,
        is_invited: bool,
    ) -> Result<(Principal, Option<Pending<'a>>), Error> {
        let claim = Claim::read(head)?;
        if claim.scope.service != Service::Lambda.name() {
            let service: String = claim.scope.service.chars().take(64).collect();
            return Err(Error::InvalidSignature(format!(
                "Credential should be scoped to correct service: 'lambda', not '{service}'."
            )));
        }
        claim.check_terminator()?;
        let principal = Principal::Owner {
            key: claim.key.into(),
        };
        let pending = match &self.trust {
            Trust::Loopback if head.headers.contains_key(ORIGIN) && !is_invited => {
                return Err(Error::WebPage);
            }
            Trust::Loopback => None,
            Trust::Keys(keys) => Some(keys.check_head(claim, head, self.clock.now())?),
        };
        Ok((principal, pending))
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{Timestamp, TokioClock};

    use super::*;

    #[test]
    fn a_head_tells_whether_a_request_can_be_signed() {
        // 2015-08-30T12:36:00Z
        let clock = Arc::new(TokioClock::new(Timestamp::from_millis(1_440_938_160_000)));
        let keys = [("AKIDEXAMPLE".to_owned(), "secret".to_owned())];
        let signatures = |trust| Signatures::new(trust, clock.clone());
        let keyed = signatures(Trust::Keys(keys.into_iter().collect()));
        let any = signatures(Trust::Loopback);
        let head = |authorization: Option<&str>| {
            let mut request = http::Request::post("/_url/x/")
                .header("host", "a")
                .header("x-amz-date", "20150830T123600Z");
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            request.body(()).unwrap().into_parts().0
        };
        let claimed = |key: &str, service: &str| {
            head(Some(&format!(
                "AWS4-HMAC-SHA256 Credential={key}/20150830/local/{service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"
            )))
        };
        for (head, by_keys, by_any) in [
            (head(None), false, false),
            (head(Some("Bearer x")), false, false),
            (claimed("AKIDEXAMPLE", "lambda"), true, true),
            (claimed("AKIDEXAMPLE", "s3"), false, false),
            (claimed("AKIDOTHER", "lambda"), false, true),
        ] {
            assert_eq!(keyed.can_be_signed(&head, true), by_keys, "{head:?}");
            assert_eq!(any.can_be_signed(&head, true), by_any, "{head:?}");
            assert_eq!(keyed.signer(&head, b"", true), None, "none of them is signed");
        }
    }
}
