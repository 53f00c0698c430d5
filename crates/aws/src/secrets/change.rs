//! The secrets themselves: `CreateSecret`, `UpdateSecret`, `DeleteSecret`, `RestoreSecret`.

use std::time::Duration;

use aloft_access::{Action, Resource, decide};
use aloft_secret::{Change, Put};
use serde_json::{Value as Json, json};

use super::{Context, check_name, invalid, labels, number, seconds, set, text, values};
use crate::Error as Refused;
use crate::input::Members;

/// The one key of KMS that may be named: it means "the service's own", which here is the node's.
const OWN_KEY: &str = "alias/aws/secretsmanager";
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long a deleted secret can be restored if nobody says: AWS's 30 days.
const WINDOW_DAYS: u64 = 30;

pub(super) async fn create(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = input.text("Name")?.unwrap_or_default();
    decide(context.caller, Action::Manage, Resource::Secret(&name))?;
    check_name(&name, "Name")?;
    let id = values::token(context, &mut input)?;
    let change = Change {
        description: text(&mut input, "Description", 0, 2_048)?,
        tags: labels::tags(&mut input)?.unwrap_or_default(),
        ..Change::default()
    };
    let value = values::value(&mut input)?;
    own_key(&mut input)?;
    if input
        .list("AddReplicaRegions")?
        .is_some_and(|regions| !regions.is_empty())
    {
        return Err(invalid(
            "AddReplicaRegions is not supported yet: a secret lies on one node",
        ));
    }
    if input.boolean("ForceOverwriteReplicaSecret")? == Some(true) {
        return Err(invalid(
            "ForceOverwriteReplicaSecret is not supported yet: a secret lies on one node",
        ));
    }
    input.finish(&["Type", "CrossAccountPrimaryARN"])?;
    let first = value.as_ref().map(|value| Put {
        id: &id,
        value,
        stages: None,
    });
    let secret = context
        .secrets
        .create(context.namespace, &name, &change, first)
        .await?;
    let mut output = context.shown(&secret);
    if first.is_some() {
        set(&mut output, "VersionId", json!(id));
    }
    Ok(output)
}

pub(super) async fn update(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Manage, &mut input).await?;
    let id = values::token(context, &mut input)?;
    let change = Change {
        description: text(&mut input, "Description", 0, 2_048)?,
        ..Change::default()
    };
    let value = values::value(&mut input)?;
    own_key(&mut input)?;
    input.finish(&["Type"])?;
    let put = value.as_ref().map(|value| Put {
        id: &id,
        value,
        stages: None,
    });
    let secret = context
        .secrets
        .update(context.namespace, &name, &change, put)
        .await?;
    let mut output = context.shown(&secret);
    if put.is_some() {
        set(&mut output, "VersionId", json!(id));
    }
    Ok(output)
}

pub(super) async fn delete(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Manage, &mut input).await?;
    let is_forced = input.boolean("ForceDeleteWithoutRecovery")? == Some(true);
    let days = number(&mut input, "RecoveryWindowInDays", 7, 30)?;
    if is_forced && days.is_some() {
        return Err(invalid(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = u32::try_from(days.unwrap_or(WINDOW_DAYS)).unwrap_or_default();
    let window = (!is_forced).then_some(DAY * days);
    let deleted = context.secrets.delete(context.namespace, &name, window).await;
    let secret = match deleted {
        // The service's own rule: what is not there is as good as deleted, so that a clean-up can be run twice.
        Err(aloft_secret::Error::Missing(_)) if is_forced => {
            let arn = context.arn(&name, "");
            return Ok(json!({ "ARN": arn.trim_end_matches('-'), "Name": name }));
        }
        deleted => deleted?,
    };
    let mut output = context.shown(&secret);
    if let Some((_, gone)) = secret.deleted {
        set(&mut output, "DeletionDate", seconds(gone));
    }
    Ok(output)
}

pub(super) async fn restore(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Manage, &mut input).await?;
    let secret = context.secrets.restore(context.namespace, &name).await?;
    Ok(context.shown(&secret))
}

fn own_key(input: &mut Members) -> Result<(), Refused> {
    match input.text("KmsKeyId")?.as_deref() {
        None | Some(OWN_KEY) => Ok(()),
        Some(other) => Err(invalid(format!(
            "KmsKeyId \"{}\" is not supported yet: secrets are sealed under the node's master key, which is {OWN_KEY}",
            super::short(other)
        ))),
    }
}
