//! `aloft tenant` and `aloft key`: the accounts of a service, for whoever runs it.

use http::Method;
use serde_json::{Map, Value, json};

use crate::args::{Bound, Key, KeyAction, Service, Tenant, TenantAction};
use crate::connect::{Node, block_on};
use crate::exit::ExitCode;
use crate::print::say;

pub(crate) fn tenant(tenant: &Tenant) -> anyhow::Result<ExitCode> {
    match &tenant.action {
        TenantAction::Add { name, service } => {
            let made = ask(service, Method::POST, "tenants", &json!({ "name": name }))?;
            show(service, &made, |made| {
                format!("{}  {}", text(made, "id"), text(made, "name"))
            });
        }
        TenantAction::Ls { service } => {
            list(service, "tenants", |account| {
                format!(
                    "{}  {}  {}",
                    text(account, "id"),
                    text(account, "name"),
                    bounds(account.get("quotas"))
                )
            })?;
        }
        TenantAction::Quota {
            name,
            functions,
            concurrency,
            storage,
            requests_per_second,
            service,
        } => {
            let mut change = Map::new();
            for (what, bound) in [
                ("functions", functions),
                ("concurrency", concurrency),
                ("storage", storage),
                ("requests_per_second", requests_per_second),
            ] {
                if let Some(Bound(bound)) = bound {
                    change.insert(what.to_owned(), json!(bound));
                }
            }
            let path = format!("tenants/{}/quotas", segment(name));
            let changed = ask(service, Method::PUT, &path, &Value::Object(change))?;
            show(service, &changed, |changed| {
                format!("{}  {}", text(changed, "name"), bounds(changed.get("quotas")))
            });
        }
        TenantAction::Remove { name, service } => {
            let removed = ask(
                service,
                Method::DELETE,
                &format!("tenants/{}", segment(name)),
                &Value::Null,
            )?;
            show(service, &removed, |removed| {
                format!("{} is removed", text(removed, "name"))
            });
        }
    }
    Ok(ExitCode::Done)
}

pub(crate) fn key(key: &Key) -> anyhow::Result<ExitCode> {
    match &key.action {
        KeyAction::Create {
            tenant,
            admin,
            service,
        } => {
            let wanted = match tenant {
                Some(tenant) => json!({ "tenant": tenant }),
                None => json!({ "admin": admin }),
            };
            let made = ask(service, Method::POST, "keys", &wanted)?;
            show(service, &made, |made| {
                format!(
                    "export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}",
                    text(made, "access_key_id"),
                    text(made, "secret_access_key")
                )
            });
            if !service.json {
                eprintln!("The secret cannot be shown again.");
            }
        }
        KeyAction::Ls { tenant, service } => {
            let path = match tenant {
                Some(tenant) => format!("keys?tenant={}", segment(tenant)),
                None => "keys".to_owned(),
            };
            list(service, &path, |key| {
                let owner = key.get("tenant").and_then(Value::as_str);
                let owner = owner.unwrap_or("(administrator)");
                format!(
                    "{}  {owner}  {}",
                    text(key, "access_key_id"),
                    text(key, "created")
                )
            })?;
        }
        KeyAction::Revoke { id, service } => {
            let revoked = ask(
                service,
                Method::DELETE,
                &format!("keys/{}", segment(id)),
                &Value::Null,
            )?;
            show(service, &revoked, |revoked| {
                format!("{} is revoked", text(revoked, "access_key_id"))
            });
        }
    }
    Ok(ExitCode::Done)
}

fn ask(service: &Service, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    block_on(async {
        let node = Node::administered(service).await?;
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        node.ask(method, path, body).await
    })
}

fn list(service: &Service, path: &str, line: impl Fn(&Value) -> String) -> anyhow::Result<()> {
    let listed = ask(service, Method::GET, path, &Value::Null)?;
    if service.json {
        say!("{listed}");
    } else {
        for item in listed
            .get("items")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            say!("{}", line(item));
        }
    }
    Ok(())
}

fn show(service: &Service, answer: &Value, line: impl Fn(&Value) -> String) {
    if service.json {
        say!("{answer}");
    } else {
        say!("{}", line(answer));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The bounds that are set, in words.
fn bounds(quotas: Option<&Value>) -> String {
    let set = quotas.and_then(Value::as_object).into_iter().flatten();
    let set: Vec<String> = set
        .filter(|(_, bound)| !bound.is_null())
        .map(|(what, bound)| format!("{what} {bound}"))
        .collect();
    if set.is_empty() {
        return "no bounds of its own".to_owned();
    }
    set.join(", ")
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
