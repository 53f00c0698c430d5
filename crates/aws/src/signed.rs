//! Who has signed a request that is for a function: one at a function URL that wants signatures.

use std::sync::Arc;

use aloft_base::{Clock, Tenant};
use aloft_call::Principal;
use http::header::ORIGIN;
use http::request::Parts;

use crate::service::Service;
use crate::sigv4::{Claim, Pending, check_head};
use crate::{Error, Trust};

/// Tells who has signed requests that are for functions.
pub struct Signatures {
    trust: Trust,
    clock: Arc<dyn Clock>,
    /// The service that they are for.
    service: &'static str,
}

impl Signatures {
    /// Those that are believed by `trust`.
    pub fn new(trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self {
            trust,
            clock,
            service: Service::Lambda.name(),
        }
    }

    /// Those of requests to the platform's own API, which are signed for the service `aloft`.
    pub fn of_platform(trust: Trust, clock: Arc<dyn Clock>) -> Self {
        Self {
            service: "aloft",
            ..Self::new(trust, clock)
        }
    }

    /// Whether a request with this head can be signed by anybody.
    ///
    /// # Errors
    /// Why not, for the client.
    pub async fn check_signed_head(&self, head: &Parts) -> Result<(), String> {
        let checked = self.check_head(head, false).await;
        checked.map(drop).map_err(|error| error.to_string())
    }

    /// Whoever has signed a request, in which account.
    ///
    /// # Errors
    /// Why its signature is not right, for the client.
    pub async fn signed_by(&self, head: &Parts, body: &[u8]) -> Result<(Tenant, Principal), String> {
        let signer = self.check(head, body, false).await;
        signer.map_err(|error| error.to_string())
    }

    /// Whoever has signed a request, in which account.
    pub async fn signer(&self, head: &Parts, body: &[u8], is_invited: bool) -> Option<(Tenant, Principal)> {
        let signer = self.check(head, body, is_invited).await;
        signer
            .inspect_err(
                |error| tracing::debug!(%error, "a request for a function has no signature that is right"),
            )
            .ok()
    }

    /// Whether a request with this head can be signed by anybody, so that a stranger's body is never taken in.
    pub async fn can_be_signed(&self, head: &Parts, is_invited: bool) -> bool {
        let checked = self.check_head(head, is_invited).await;
        checked
            .inspect_err(|error| tracing::debug!(%error, "a request for a function cannot be signed"))
            .is_ok()
    }

    async fn check(&self, head: &Parts, body: &[u8], is_invited: bool) -> Result<(Tenant, Principal), Error> {
        match self.check_head(head, is_invited).await? {
            Signer::Trusted(principal) => Ok((Tenant::local(), principal)),
            Signer::Pending(pending) => {
                pending.check(head, body)?;
                Ok((pending.holder.tenant, pending.holder.principal))
            }
        }
    }

    async fn check_head<'a>(&'a self, head: &'a Parts, is_invited: bool) -> Result<Signer<'a>, Error> {
        let claim = Claim::read(head)?;
        if claim.scope.service != self.service {
            let service: String = claim.scope.service.chars().take(64).collect();
            return Err(Error::InvalidSignature(format!(
                "Credential should be scoped to correct service: '{}', not '{service}'.",
                self.service
            )));
        }
        Claim::check_path(head)?;
        claim.check_terminator()?;
        match &self.trust {
            Trust::Loopback if head.headers.contains_key(ORIGIN) && !is_invited => Err(Error::WebPage),
            Trust::Loopback => Ok(Signer::Trusted(Principal::Owner {
                key: claim.key.into(),
            })),
            Trust::Keys(keys) => {
                let headed = check_head(claim, head, self.clock.now())?;
                Ok(Signer::Pending(Box::new(headed.held(&**keys).await?)))
            }
        }
    }
}

/// Who says to have signed a request.
enum Signer<'a> {
    /// Whoever it is, it is believed.
    Trusted(Principal),
    /// Its signature is to be checked.
    Pending(Box<Pending<'a>>),
}

#[cfg(test)]
mod tests {
    use aloft_base::{Timestamp, TokioClock};

    use super::*;
    use crate::FixedKeys;

    #[tokio::test]
    async fn a_head_tells_whether_a_request_can_be_signed() {
        // 2015-08-30T12:36:00Z
        let clock = Arc::new(TokioClock::new(Timestamp::from_millis(1_440_938_160_000)));
        let keys = [("AKIDEXAMPLE".to_owned(), "secret".to_owned())];
        let signatures = |trust| Signatures::new(trust, clock.clone());
        let keyed = signatures(Trust::Keys(Arc::new(FixedKeys::from_iter(keys))));
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
            assert_eq!(keyed.can_be_signed(&head, true).await, by_keys, "{head:?}");
            assert_eq!(any.can_be_signed(&head, true).await, by_any, "{head:?}");
            assert_eq!(
                keyed.signer(&head, b"", true).await,
                None,
                "none of them is signed"
            );
        }
    }
}
