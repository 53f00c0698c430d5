//! Values: `GetSecretValue`, `BatchGetSecretValue`, `PutSecretValue`.

use std::collections::BTreeSet;

use aloft_access::{Action, Resource, decide};
use aloft_base::InvocationId;
use aloft_secret::{Change, MAX_STAGES, MAX_VALUE_BYTES, Put, Read, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::{Context, invalid, lists, seconds, set, text, texts};
use crate::Error as Refused;
use crate::input::Members;

/// Secrets that one batch gives at most.
const BATCH: usize = 20;

pub(super) async fn get(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Read, &mut input).await?;
    let version = text(&mut input, "VersionId", 32, 64)?;
    let stage = text(&mut input, "VersionStage", 1, 256)?;
    let read = context
        .secrets
        .read(context.namespace, &name, version.as_deref(), stage.as_deref());
    Ok(shown(context, &read.await?))
}

/// Those that cannot be read are told beside the others, each with its reason.
pub(super) async fn batch(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let ids = texts(&mut input, "SecretIdList", 1..=BATCH, 1..=2_048)?;
    let filters = lists::filters(&mut input)?;
    let limit = super::number(&mut input, "MaxResults", 1, BATCH as i64)?;
    let token = input.text("NextToken")?;
    let (ids, next) = match ids {
        Some(_) if filters.is_some() => {
            return Err(invalid(
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ));
        }
        Some(ids) => (ids, None),
        None => {
            let filters = filters.ok_or_else(|| {
                invalid("Either 'SecretIdList' or 'Filters' must be provided, but not both.")
            })?;
            decide(context.caller, Action::Read, Resource::Secrets)?;
            let limit = limit
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(BATCH);
            let (found, next) = lists::page(context, &filters, token.as_deref(), limit, false).await?;
            (found.into_iter().map(|secret| secret.name).collect(), next)
        }
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        match current(context, &id).await {
            Ok(read) => values.push(shown(context, &read)),
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => errors.push(json!({
                "SecretId": id,
                "ErrorCode": error.code().name,
                "Message": error.message(),
            })),
        }
    }
    let mut output = json!({ "SecretValues": values, "Errors": errors });
    if let Some(next) = next {
        set(&mut output, "NextToken", json!(next));
    }
    Ok(output)
}

async fn current(context: &Context<'_>, id: &str) -> Result<Read, Refused> {
    let name = context.resolve(Action::Read, id).await?;
    Ok(context.secrets.read(context.namespace, &name, None, None).await?)
}

pub(super) async fn put(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Write, &mut input).await?;
    let id = token(context, &mut input)?;
    let Some(value) = value(&mut input)? else {
        return Err(invalid("You must provide either SecretString or SecretBinary."));
    };
    let stages = texts(&mut input, "VersionStages", 1..=MAX_STAGES, 1..=256)?;
    let stages: Option<BTreeSet<String>> = stages.map(|stages| stages.into_iter().collect());
    input.finish(&["RotationToken"])?;
    let put = Put {
        id: &id,
        value: &value,
        stages: stages.as_ref(),
    };
    let change = Change::default();
    let secret = context
        .secrets
        .update(context.namespace, &name, &change, Some(put))
        .await?;
    let mut output = context.shown(&secret);
    set(&mut output, "VersionId", json!(id));
    if let Some(version) = secret.version(&id) {
        set(&mut output, "VersionStages", json!(version.stages));
    }
    Ok(output)
}

/// The new version's id: what the client chose, so that asking twice makes one, or a new one.
pub(super) fn token(context: &Context<'_>, input: &mut Members) -> Result<String, Refused> {
    let given = text(input, "ClientRequestToken", 32, 64)?;
    Ok(given.unwrap_or_else(|| InvocationId::draw(context.chance).to_string()))
}

/// `SecretString` or `SecretBinary`, if one is given.
pub(super) fn value(input: &mut Members) -> Result<Option<Value>, Refused> {
    let (string, binary) = (input.text("SecretString")?, input.text("SecretBinary")?);
    let value = match (string, binary) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "You can't specify both a binary secret value and a string secret value.",
            ));
        }
        (Some(string), None) => Value::text(string),
        (None, Some(binary)) => {
            let bytes = STANDARD.decode(binary);
            Value::binary(bytes.map_err(|_| Refused::Serialization("SecretBinary is not base64".to_owned()))?)
        }
        (None, None) => return Ok(None),
    };
    match value.bytes.expose().len() {
        1..=MAX_VALUE_BYTES => Ok(Some(value)),
        bytes => Err(invalid(format!(
            "The secret's value has {bytes} bytes; it must have 1 to {MAX_VALUE_BYTES}."
        ))),
    }
}

fn shown(context: &Context<'_>, read: &Read) -> Json {
    let mut output = context.shown(&read.secret);
    set(&mut output, "VersionId", json!(read.version.id));
    set(&mut output, "VersionStages", json!(read.version.stages));
    set(&mut output, "CreatedDate", seconds(read.version.created));
    let bytes = read.value.bytes.expose();
    if let Some(redaction) = context.redaction {
        redaction.learn(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if read.value.is_text => set(&mut output, "SecretString", json!(text)),
        _ => set(&mut output, "SecretBinary", json!(STANDARD.encode(bytes))),
    }
    output
}
