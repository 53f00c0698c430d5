//! Aliases: `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias`, `ListAliases`.

use aloft_call::{AliasName, Qualifier};
use aloft_function::{Alias, Pointer};
use aloft_http::Response;
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::names::{Named, arn, revision};
use super::{Context, Error, describe, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Aliases of one page, as on Lambda.
const PAGE: usize = 50;
/// How often a part of an alias is changed again because somebody else was first.
const TRIES: u32 = 8;

pub(super) async fn create(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    let mut input = Members::parse(body)?;
    let (name, version) = (input.text("Name")?, input.text("FunctionVersion")?);
    let mut rules = Constraints::default();
    rules.required(name.is_some(), "name");
    rules.required(version.is_some(), "functionVersion");
    rules.check()?;
    let name = alias_name(&name.unwrap_or_default())?;
    let mut pointer = Pointer {
        version: 0,
        other: None,
        description: String::new(),
    };
    apply(&mut input, version.as_deref(), &mut pointer)?;
    let functions = &context.parts.functions;
    let created = functions
        .create_alias(context.namespace, &named.function, &name, &pointer)
        .await;
    let alias = created.map_err(|error| match error {
        aloft_function::Error::Exists { .. } => {
            let qualifier = Qualifier::Alias(name.clone());
            let arn = arn(context.caller, &named.function, Some(&qualifier));
            Error::Conflict(format!("Alias already exists: {arn}")).into()
        }
        error => context.failed(&named, error),
    })?;
    let members = describe::alias(context.caller, &named.function, &alias);
    Ok(super::json(StatusCode::CREATED, &members))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, name) = (context.named()?, alias_name(&context.route.name)?);
    // Functions of the project have none.
    if context.of_project(&named.function).is_some() {
        let qualifier = Some(Qualifier::Alias(name));
        return Err(Named { qualifier, ..named }.missing(context.caller).into());
    }
    let found = context
        .parts
        .functions
        .alias(context.namespace, &named.function, &name)
        .await;
    let alias = found.map_err(|error| context.failed(&named, error))?;
    let members = describe::alias(context.caller, &named.function, &alias);
    Ok(super::json(StatusCode::OK, &members))
}

pub(super) async fn update(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, name) = (context.own_latest()?, alias_name(&context.route.name)?);
    let functions = &context.parts.functions;
    let mut tries = 0;
    loop {
        // What is given is a part: it is put into what is there, and written if that is still so.
        let mut input = Members::parse(body)?;
        let former = functions.alias(context.namespace, &named.function, &name).await;
        let Alias {
            version,
            other,
            description,
            revision: at,
            ..
        } = former.map_err(|error| context.failed(&named, error))?;
        let mut pointer = Pointer {
            version,
            other,
            description,
        };
        let expected = input.text("RevisionId")?.map(|text| revision(&text));
        let version = input.text("FunctionVersion")?;
        apply(&mut input, version.as_deref(), &mut pointer)?;
        tries += 1;
        let updated = functions
            .update_alias(
                context.namespace,
                &named.function,
                &name,
                &pointer,
                expected.or(Some(at)),
            )
            .await;
        match updated {
            Ok(alias) => {
                let members = describe::alias(context.caller, &named.function, &alias);
                return Ok(super::json(StatusCode::OK, &members));
            }
            Err(aloft_function::Error::Stale { .. }) if expected.is_none() && tries < TRIES => {}
            Err(error) => return Err(context.failed(&named, error)),
        }
    }
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, name) = (context.own_latest()?, alias_name(&context.route.name)?);
    let deleted = context
        .parts
        .functions
        .delete_alias(context.namespace, &named.function, &name)
        .await;
    deleted.map_err(|error| context.failed(&named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    let (after, limit) = context.page(PAGE)?;
    if context.of_project(&named.function).is_some() {
        return Ok(super::json(StatusCode::OK, &json!({ "Aliases": [] })));
    }
    let wanted = context.route.parameter("FunctionVersion");
    let wanted = wanted.map(version).transpose()?;
    let (mut after, functions) = (after.map(alias_name).transpose()?, &context.parts.functions);
    let mut found: Vec<Alias> = Vec::new();
    let has_more = loop {
        let page = functions.aliases(context.namespace, &named.function, after.as_ref(), limit);
        let (page, has_more) = page.await.map_err(|error| context.failed(&named, error))?;
        after = page.last().map(|alias| alias.name.clone());
        found.extend(
            page.into_iter()
                .filter(|alias| wanted.is_none_or(|wanted| alias.points_to(wanted))),
        );
        if found.len() > limit || !has_more {
            break has_more || found.len() > limit;
        }
    };
    found.truncate(limit);
    let last = found.last().map(|alias| alias.name.to_string());
    let aliases: Vec<Json> = found
        .iter()
        .map(|alias| describe::alias(context.caller, &named.function, alias))
        .collect();
    let mut answer = json!({ "Aliases": aliases });
    if let (true, Some(last), Some(answer)) = (has_more, last, answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last));
    }
    Ok(super::json(StatusCode::OK, &answer))
}

/// Takes what a request says of an alias, and leaves the rest as it is.
fn apply(input: &mut Members, given: Option<&str>, pointer: &mut Pointer) -> Result<(), Refused> {
    if let Some(given) = given {
        pointer.version = version(given)?;
    }
    if let Some(description) = input.text("Description")? {
        pointer.description = description;
    }
    if let Some(mut routing) = input.object("RoutingConfig")? {
        let weights = routing.object("AdditionalVersionWeights")?;
        let weights: Vec<(String, Json)> = weights
            .map(|weights| weights.into_entries().collect())
            .unwrap_or_default();
        pointer.other = match weights.as_slice() {
            [] => None,
            [(number, share)] => {
                let share = share.as_f64().ok_or_else(|| {
                    Refused::Serialization(format!("the weight of version {number} is not a number"))
                })?;
                Some((version(number)?, share))
            }
            _ => {
                let text = "Number of items in AdditionalVersionWeights cannot be greater than 1.";
                return Err(Error::Invalid(text.to_owned()).into());
            }
        };
    }
    Ok(())
}

fn version(text: &str) -> Result<u64, Refused> {
    match text.parse() {
        Ok(Qualifier::Latest) => Ok(0),
        Ok(Qualifier::Version(number)) => Ok(number),
        _ => {
            let text: String = text.chars().take(100).collect();
            Err(Refused::Validation(format!(
                "1 validation error detected: Value '{text}' at 'functionVersion' failed to satisfy constraint: Member must satisfy \
                 regular expression pattern: (\\$LATEST|[0-9]+)"
            )))
        }
    }
}

fn alias_name(text: &str) -> Result<AliasName, Refused> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(200).collect();
        Refused::Validation(format!(
            "1 validation error detected: Value '{text}' at 'name' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"
        ))
    })
}
