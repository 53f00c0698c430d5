//! What functions meet on the services' listener inside their sandbox, and the credentials that SDKs insist on.

use std::sync::Arc;
use std::time::Duration;

use aloft_aws::Aws;
use aloft_base::{Chance, Clock, Mac, hex};
use aloft_call::{Caller, Principal};
use aloft_http::Handler;
use aloft_instance::process::{Credentials, Services};

/// How long an instance's credentials are good for outside its sandbox.
const LIFE: Duration = Duration::from_secs(12 * 3_600);

/// The services for functions.
pub(crate) struct Inside {
    aws: Aws,
    clock: Arc<dyn Clock>,
    /// Signs credentials; drawn anew at each start, so that none outlives the node that gave it.
    key: [u8; 32],
}

impl Inside {
    pub(crate) fn new(aws: Aws, clock: Arc<dyn Clock>, chance: &dyn Chance) -> Self {
        let mut key = [0; 32];
        chance.fill(&mut key);
        Self { aws, clock, key }
    }
}

impl Services for Inside {
    fn handler(&self, caller: Caller) -> Arc<dyn Handler> {
        self.aws.inside(caller)
    }

    fn credentials(&self, caller: &Caller) -> Credentials {
        let name = match &caller.principal {
            Principal::Function { name, .. } => name.to_string(),
            Principal::Owner { key } => key.to_string(),
            Principal::Anonymous => String::new(),
        };
        let expiry = (self.clock.now() + LIFE).as_millis();
        let claim = format!("{}/{}/{name}/{expiry}", caller.tenant, caller.region);
        // Each part is a MAC over the claim under another label, so none tells of the others.
        let label = |label: &str| hex(&Mac::of(&self.key, format!("{label}/{claim}").as_bytes()).bytes());
        let key_id: String = label("id").to_uppercase().chars().take(16).collect();
        Credentials {
            key_id: format!("ASIA{key_id}"),
            secret: label("secret"),
            token: format!("{claim}/{}", label("token")),
        }
    }
}
