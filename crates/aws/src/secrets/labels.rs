//! Labels and tags: `UpdateSecretVersionStage`, `TagResource`, `UntagResource`.

use std::collections::BTreeMap;

use aloft_access::Action;
use aloft_secret::{Change, MAX_TAGS};
use serde_json::Value as Json;

use super::{Context, invalid, short, text, texts};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// AWS's bounds: characters of a key and of a value.
const KEY: usize = 128;
const VALUE: usize = 256;

pub(super) async fn shift(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Write, &mut input).await?;
    let stage = text(&mut input, "VersionStage", 1, 256)?;
    let from = text(&mut input, "RemoveFromVersionId", 32, 64)?;
    let to = text(&mut input, "MoveToVersionId", 32, 64)?;
    let mut rules = Constraints::default();
    rules.required(stage.is_some(), "versionStage");
    rules.check()?;
    let (stage, from, to) = (stage.unwrap_or_default(), from.as_deref(), to.as_deref());
    let secret = context
        .secrets
        .shift(context.namespace, &name, &stage, from, to)
        .await?;
    Ok(context.shown(&secret))
}

pub(super) async fn tag(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Manage, &mut input).await?;
    let tags = tags(&mut input)?;
    let mut rules = Constraints::default();
    rules.required(tags.is_some(), "tags");
    rules.check()?;
    let change = Change {
        tags: tags.unwrap_or_default(),
        ..Change::default()
    };
    context
        .secrets
        .update(context.namespace, &name, &change, None)
        .await?;
    Ok(Json::Null)
}

pub(super) async fn untag(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Manage, &mut input).await?;
    let keys = texts(&mut input, "TagKeys", 0..=MAX_TAGS, 1..=KEY)?;
    let mut rules = Constraints::default();
    rules.required(keys.is_some(), "tagKeys");
    rules.check()?;
    let change = Change {
        untagged: keys.into_iter().flatten().collect(),
        ..Change::default()
    };
    context
        .secrets
        .update(context.namespace, &name, &change, None)
        .await?;
    Ok(Json::Null)
}

/// `Tags` within AWS's bounds, if they are given.
pub(super) fn tags(input: &mut Members) -> Result<Option<BTreeMap<String, String>>, Refused> {
    let Some(list) = input.list("Tags")? else {
        return Ok(None);
    };
    let mut tags = BTreeMap::new();
    for entry in list {
        let mut entry = Members::from_json(entry)?;
        let key = entry.text("Key")?.unwrap_or_default();
        let value = entry.text("Value")?.unwrap_or_default();
        if !(1..=KEY).contains(&key.chars().count()) || value.chars().count() > VALUE {
            return Err(invalid(format!(
                "The tag \"{}\" is not valid: a key has 1 to {KEY} characters, a value at most {VALUE}.",
                short(&key)
            )));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(invalid(format!("The tag \"{key}\" is given twice.")));
        }
    }
    Ok(Some(tags))
}
