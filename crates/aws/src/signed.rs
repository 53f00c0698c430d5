//! Who has signed a request that is for a function: one at a function URL that wants signatures.

use std::sync::Arc;

use aloft_base::Clock;
use aloft_call::Principal;
use http::header::ORIGIN;
use http::request::Parts;

use crate::service::Service;
use crate::sigv4::Claim;
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

    fn check(&self, head: &Parts, body: &[u8], is_invited: bool) -> Result<Principal, Error> {
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
        match &self.trust {
            Trust::Loopback if head.headers.contains_key(ORIGIN) && !is_invited => {
                return Err(Error::WebPage);
            }
            Trust::Loopback => {}
            Trust::Keys(keys) => keys
                .check_head(claim, head, self.clock.now())?
                .check(head, body)?,
        }
        Ok(principal)
    }
}
