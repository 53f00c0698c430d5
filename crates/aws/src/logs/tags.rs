//! Tags of groups: `TagResource`, `UntagResource`, `ListTagsForResource`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Context, Error, invalid, required, short};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// AWS's bounds: characters of a key and of a value.
const KEY: usize = 128;
const VALUE: usize = 256;

pub(super) async fn list(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = resource(context, &mut input)?;
    let group = context.logs.group(context.namespace, &name).await?;
    Ok(json!({ "tags": group.tags }))
}

pub(super) async fn add(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = resource(context, &mut input)?;
    let tags = given(&mut input, "tags")?;
    let mut rules = Constraints::default();
    rules.required(tags.is_some(), "tags");
    rules.check()?;
    let tags = tags.unwrap_or_default();
    change(context, &name, |all| all.extend(tags.clone())).await
}

pub(super) async fn remove(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = resource(context, &mut input)?;
    let keys = texts(&mut input, "tagKeys")?;
    let mut rules = Constraints::default();
    rules.required(keys.is_some(), "tagKeys");
    rules.check()?;
    let keys = keys.unwrap_or_default();
    change(context, &name, |all| all.retain(|key, _| !keys.contains(key))).await
}

async fn change(
    context: &Context<'_>,
    name: &str,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Json, Refused> {
    match context.logs.tag(context.namespace, name, change).await {
        Ok(()) => Ok(Json::Null),
        Err(aloft_log::Error::TooMany(text)) => Err(Error::TooManyTags(text).into()),
        Err(error) => Err(error.into()),
    }
}

/// Tags within AWS's bounds.
pub(super) fn given(input: &mut Members, name: &str) -> Result<Option<BTreeMap<String, String>>, Refused> {
    let tags = input.texts(name)?;
    for (key, value) in tags.iter().flatten() {
        if !(1..=KEY).contains(&key.chars().count()) || value.chars().count() > VALUE {
            return Err(invalid(format!(
                "the tag \"{}\" is not valid: a key has 1 to {KEY} characters, a value at most {VALUE}",
                short(key)
            )));
        }
    }
    Ok(tags)
}

/// A list of texts.
pub(super) fn texts(input: &mut Members, name: &str) -> Result<Option<Vec<String>>, Refused> {
    let Some(list) = input.list(name)? else {
        return Ok(None);
    };
    let texts = list.into_iter().map(|json| match json {
        Json::String(text) => Ok(text),
        _ => Err(Refused::Serialization(format!("{name} is a list of strings"))),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

fn resource(context: &Context<'_>, input: &mut Members) -> Result<String, Refused> {
    let arn = required(input, "resourceArn")?;
    context.group_in("resourceArn", &arn)
}
