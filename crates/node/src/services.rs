//! What functions meet on the services' listener inside their sandbox, and the credentials that SDKs insist on.

use std::sync::Arc;

use aloft_aws::Aws;
use aloft_base::{ErrorKind, Region};
use aloft_call::Caller;
use aloft_definition::SecretReference;
use aloft_http::Handler;
use aloft_instance::process::{Credentials, NoSecret, Services};
use aloft_secret::Secrets;
use aloft_store::layout::Namespace;
use async_trait::async_trait;
use serde_json::Value as Json;

use crate::sessions::Sessions;

/// The services for functions.
pub(crate) struct Inside {
    aws: Aws,
    secrets: Secrets,
    sessions: Arc<Sessions>,
}

impl Inside {
    pub(crate) fn new(aws: Aws, secrets: Secrets, sessions: Arc<Sessions>) -> Self {
        Self {
            aws,
            secrets,
            sessions,
        }
    }
}

#[async_trait]
impl Services for Inside {
    fn handler(&self, caller: Caller) -> Arc<dyn Handler> {
        self.aws.inside(caller)
    }

    fn credentials(&self, caller: &Caller) -> Credentials {
        self.sessions.credentials(caller)
    }
    async fn secret(&self, caller: &Caller, reference: &SecretReference) -> Result<String, NoSecret> {
        let SecretReference { name, key, stage } = reference;
        let namespace = Namespace {
            tenant: caller.tenant.clone(),
            region: Region::local(),
        };
        let missing = |what: &str| NoSecret::Missing(format!("the secret \"{name}\" {what}"));
        let read = self.secrets.read(&namespace, name, None, stage.as_deref()).await;
        let read = read.map_err(|error| match error.kind() {
            ErrorKind::Missing => missing(&format!(
                "is not there, or has no version with the label {}: make it with `aws secretsmanager create-secret --name {name}`",
                stage.as_deref().unwrap_or(aloft_secret::CURRENT)
            )),
            ErrorKind::Conflict => missing("was deleted: restore it with `aws secretsmanager restore-secret`"),
            _ => {
                tracing::error!(secret = name, %error, "a secret cannot be read for a function's environment");
                NoSecret::Platform(format!("the secret \"{name}\" cannot be read: {error}"))
            }
        })?;
        let text = std::str::from_utf8(read.value.bytes.expose());
        let text = text.map_err(|_| missing("holds bytes that are no text, which no variable can have"))?;
        let value = match key {
            None => text.to_owned(),
            Some(key) => match serde_json::from_str::<Json>(text)
                .ok()
                .as_ref()
                .and_then(|json| json.get(key))
            {
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => return Err(missing(&format!("is no JSON object with the key \"{key}\""))),
            },
        };
        if value.contains('\0') {
            return Err(missing("has a zero byte, which no variable can have"));
        }
        Ok(value)
    }
}
