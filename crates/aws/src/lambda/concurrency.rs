//! How many calls run at once: `PutFunctionConcurrency`, `GetFunctionConcurrency`, `DeleteFunctionConcurrency`, `GetAccountSettings`.

use std::collections::{BTreeMap, BTreeSet};

use aloft_function::{Artifact, Compatible, Error as Failed, LayerVersion, MAX_VERSIONS, Places, Published};
use aloft_http::Response;
use aloft_store::blobs::BlobId;
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

/// The calls of the account. One for which somebody has set a smaller bound keeps half of it.
pub(super) fn places(context: &Context<'_>) -> Places {
    let reserved = context.parts.catalogue.reserved();
    let own = reserved.account(&context.namespace.tenant).calls;
    let all = own.unwrap_or(context.parts.concurrency);
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
    let tenant = &context.namespace.tenant;
    let reserved = context.parts.catalogue.reserved().total(tenant);
    let all = places(context).all;
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

/// How many functions there are, as a list of them says, and the bytes of all zips that are kept for functions and layers, each once.
async fn usage(context: &Context<'_>) -> Result<(usize, u64), Refused> {
    let (functions, namespace) = (&context.parts.functions, context.namespace);
    let project = context.parts.catalogue.project(&namespace.tenant);
    let mut names: BTreeSet<String> = project
        .iter()
        .map(|version| version.function.name.to_string())
        .collect();
    let (mut zips, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = functions.list(namespace, after.as_deref(), PAGE);
        let (page, more) = page.await.map_err(Error::Catalogue)?;
        for (name, latest) in page {
            zips.extend(used(&latest));
            if let Ok(function) = name.parse() {
                match functions.versions(namespace, &function, 0, MAX_VERSIONS).await {
                    Ok((versions, _)) => zips.extend(versions.iter().flat_map(used)),
                    // It was deleted meanwhile.
                    Err(Failed::Missing { .. }) => {}
                    Err(error) => return Err(Error::Catalogue(error).into()),
                }
            }
            names.insert(name);
        }
        match more {
            Some(name) => after = Some(name),
            None => break,
        }
    }
    of_layers(context, &mut zips).await?;
    Ok((names.len(), zips.values().sum()))
}

/// The zips that a version keeps, with their bytes: its own, and those of its layers, also of deleted ones.
fn used(version: &Published) -> impl Iterator<Item = (BlobId, u64)> {
    let layers = version.configuration.layers.iter().map(|layer| layer.artifact);
    let all = layers.chain([version.artifact]);
    all.map(|Artifact { blob, bytes, .. }| (blob, bytes))
}

/// Adds the zips of all layers.
async fn of_layers(context: &Context<'_>, zips: &mut BTreeMap<BlobId, u64>) -> Result<(), Refused> {
    let (layers, namespace) = (&context.parts.layers, context.namespace);
    let (any, mut after) = (Compatible::default(), None::<String>);
    loop {
        let page = layers.list(namespace, &any, after.as_deref(), PAGE);
        let (page, more) = page.await.map_err(Error::Catalogue)?;
        for (name, newest) in page {
            let mut version = Some(newest);
            while let Some(LayerVersion { number, artifact, .. }) = version {
                zips.insert(artifact.blob, artifact.bytes);
                let older = layers.versions(namespace, &name, &any, Some(number), PAGE);
                let (older, has_more) = older.await.map_err(Error::Catalogue)?;
                zips.extend(
                    older
                        .iter()
                        .map(|version| (version.artifact.blob, version.artifact.bytes)),
                );
                version = older.into_iter().last().filter(|_| has_more);
            }
        }
        match more {
            Some(name) => after = Some(name),
            None => return Ok(()),
        }
    }
}
