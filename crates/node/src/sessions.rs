//! The credentials that SDKs insist on: what instances get, and what is made of it outside their sandbox.

use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, FunctionId, Mac, Timestamp, hex, unhex};
use aloft_call::{Caller, Principal};
use aloft_instance::process::Credentials;

/// How long an instance's credentials are good for outside its sandbox.
const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// Gives credentials, and knows them again. Nothing is kept: a token says what it is for, and its MAC that it was given here.
pub(crate) struct Sessions {
    clock: Arc<dyn Clock>,
    /// Signs credentials; drawn anew at each start, so that none outlives the node that gave it.
    key: [u8; 32],
}

impl Sessions {
    pub(crate) fn new(clock: Arc<dyn Clock>, chance: &dyn Chance) -> Self {
        let mut key = [0; 32];
        chance.fill(&mut key);
        Self { clock, key }
    }

    pub(crate) fn credentials(&self, caller: &Caller) -> Credentials {
        let name = match &caller.principal {
            Principal::Function { name, .. } => name.to_string(),
            Principal::Owner { key } | Principal::Administrator { key } => key.to_string(),
            Principal::Anonymous => String::new(),
        };
        let expiry = (self.clock.now() + LIFE).as_millis();
        let claim = format!("{}/{}/{name}/{expiry}", caller.tenant, caller.region);
        Credentials {
            key_id: self.key_id(&claim),
            secret: self.secret(&claim),
            token: format!("{claim}/{}", hex(&self.mac("token", &claim).bytes())),
        }
    }

    /// Whose a token is that was given with this id, and the secret that was; nothing if it was not given here, or is over.
    pub(crate) fn find(&self, id: &str, token: &str) -> Option<(FunctionId, String)> {
        let (claim, mac) = token.rsplit_once('/')?;
        if !self.mac("token", claim).is(&unhex(mac)?) || self.key_id(claim) != id {
            return None;
        }
        let mut parts = claim.split('/');
        let (tenant, _, name) = (parts.next()?, parts.next()?, parts.next()?);
        let expiry = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let function = FunctionId {
            tenant: tenant.parse().ok()?,
            name: name.parse().ok()?,
        };
        (self.clock.now() < expiry).then(|| (function, self.secret(claim)))
    }

    fn key_id(&self, claim: &str) -> String {
        let digits = hex(&self.mac("id", claim).bytes()).to_uppercase();
        format!("ASIA{}", digits.chars().take(16).collect::<String>())
    }

    fn secret(&self, claim: &str) -> String {
        hex(&self.mac("secret", claim).bytes())
    }

    /// Each part is a MAC over the claim under another label, so none tells of the others.
    fn mac(&self, label: &str, claim: &str) -> Mac {
        Mac::of(&self.key, format!("{label}/{claim}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use aloft_base::{ManualClock, Region, SeededChance, Tenant};
    use aloft_call::Grants;

    use super::*;

    fn caller() -> Caller {
        Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal: Principal::Function {
                name: "create".parse().unwrap(),
                grants: Arc::new(Grants::default()),
            },
        }
    }

    #[test]
    fn a_token_is_known_again_until_it_is_over_and_as_it_was_given() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let sessions = Sessions::new(clock.clone(), &SeededChance::new(1));
        let Credentials {
            key_id,
            secret,
            token,
        } = sessions.credentials(&caller());
        let (function, found) = sessions.find(&key_id, &token).unwrap();
        assert_eq!((function.name.as_str(), found), ("create", secret));
        let others = [
            token.replace("create", "delete"),
            token.replace("000000000000", "111111111111"),
            token.replace("/44", "/94"),
            String::new(),
            "////".to_owned(),
        ];
        for other in others {
            assert!(
                other != token && sessions.find(&key_id, &other).is_none(),
                "{other}"
            );
        }
        assert!(sessions.find("ASIA0000000000000000", &token).is_none());
        let other = Sessions::new(clock.clone(), &SeededChance::new(2));
        assert!(
            other.find(&key_id, &token).is_none(),
            "another start knows it not"
        );
        clock.advance(LIFE);
        assert!(sessions.find(&key_id, &token).is_none());
    }
}
