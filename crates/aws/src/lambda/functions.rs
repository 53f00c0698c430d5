//! Functions: `CreateFunction`, `GetFunction`, `GetFunctionConfiguration`, `GetFunctionCodeSigningConfig`, `UpdateFunctionConfiguration`,
//! `DeleteFunction`.

use aloft_call::Qualifier;
use aloft_function::{Configuration, Publish, Update};
use aloft_http::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::names::{Named, revision};
use super::{Context, Error, code, concurrency, dead_letter, describe, layers, nothing, settings};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// How often a part of a configuration is changed again because somebody else was first.
const TRIES: u32 = 8;

pub(super) async fn create(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let mut input = Members::parse(&body)?;
    drop(body);
    let name = input.text("FunctionName")?;
    let mut rules = Constraints::default();
    rules.required(name.is_some(), "functionName");
    let mut configuration = Configuration::new("", "", "");
    let short = name.as_deref().unwrap_or_default();
    let short = short.rsplit(':').next().unwrap_or_default();
    let wanted = settings::apply(&mut input, &mut rules, short, &mut configuration)?;
    rules.required(!configuration.role.is_empty(), "role");
    let code = input.object("Code")?;
    rules.required(code.is_some(), "code");
    rules.check()?;
    let named = Named::read(context.caller, &name.unwrap_or_default(), None)?;
    named.no_version()?;
    if context.of_project(&named.function).is_some() {
        return Err(Error::Conflict(format!("Function already exist: {}", named.function)).into());
    }
    mandatory(&configuration)?;
    runnable(context, &configuration).await?;
    let tags = input.texts("Tags")?.unwrap_or_default();
    super::tags::check(&tags)?;
    let is_published = input.boolean("Publish")?.unwrap_or_default();
    dead_letter::apply(context, &named.function, wanted.dead_letter, &mut configuration).await?;
    configuration.layers = layers::used(context, &wanted.layers.unwrap_or_default()).await?;
    let artifact = code::taken(context, code.unwrap_or_default(), Some(&configuration)).await?;
    layers::check_size(&configuration.layers, artifact)?;
    let functions = &context.parts.functions;
    let created = functions
        .create(
            context.namespace,
            &named.function,
            &configuration,
            artifact,
            &tags,
        )
        .await;
    let mut published = created.map_err(|error| context.failed(&named, error))?;
    if is_published {
        let version = functions
            .publish(context.namespace, &named.function, &Publish::default())
            .await;
        published = version.map_err(|error| context.failed(&named, error))?;
    }
    let asked = is_published.then(|| published.qualifier());
    let members = describe::function(context.caller, &named.function, &published, asked.as_ref());
    Ok(super::json(StatusCode::CREATED, &members.into()))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    if context.of_project(&named.function).is_some() {
        let configuration = configuration(context, &named).await?;
        return Ok(super::json(
            StatusCode::OK,
            &json!({ "Configuration": configuration }),
        ));
    }
    let published = context.published(&named).await?;
    let asked = named.qualifier.as_ref();
    let configuration = describe::function(context.caller, &named.function, &published, asked);
    let mut answer = json!({ "Configuration": configuration });
    if let Some(answer) = answer.as_object_mut() {
        let settings = context.parts.functions.tags(context.namespace, &named.function);
        let tags = settings.await.map_err(|error| context.failed(&named, error))?;
        if !tags.is_empty() {
            answer.insert("Tags".to_owned(), json!(tags));
        }
        if let Some(reserved) = concurrency::of(context, &named).await? {
            answer.insert("Concurrency".to_owned(), reserved);
        }
        let zip = published.artifact.blob;
        let location = context.downloads.address(context.headers, zip, context.now);
        answer.insert(
            "Code".to_owned(),
            json!({ "RepositoryType": "S3", "Location": location }),
        );
    }
    Ok(super::json(StatusCode::OK, &answer))
}

pub(super) async fn get_configuration(context: &Context<'_>) -> Result<Response, Refused> {
    let configuration = configuration(context, &context.named()?).await?;
    Ok(super::json(StatusCode::OK, &configuration.into()))
}

/// No code is signed here, which tools ask of each function that they read.
pub(super) async fn get_code_signing(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    configuration(context, &named).await?;
    let answer = json!({ "FunctionName": named.function.as_str(), "CodeSigningConfigArn": "" });
    Ok(super::json(StatusCode::OK, &answer))
}

async fn configuration(context: &Context<'_>, named: &Named) -> Result<Map<String, Json>, Refused> {
    let asked = named.qualifier.as_ref();
    if let Some(version) = context.of_project(&named.function) {
        return match asked {
            None | Some(Qualifier::Latest) => Ok(describe::of_project(context.caller, &version, asked)),
            Some(_) => Err(named.missing(context.caller).into()),
        };
    }
    let published = context.published(named).await?;
    Ok(describe::function(
        context.caller,
        &named.function,
        &published,
        asked,
    ))
}

pub(super) async fn update_configuration(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    let functions = &context.parts.functions;
    let mut tries = 0;
    loop {
        // What is given is a part: it is put into what is there, and written if that is still so.
        let mut input = Members::parse(body)?;
        let latest = functions.get(context.namespace, &named.function, 0).await;
        let latest = latest.map_err(|error| context.failed(&named, error))?;
        let (mut configuration, mut rules) = (latest.configuration.clone(), Constraints::default());
        let expected = input.text("RevisionId")?.map(|text| revision(&text));
        let name = named.function.as_str();
        let wanted = settings::apply(&mut input, &mut rules, name, &mut configuration)?;
        rules.check()?;
        mandatory(&configuration)?;
        dead_letter::apply(context, &named.function, wanted.dead_letter, &mut configuration).await?;
        if let Some(layers) = wanted.layers {
            configuration.layers = layers::used(context, &layers).await?;
            layers::check_size(&configuration.layers, latest.artifact)?;
        }
        if configuration.runtime != latest.configuration.runtime {
            runnable(context, &configuration).await?;
        }
        let update = Update {
            configuration: Some(configuration),
            artifact: None,
            revision: expected.or(Some(latest.revision)),
        };
        tries += 1;
        match functions
            .update(context.namespace, &named.function, &update)
            .await
        {
            Ok(updated) => {
                let members = describe::function(context.caller, &named.function, &updated, None);
                return Ok(super::json(StatusCode::OK, &members.into()));
            }
            Err(aloft_function::Error::Stale { .. }) if expected.is_none() && tries < TRIES => {}
            Err(error) => return Err(context.failed(&named, error)),
        }
    }
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.own()?;
    let (functions, function) = (&context.parts.functions, &named.function);
    let deleted = match &named.qualifier {
        None => functions.delete(context.namespace, function).await,
        Some(Qualifier::Version(number)) => {
            functions
                .delete_version(context.namespace, function, *number)
                .await
        }
        Some(Qualifier::Latest) => {
            let text = "$LATEST version cannot be deleted without deleting the function.";
            return Err(Error::Invalid(text.to_owned()).into());
        }
        Some(Qualifier::Alias(name)) => {
            let text = format!("{name} is an alias: DeleteAlias deletes it, DeleteFunction only versions");
            return Err(Error::Invalid(text).into());
        }
    };
    deleted.map_err(|error| context.failed(&named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

/// Whether what must be there is.
fn mandatory(configuration: &Configuration) -> Result<(), Refused> {
    let is_there = !configuration.runtime.is_empty() && !configuration.handler.is_empty();
    is_there.then_some(()).ok_or_else(|| {
        let text =
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.";
        Error::Invalid(text.to_owned()).into()
    })
}

/// Whether this machine can run it. What cannot be run is refused where its maker sees it, not when it is called.
async fn runnable(context: &Context<'_>, configuration: &Configuration) -> Result<(), Refused> {
    let checked = context.parts.load.check(&configuration.runtime).await;
    checked.map_err(|why| Error::Invalid(why).into())
}
