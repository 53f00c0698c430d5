//! Accounts and their keys, for whoever runs the node.

use aloft_base::{ErrorKind, Region, Size};
use aloft_function::{Allowance, Catalogue};
use aloft_http::{BodyError, Request, Response, collect};
use aloft_log::Logs;
use aloft_store::layout::Namespace;
use aloft_tenant::{Account, Change, Owner, Tenants};
use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::error::{Error, json_response};

/// Log groups that are deleted at a time.
const GROUPS: usize = 100;
/// Bytes of a request's body.
const BODY: usize = 64 << 10;

/// What an account is made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
}

/// Whose a key is to be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    tenant: Option<String>,
    #[serde(default)]
    admin: bool,
}

/// Bounds; `null` takes one away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    #[serde(default, deserialize_with = "given")]
    functions: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    concurrency: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    storage: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    requests_per_second: Option<Option<u64>>,
}

/// What is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Answers what is asked of accounts and keys, by whoever runs the node. Nothing if it is about something else.
pub(crate) async fn answer(
    (tenants, catalogue, logs): (&Tenants, &Catalogue, &Logs),
    region: &Region,
    path: &[&str],
    request: Request,
) -> Result<Option<Response>, Error> {
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let answer = match (&method, path) {
        (&Method::GET, ["tenants"]) => {
            let items: Vec<Value> = tenants.list().iter().map(|account| describe(account)).collect();
            json!({ "items": items })
        }
        (&Method::POST, ["tenants"]) => {
            let New { name } = body(request).await?;
            describe(&*tenants.add(&name).await.map_err(failed)?)
        }
        (&Method::PUT, ["tenants", name, "quotas"]) => {
            let change = change(&body(request).await?);
            let account = tenants.set_quotas(name, change).await.map_err(failed)?;
            catalogue.allow(&account.id, allowance(&account));
            describe(&account)
        }
        (&Method::DELETE, ["tenants", name]) => {
            let account = tenants.remove(name, region).await.map_err(failed)?;
            catalogue.allow(&account.id, Allowance::default());
            forget_logs(logs, &Namespace::new(&account.id, region)).await;
            describe(&account)
        }
        (&Method::GET, ["keys"]) => {
            let owner = match query.strip_prefix("tenant=") {
                Some(name) => Some(Owner::Tenant(named(tenants, name)?.id.clone())),
                None => None,
            };
            let keys = tenants.keys(owner.as_ref());
            let items: Vec<Value> = keys
                .iter()
                .map(|key| {
                    let tenant = match &key.owner {
                        Owner::Tenant(tenant) => tenants.account(tenant).map(|account| account.name.clone()),
                        Owner::Administrator => None,
                    };
                    json!({
                        "access_key_id": key.id,
                        "tenant": tenant,
                        "admin": key.owner == Owner::Administrator,
                        "created": key.created.to_string(),
                    })
                })
                .collect();
            json!({ "items": items })
        }
        (&Method::POST, ["keys"]) => {
            let owner = match body(request).await? {
                NewKey {
                    tenant: Some(name),
                    admin: false,
                } => Owner::Tenant(named(tenants, &name)?.id.clone()),
                NewKey {
                    tenant: None,
                    admin: true,
                } => Owner::Administrator,
                _ => {
                    let message =
                        "a key is a tenant's or an administrator's: name one of \"tenant\" and \"admin\"";
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
            };
            let (key, secret) = tenants.create_key(owner).await.map_err(failed)?;
            json!({
                "access_key_id": key.id,
                "secret_access_key": String::from_utf8_lossy(secret.expose()),
            })
        }
        (&Method::DELETE, ["keys", id]) => {
            tenants.revoke(id).await.map_err(failed)?;
            json!({ "access_key_id": id, "state": "revoked" })
        }
        _ => return Ok(None),
    };
    Ok(Some(json_response(StatusCode::OK, &answer)))
}

/// Deletes the logs of an account that was removed: nobody can ask for them any more.
async fn forget_logs(logs: &Logs, namespace: &Namespace) {
    let forgotten = async {
        loop {
            let groups = logs.group_names(namespace, "", GROUPS).await?;
            if groups.is_empty() {
                return Ok::<(), aloft_log::Error>(());
            }
            for group in groups {
                logs.delete_group(namespace, &group).await?;
            }
        }
    };
    if let Err(error) = forgotten.await {
        tracing::warn!(%error, tenant = %namespace.tenant, "logs of a tenant that was removed are left behind");
    }
}

/// What the catalogue is told of an account.
pub fn allowance(account: &Account) -> Allowance {
    let bound = |bound: Option<u64>| bound.and_then(|bound| usize::try_from(bound).ok());
    Allowance {
        calls: bound(account.quotas.concurrency),
        functions: bound(account.quotas.functions),
    }
}

/// The account of this name, or with these digits.
pub(crate) fn named(tenants: &Tenants, name: &str) -> Result<std::sync::Arc<Account>, Error> {
    let found = tenants.named(name);
    found.ok_or_else(|| failed(aloft_tenant::Error::Missing(name.to_owned())))
}

fn describe(account: &Account) -> Value {
    let quotas = &account.quotas;
    json!({
        "id": account.id.as_str(),
        "name": account.name,
        "created": account.created.to_string(),
        "quotas": {
            "functions": quotas.functions,
            "concurrency": quotas.concurrency,
            "storage": quotas.storage.map(Size::bytes),
            "requests_per_second": quotas.requests,
        },
    })
}

fn change(bounds: &Bounds) -> Change {
    Change {
        functions: bounds.functions,
        concurrency: bounds.concurrency,
        storage: bounds.storage.map(|bytes| bytes.map(Size::from_bytes)),
        requests: bounds.requests_per_second,
    }
}

async fn body<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, Error> {
    let body = collect(request.into_body(), BODY).await;
    let body = body.map_err(|error: BodyError| Error::new(error.kind(), error.to_string()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("the body is not understood: {error}")))
}

fn failed(error: aloft_tenant::Error) -> Error {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(%error, "accounts or keys could not be read or changed");
        return Error::new(error.kind(), "the platform could not do this; its log says why");
    }
    Error::new(error.kind(), error.to_string())
}
