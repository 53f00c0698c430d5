//! Function URLs: `CreateFunctionUrlConfig`, `GetFunctionUrlConfig`, `UpdateFunctionUrlConfig`, `DeleteFunctionUrlConfig`,
//! `ListFunctionUrlConfigs`.

use aloft_call::Qualifier;
use aloft_function::{Cors, FunctionUrl, UrlAuth, UrlMode, UrlUpdate};
use aloft_http::Response;
use http::{StatusCode, header};
use serde_json::{Map, Value as Json, json};

use super::names::{Named, arn};
use super::{Context, Error, describe, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Addresses of one page, as on Lambda.
const PAGE: usize = 50;
/// Where they are on this port.
const PREFIX: &str = "/_url/";

const AUTH: [(&str, UrlAuth); 2] = [("NONE", UrlAuth::None), ("AWS_IAM", UrlAuth::Iam)];
const MODE: [(&str, UrlMode); 2] = [
    ("BUFFERED", UrlMode::Buffered),
    ("RESPONSE_STREAM", UrlMode::Streamed),
];

pub(super) async fn create(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, qualifier) = name(context.own_name()?)?;
    let given = read(body, true)?;
    let functions = &context.parts.functions;
    let created = functions.create_url(context.namespace, &named.function, &qualifier, &given);
    let url = created.await.map_err(|error| match error {
        aloft_function::Error::Exists { .. } => Error::Conflict(format!(
            "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists for this Lambda function",
            arn(context.caller, &named.function, named.qualifier.as_ref())
        ))
        .into(),
        error => failed(context, &named, error),
    })?;
    Ok(super::json(StatusCode::CREATED, &describe(context, &url).into()))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = name(context.name()?)?;
    // Functions of the project have none.
    if context.of_project(&named.function).is_some() {
        return Err(missing());
    }
    let functions = &context.parts.functions;
    let found = functions.url(context.namespace, &named.function, &qualifier);
    let found = found.await.map_err(|error| failed(context, &named, error))?;
    let url = found.ok_or_else(missing)?;
    Ok(super::json(StatusCode::OK, &describe(context, &url).into()))
}

pub(super) async fn update(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, qualifier) = name(context.own_name()?)?;
    let given = read(body, false)?;
    let functions = &context.parts.functions;
    let updated = functions.update_url(context.namespace, &named.function, &qualifier, &given);
    let url = updated.await.map_err(|error| failed(context, &named, error))?;
    Ok(super::json(StatusCode::OK, &describe(context, &url).into()))
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = name(context.own_name()?)?;
    let functions = &context.parts.functions;
    let deleted = functions.delete_url(context.namespace, &named.function, &qualifier);
    deleted.await.map_err(|error| failed(context, &named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    let (after, limit) = context.page(PAGE)?;
    let after = after.map(str::parse::<Qualifier>).transpose().map_err(|_| {
        let text = "The marker is none that a list of function URLs gave";
        Error::Invalid(text.to_owned())
    })?;
    let functions = &context.parts.functions;
    // Functions of the project have none.
    let (urls, has_more) = if context.of_project(&named.function).is_some() {
        (Vec::new(), false)
    } else {
        let page = functions.urls(context.namespace, &named.function, after.as_ref(), limit);
        page.await.map_err(|error| failed(context, &named, error))?
    };
    let all: Vec<Json> = urls.iter().map(|url| describe(context, url).into()).collect();
    let mut members = Map::new();
    members.insert("FunctionUrlConfigs".to_owned(), all.into());
    if let (Some(last), true) = (urls.last(), has_more) {
        members.insert("NextMarker".to_owned(), json!(last.qualifier.to_string()));
    }
    Ok(super::json(StatusCode::OK, &members.into()))
}

/// The function and which of its names is meant: the function itself or an alias. A version has no address, as on Lambda.
fn name((named, qualifier): (Named, Qualifier)) -> Result<(Named, Qualifier), Refused> {
    let has_one = !matches!(qualifier, Qualifier::Version(_));
    has_one.then_some((named, qualifier)).ok_or_else(|| {
        let text = "1 validation error detected: Value at 'qualifier' failed to satisfy constraint: Member must be an alias's name; a \
                    version has no function URL";
        Refused::Validation(text.to_owned())
    })
}

fn read(body: &[u8], is_new: bool) -> Result<UrlUpdate, Refused> {
    let mut input = Members::parse(body)?;
    let (auth, mode) = (input.text("AuthType")?, input.text("InvokeMode")?);
    let mut rules = Constraints::default();
    rules.required(!is_new || auth.is_some(), "authType");
    let auth = rules.one_of(auth.as_deref(), "authType", &AUTH);
    let mode = rules.one_of(mode.as_deref(), "invokeMode", &MODE);
    let cors = match input.object("Cors")? {
        Some(mut given) => Some(cors(&mut given, &mut rules)?),
        None => None,
    };
    rules.check()?;
    Ok(UrlUpdate { auth, mode, cors })
}

fn cors(given: &mut Members, rules: &mut Constraints) -> Result<Cors, Refused> {
    let mut texts = |member: &str, at: &str, most: usize, longest: usize| {
        let values = given.list(member)?.unwrap_or_default();
        let text = |value: Json| match value {
            Json::String(text) => Ok(text),
            other => Err(Refused::Serialization(format!("{other} in {member} is no text"))),
        };
        let values = values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let is_right = |value: &String| {
            (1..=longest).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if values.len() > most || !values.iter().all(is_right) {
            let rule = format!(
                "Member must have at most {most} values, each of 1 to {longest} characters of ASCII without spaces"
            );
            rules.broken("Value", at, &rule);
        }
        Ok::<_, Refused>(values)
    };
    let headers = texts("AllowHeaders", "cors.allowHeaders", 100, 1_024)?;
    let methods = texts("AllowMethods", "cors.allowMethods", 6, 6)?;
    let origins = texts("AllowOrigins", "cors.allowOrigins", 100, 253)?;
    let exposed = texts("ExposeHeaders", "cors.exposeHeaders", 100, 1_024)?;
    let known = ["GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"];
    if let Some(other) = methods.iter().find(|method| !known.contains(&method.as_str())) {
        let other: String = other.chars().take(20).collect();
        let rule = "Member must be one of GET, PUT, HEAD, POST, PATCH, DELETE and *";
        rules.broken(&format!("Value '{other}'"), "cors.allowMethods", rule);
    }
    let age = given.integer("MaxAge")?;
    rules.in_range(age, "cors.maxAge", 0, 86_400);
    Ok(Cors {
        credentials: given.boolean("AllowCredentials")?.unwrap_or_default(),
        headers,
        methods,
        origins,
        exposed,
        max_age: age.and_then(|age| u32::try_from(age).ok()),
    })
}

fn failed(context: &Context<'_>, named: &Named, error: aloft_function::Error) -> Refused {
    match error {
        aloft_function::Error::NoUrl { .. } => missing(),
        error => context.failed(named, error),
    }
}

fn missing() -> Refused {
    Error::Missing("The resource you requested does not exist.".to_owned()).into()
}

fn describe(context: &Context<'_>, url: &FunctionUrl) -> Map<String, Json> {
    let host = context.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let qualifier = Some(&url.qualifier).filter(|qualifier| **qualifier != Qualifier::Latest);
    let mut members = Map::new();
    let mut set = |member: &str, value: Json| members.insert(member.to_owned(), value);
    set("FunctionUrl", json!(format!("http://{host}{PREFIX}{}/", url.id)));
    set(
        "FunctionArn",
        json!(arn(context.caller, &url.function.name, qualifier)),
    );
    set("AuthType", json!(word(&AUTH, url.auth)));
    set("InvokeMode", json!(word(&MODE, url.mode)));
    set("CreationTime", json!(describe::time(url.created)));
    set("LastModifiedTime", json!(describe::time(url.modified)));
    if let Some(cors) = &url.cors {
        let mut told = Map::new();
        let mut tell = |member: &str, value: Json| told.insert(member.to_owned(), value);
        tell("AllowCredentials", json!(cors.credentials));
        for (member, values) in [
            ("AllowHeaders", &cors.headers),
            ("AllowMethods", &cors.methods),
            ("AllowOrigins", &cors.origins),
            ("ExposeHeaders", &cors.exposed),
        ] {
            if !values.is_empty() {
                tell(member, json!(values));
            }
        }
        if let Some(age) = cors.max_age {
            tell("MaxAge", json!(age));
        }
        set("Cors", told.into());
    }
    members
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|(_, other)| *other == value);
    found.map(|(word, _)| *word).unwrap_or_default()
}
