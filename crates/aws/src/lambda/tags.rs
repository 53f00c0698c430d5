//! Tags of functions: `TagResource`, `UntagResource`, `ListTags`.

use std::collections::BTreeMap;

use aloft_http::Response;
use http::StatusCode;
use serde_json::json;

use super::names::Named;
use super::{Context, Error, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// AWS's bounds: characters of a key and of a value.
const KEY: usize = 128;
const VALUE: usize = 256;

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let named = resource(context)?;
    if context.of_project(&named.function).is_some() {
        return Ok(super::json(StatusCode::OK, &json!({ "Tags": {} })));
    }
    let tags = context.parts.functions.tags(context.namespace, &named.function);
    let tags = tags.await.map_err(|error| context.failed(&named, error))?;
    Ok(super::json(StatusCode::OK, &json!({ "Tags": tags })))
}

pub(super) async fn add(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let named = resource(context)?;
    let mut input = Members::parse(body)?;
    let tags = input.texts("Tags")?;
    let mut rules = Constraints::default();
    rules.required(tags.is_some(), "tags");
    rules.check()?;
    let tags = tags.unwrap_or_default();
    check(&tags)?;
    change(context, &named, |all| all.extend(tags.clone())).await
}

pub(super) async fn remove(context: &Context<'_>) -> Result<Response, Refused> {
    let named = resource(context)?;
    let keys: Vec<&str> = context.route.parameters("tagKeys").collect();
    let mut rules = Constraints::default();
    rules.required(!keys.is_empty(), "tagKeys");
    rules.check()?;
    change(context, &named, |all| {
        all.retain(|key, _| !keys.contains(&key.as_str()));
    })
    .await
}

async fn change(
    context: &Context<'_>,
    named: &Named,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Response, Refused> {
    let own = context.of_project(&named.function).is_none();
    if !own {
        let text = format!("{} is defined in the project's aloft.toml", named.function);
        return Err(Error::Conflict(text).into());
    }
    let changed = context
        .parts
        .functions
        .tag(context.namespace, &named.function, change)
        .await;
    changed.map_err(|error| context.failed(named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

/// Whether tags are within their bounds.
pub(super) fn check(tags: &BTreeMap<String, String>) -> Result<(), Refused> {
    let invalid = |text: String| Err(Error::Invalid(text).into());
    for (key, value) in tags {
        let shown: String = key.chars().take(KEY).collect();
        if key.is_empty() || key.chars().count() > KEY {
            return invalid(format!(
                "the tag's key \"{shown}\" must have 1 to {KEY} characters"
            ));
        }
        if key
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
        {
            return invalid(format!(
                "the tag's key \"{shown}\" begins with aws:, which is reserved"
            ));
        }
        for (what, text) in [("key", key), ("value", value)] {
            if let Some(other) = text.chars().find(|letter| !is_of_tag(*letter)) {
                return invalid(format!(
                    "the {what} of the tag \"{shown}\" has {other:?}: letters, digits, spaces and _ . : / = + - @ are allowed"
                ));
            }
        }
        if value.chars().count() > VALUE {
            return invalid(format!(
                "the value of the tag \"{shown}\" has more than {VALUE} characters"
            ));
        }
    }
    Ok(())
}

/// Whether a tag may have it: the model's pattern, Unicode's letters, numbers and separators with a few signs.
fn is_of_tag(letter: char) -> bool {
    let is_space = letter.is_whitespace() && !letter.is_control();
    letter.is_alphanumeric() || is_space || "_.:/=+-@".contains(letter)
}

/// The function whose ARN the path has.
fn resource(context: &Context<'_>) -> Result<Named, Refused> {
    let named = Named::read(context.caller, &context.route.subject, None)?;
    if named.qualifier.is_some() {
        let text = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
        return Err(Error::Invalid(text.to_owned()).into());
    }
    Ok(named)
}
