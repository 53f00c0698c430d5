//! Provisioned concurrency: `PutProvisionedConcurrencyConfig`, `GetProvisionedConcurrencyConfig`, `DeleteProvisionedConcurrencyConfig`,
//! `ListProvisionedConcurrencyConfigs`.

use std::collections::BTreeMap;

use aloft_call::Qualifier;
use aloft_function::{Error as Failed, Provisioned, Warmth};
use aloft_http::Response;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::concurrency::places;
use super::names::{Named, arn};
use super::{Context, Error, describe, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Configurations of one page, as on Lambda.
const PAGE: usize = 50;

pub(super) async fn put(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, qualifier) = own_name(context)?;
    let mut input = Members::parse(body)?;
    let instances = input.integer("ProvisionedConcurrentExecutions")?;
    let mut rules = Constraints::default();
    rules.required(instances.is_some(), "provisionedConcurrentExecutions");
    rules.in_range(instances, "provisionedConcurrentExecutions", 1, i32::MAX.into());
    rules.check()?;
    let instances = instances.and_then(|given| u32::try_from(given).ok()).unwrap_or(1);
    let functions = &context.parts.functions;
    let set = functions.provision(
        context.namespace,
        &named.function,
        &qualifier,
        Some(instances),
        places(context),
    );
    let provisioned = set.await.map_err(|error| failed(context, &named, error))?;
    let provisioned = provisioned.ok_or_else(missing)?;
    // Nothing of it is loaded before this is answered.
    let members = describe(&provisioned, &Warmth::default());
    Ok(super::json(StatusCode::ACCEPTED, &members.into()))
}

fn failed(context: &Context<'_>, named: &Named, error: Failed) -> Refused {
    match error {
        Failed::TooManyProvisioned {
            instances,
            most,
            of_function,
            of_others,
        } => Error::Invalid(format!(
            "Specified ProvisionedConcurrentExecutions {instances} for the function is larger than the calls of it that can run at \
             once, {most}, without those for which instances are kept loaded already: {of_function} of the function, {of_others} of others \
             that share them"
        ))
        .into(),
        error => context.failed(named, error),
    }
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.name()?;
    published(&qualifier)?;
    if context.of_project(&named.function).is_some() {
        return Err(named.missing(context.caller).into());
    }
    context.published(&named).await?;
    let functions = &context.parts.functions;
    let found = functions.provisioned(context.namespace, &named.function, &qualifier);
    let found = found.await.map_err(|error| context.failed(&named, error))?;
    let provisioned = found.ok_or_else(missing)?;
    let warmth = warmth(context, &named, &qualifier, &provisioned).await?;
    Ok(super::json(
        StatusCode::OK,
        &describe(&provisioned, &warmth).into(),
    ))
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    published(&qualifier)?;
    let functions = &context.parts.functions;
    let deleted = functions.provision(
        context.namespace,
        &named.function,
        &qualifier,
        None,
        places(context),
    );
    deleted.await.map_err(|error| context.failed(&named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    let (after, limit) = context.page(PAGE)?;
    let after = after.map(str::parse::<Qualifier>).transpose().map_err(|_| {
        let text = "The marker is none that a list of provisioned concurrency gave";
        Error::Invalid(text.to_owned())
    })?;
    let functions = &context.parts.functions;
    // Functions of the project have none.
    let (all, has_more) = if context.of_project(&named.function).is_some() {
        (Vec::new(), false)
    } else {
        let page = functions.all_provisioned(context.namespace, &named.function, after.as_ref(), limit);
        page.await.map_err(|error| context.failed(&named, error))?
    };
    let mut configs = Vec::with_capacity(all.len());
    for (qualifier, provisioned) in &all {
        let warmth = warmth(context, &named, qualifier, provisioned).await?;
        let mut members = describe(provisioned, &warmth);
        let arn = arn(context.caller, &named.function, Some(qualifier));
        members.insert("FunctionArn".to_owned(), json!(arn));
        configs.push(Json::from(members));
    }
    let mut members = Map::new();
    members.insert("ProvisionedConcurrencyConfigs".to_owned(), configs.into());
    if let (Some((last, _)), true) = (all.last(), has_more) {
        members.insert("NextMarker".to_owned(), json!(last.to_string()));
    }
    Ok(super::json(StatusCode::OK, &members.into()))
}

/// Refuses to look for what `$LATEST` never has.
fn published(qualifier: &Qualifier) -> Result<(), Refused> {
    match qualifier {
        Qualifier::Latest => {
            let text = "The function resource provided must be an alias or a published version.";
            Err(Error::Invalid(text.to_owned()).into())
        }
        Qualifier::Version(_) | Qualifier::Alias(_) => Ok(()),
    }
}

/// The function for which instances are to be kept loaded, and of which of its names: a version or an alias.
fn own_name(context: &Context<'_>) -> Result<(Named, Qualifier), Refused> {
    let (named, qualifier) = context.own_name()?;
    match qualifier {
        Qualifier::Latest => {
            let text = "Provisioned Concurrency Configs cannot be applied to unpublished function versions.";
            Err(Error::Invalid(text.to_owned()).into())
        }
        qualifier => Ok((named, qualifier)),
    }
}

/// Which versions are meant, each with its part of the instances.
async fn parts(
    context: &Context<'_>,
    named: &Named,
    qualifier: &Qualifier,
    instances: u32,
) -> Result<BTreeMap<u64, u32>, Refused> {
    match qualifier {
        Qualifier::Latest => Ok(BTreeMap::new()),
        Qualifier::Version(number) => Ok(BTreeMap::from([(*number, instances)])),
        Qualifier::Alias(name) => {
            let functions = &context.parts.functions;
            let alias = functions.alias(context.namespace, &named.function, name).await;
            let alias = alias.map_err(|error| context.failed(named, error))?;
            Ok(alias.parts(instances))
        }
    }
}

/// How the versions do together.
async fn warmth(
    context: &Context<'_>,
    named: &Named,
    qualifier: &Qualifier,
    provisioned: &Provisioned,
) -> Result<Warmth, Refused> {
    let mut all = Warmth::default();
    for (number, instances) in parts(context, named, qualifier, provisioned.instances).await? {
        let Warmth { loaded, fault } = context.parts.warm.warmth(&context.id(&named.function), number);
        all.loaded += loaded.min(instances as usize);
        all.fault = all.fault.or(fault);
    }
    Ok(all)
}

fn describe(provisioned: &Provisioned, warmth: &Warmth) -> Map<String, Json> {
    let wanted = provisioned.instances as usize;
    let loaded = warmth.loaded.min(wanted);
    let (status, reason) = match &warmth.fault {
        _ if loaded == wanted => ("READY", None),
        Some(fault) => ("FAILED", Some(fault)),
        None => ("IN_PROGRESS", None),
    };
    let mut members = Map::new();
    for (member, value) in [
        ("RequestedProvisionedConcurrentExecutions", wanted),
        ("AvailableProvisionedConcurrentExecutions", loaded),
        ("AllocatedProvisionedConcurrentExecutions", loaded),
    ] {
        members.insert(member.to_owned(), json!(value));
    }
    members.insert("Status".to_owned(), json!(status));
    if let Some(reason) = reason {
        members.insert("StatusReason".to_owned(), json!(reason));
    }
    let modified = describe::time(provisioned.modified);
    members.insert("LastModified".to_owned(), json!(modified));
    members
}

/// That a version has instances by two names. Lambda's texts, and which name it is.
pub(super) fn already(qualifier: &Qualifier, other: &Qualifier) -> Error {
    let text = match qualifier {
        Qualifier::Alias(_) => {
            "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
        }
        Qualifier::Latest | Qualifier::Version(_) => "Version is pointed by a Provisioned Concurrency alias",
    };
    Error::Conflict(format!(
        "{text}: {qualifier} means the same version as {other}, whose configuration would have to be deleted first"
    ))
}

fn missing() -> Refused {
    Error::NotProvisioned.into()
}
