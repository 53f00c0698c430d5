//! What a secret is, without its values: `DescribeSecret`, and `GetResourcePolicy`, of which there is none.

use aloft_access::Action;
use aloft_secret::Secret;
use serde_json::{Value as Json, json};

use super::{Context, seconds, set};
use crate::Error as Refused;
use crate::input::Members;

pub(super) async fn describe(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Read, &mut input).await?;
    let secret = context.secrets.get(context.namespace, &name).await?;
    Ok(shown(context, &secret, "VersionIdsToStages"))
}

/// Terraform asks for it after each secret that it makes.
pub(super) async fn policy(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Read, &mut input).await?;
    input.finish(&["PolicyName"])?;
    let secret = context.secrets.get(context.namespace, &name).await?;
    Ok(context.shown(&secret))
}

/// A secret as it is described and, with another word for its versions, listed.
pub(super) fn shown(context: &Context<'_>, secret: &Secret, versions: &str) -> Json {
    let mut output = context.shown(secret);
    set(&mut output, "CreatedDate", seconds(secret.created));
    set(&mut output, "LastChangedDate", seconds(secret.changed));
    if !secret.description.is_empty() {
        set(&mut output, "Description", json!(secret.description));
    }
    if let Some((deleted, _)) = secret.deleted {
        set(&mut output, "DeletedDate", seconds(deleted));
    }
    let tags = secret
        .tags
        .iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }));
    set(&mut output, "Tags", tags.collect());
    let staged = secret
        .versions
        .iter()
        .filter(|version| !version.stages.is_empty());
    let staged: serde_json::Map<String, Json> = staged
        .map(|version| (version.id.clone(), json!(version.stages)))
        .collect();
    if !staged.is_empty() {
        set(&mut output, versions, staged.into());
    }
    output
}
