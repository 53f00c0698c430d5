//! What functions meet on the services' listener inside their sandbox, and the credentials that SDKs insist on.

use std::sync::Arc;

use aloft_aws::Aws;
use aloft_call::Caller;
use aloft_http::Handler;
use aloft_instance::process::{Credentials, Services};

use crate::sessions::Sessions;

/// The services for functions.
pub(crate) struct Inside {
    aws: Aws,
    sessions: Arc<Sessions>,
}

impl Inside {
    pub(crate) fn new(aws: Aws, sessions: Arc<Sessions>) -> Self {
        Self { aws, sessions }
    }
}

impl Services for Inside {
    fn handler(&self, caller: Caller) -> Arc<dyn Handler> {
        self.aws.inside(caller)
    }

    fn credentials(&self, caller: &Caller) -> Credentials {
        self.sessions.credentials(caller)
    }
}
