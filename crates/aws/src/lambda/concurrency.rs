//! How many calls run at once: `PutFunctionConcurrency`, `GetFunctionConcurrency`, `DeleteFunctionConcurrency`, `GetAccountSettings`.

use std::collections::BTreeMap;

use aloft_function::{Error as Failed, MAX_VERSIONS, Places};
use aloft_http::Response;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::names::Named;
use super::{Context, Error, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Calls that must stay for functions that have none reserved: Lambda's.
const UNRESERVED: usize = 100;
/// Functions of one page, while they are counted.
const PAGE: usize = 1_000;
/// Lambda's bounds of code, in bytes.
const ZIPPED: u64 = 52_428_800;
const UNZIPPED: u64 = 262_144_000;

pub(super) async fn put(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    let mut input = Members::parse(body)?;
    let calls = input.integer("ReservedConcurrentExecutions")?;
    let mut rules = Constraints::default();
    rules.required(calls.is_some(), "reservedConcurrentExecutions");
    rules.in_range(calls, "reservedConcurrentExecutions", 0, i32::MAX.into());
    rules.check()?;
    let calls = calls
        .and_then(|calls| u32::try_from(calls).ok())
        .unwrap_or_default();
    set(context, &named, Some(calls)).await?;
    let members = json!({ "ReservedConcurrentExecutions": calls });
    Ok(super::json(StatusCode::OK, &members))
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    set(context, &named, None).await?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

async fn set(context: &Context<'_>, named: &Named, calls: Option<u32>) -> Result<(), Refused> {
    let functions = &context.parts.functions;
    let reserved = functions.reserve(context.namespace, &named.function, calls, places(context));
    reserved.await.map_err(|error| match error {
        Failed::TooManyReserved { most, unreserved, .. } => Error::Invalid(format!(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum \
             value of [{unreserved}]. At most [{most}] can be reserved for it."
        ))
        .into(),
        Failed::FewerThanProvisioned {
            calls, instances, ..
        } => Error::Invalid(format!(
            "ReservedConcurrentExecutions [{calls}] should not be lower than function's total provisioned concurrency [{instances}]."
        ))
        .into(),
        error => context.failed(named, error),
    })
}

/// The calls of this node. One for which somebody has set a smaller bound keeps half of it.
pub(super) fn places(context: &Context<'_>) -> Places {
    let all = context.parts.concurrency;
    let unreserved = UNRESERVED.min(all.div_ceil(2));
    Places { all, unreserved }
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    named.no_version()?;
    let members = of(context, &named).await?;
    Ok(super::json(StatusCode::OK, &members.unwrap_or_else(|| json!({}))))
}

/// What is reserved for a function, if something is.
pub(super) async fn of(context: &Context<'_>, named: &Named) -> Result<Option<Json>, Refused> {
    if context.of_project(&named.function).is_some() {
        return Ok(None);
    }
    let functions = &context.parts.functions;
    let reserved = functions.reserved(context.namespace, &named.function).await;
    let reserved = reserved.map_err(|error| context.failed(named, error))?;
    Ok(reserved.map(|calls| json!({ "ReservedConcurrentExecutions": calls })))
}

pub(super) async fn account(context: &Context<'_>) -> Result<Response, Refused> {
    let reserved = context.parts.catalogue.reserved().total();
    let all = context.parts.concurrency;
    let (count, bytes) = usage(context).await?;
    let mut members = Map::new();
    members.insert(
        "AccountLimit".to_owned(),
        json!({
            // Only the disk bounds it.
            "TotalCodeSize": i64::MAX,
            "CodeSizeUnzipped": UNZIPPED,
            "CodeSizeZipped": ZIPPED,
            "ConcurrentExecutions": all,
            "UnreservedConcurrentExecutions": all.saturating_sub(reserved),
        }),
    );
    members.insert(
        "AccountUsage".to_owned(),
        json!({ "TotalCodeSize": bytes, "FunctionCount": count }),
    );
    Ok(super::json(StatusCode::OK, &members.into()))
}

/// How many functions there are, and the bytes of all code that is kept for them: each zip once.
async fn usage(context: &Context<'_>) -> Result<(usize, u64), Refused> {
    let (functions, namespace) = (&context.parts.functions, context.namespace);
    let (mut count, mut zips, mut after) = (0, BTreeMap::new(), None::<String>);
    loop {
        let page = functions.list(namespace, after.as_deref(), PAGE);
        let (page, more) = page.await.map_err(Error::Catalogue)?;
        for (name, latest) in page {
            count += 1;
            zips.insert(latest.artifact.blob, latest.artifact.bytes);
            let Ok(function) = name.parse() else { continue };
            match functions.versions(namespace, &function, 0, MAX_VERSIONS).await {
                Ok((versions, _)) => {
                    let artifacts = versions.iter().map(|version| version.artifact);
                    zips.extend(artifacts.map(|artifact| (artifact.blob, artifact.bytes)));
                }
                // It was deleted meanwhile.
                Err(Failed::Missing { .. }) => {}
                Err(error) => return Err(Error::Catalogue(error).into()),
            }
        }
        match more {
            Some(name) => after = Some(name),
            None => return Ok((count, zips.values().sum())),
        }
    }
}
