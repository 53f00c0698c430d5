//! Who holds access keys, where a node has several accounts.

use std::sync::Arc;

use aloft_api::{Asker, Verify};
use aloft_aws::{Holder, Keys, Signatures};
use aloft_base::Tenant;
use aloft_call::{Principal, Qualifier};
use aloft_function::Load;
use aloft_tenant::{Owner, Tenants};
use async_trait::async_trait;
use http::request::Parts;

use crate::sessions::Sessions;

/// Accounts' and administrators' keys, and the session credentials of instances.
pub(crate) struct Ring {
    pub(crate) tenants: Tenants,
    pub(crate) sessions: Arc<Sessions>,
    /// For what a function may now, whatever it might when its credentials were given.
    pub(crate) load: Arc<dyn Load>,
}

#[async_trait]
impl Keys for Ring {
    async fn holder(&self, id: &str, token: Option<&str>) -> Option<Holder> {
        if let Some(token) = token {
            let (function, secret) = self.sessions.find(id, token)?;
            let version = self.load.load(&function, &Qualifier::Latest).await.ok()?;
            return Some(Holder {
                tenant: function.tenant,
                principal: Principal::Function {
                    name: function.name,
                    grants: version.grants.clone(),
                },
                secret: secret.into(),
            });
        }
        let key = self.tenants.key(id)?;
        let secret = self.tenants.secret(&key).await;
        let secret =
            secret.inspect_err(|error| tracing::error!(key = id, %error, "an access key's secret is lost"));
        let secret = secret.ok()?;
        let (tenant, principal) = match &key.owner {
            Owner::Tenant(tenant) => (tenant.clone(), Principal::Owner { key: id.into() }),
            Owner::Administrator => (Tenant::local(), Principal::Administrator { key: id.into() }),
        };
        Some(Holder {
            tenant,
            principal,
            secret: std::str::from_utf8(secret.expose()).ok()?.into(),
        })
    }
}

/// Signatures of requests to the platform's own API.
pub(crate) struct ToPlatform(pub(crate) Signatures);

#[async_trait]
impl Verify for ToPlatform {
    async fn check_head(&self, head: &Parts) -> Result<(), String> {
        self.0.check_signed_head(head).await
    }

    async fn asker(&self, head: &Parts, body: &[u8]) -> Result<Asker, String> {
        match self.0.signed_by(head, body).await? {
            (_, Principal::Administrator { .. }) => Ok(Asker::Administrator),
            (tenant, Principal::Owner { .. }) => Ok(Asker::Account(tenant)),
            (_, Principal::Function { .. } | Principal::Anonymous) => {
                Err("functions do not ask the platform: sign with a key of the account".to_owned())
            }
        }
    }
}
