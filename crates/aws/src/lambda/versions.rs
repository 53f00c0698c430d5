//! Versions: `PublishVersion` and `ListVersionsByFunction`.

use aloft_function::Publish;
use aloft_http::Response;
use aloft_store::blobs::BlobId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::names::revision;
use super::{Context, Error, describe, settings};
use crate::Error as Refused;
use crate::input::Members;

/// Versions of one page, as on Lambda.
const PAGE: usize = 50;

pub(super) async fn publish(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    let mut input = Members::parse(if body.is_empty() { b"{}" } else { body })?;
    let hash = input.text("CodeSha256")?.filter(|hash| !hash.is_empty());
    let blob = match &hash {
        None => None,
        Some(hash) => {
            let bytes = STANDARD.decode(hash).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            // What is no hash is that of no code.
            Some(BlobId::Content(bytes.unwrap_or_default()))
        }
    };
    let publish = Publish {
        description: input.text("Description")?,
        revision: input.text("RevisionId")?.map(|text| revision(&text)),
        blob,
    };
    if input.take("PublishTo").is_some() {
        return Err(settings::not_supported("PublishTo"));
    }
    let functions = &context.parts.functions;
    let published = functions
        .publish(context.namespace, &named.function, &publish)
        .await;
    let version = published.map_err(|error| match error {
        aloft_function::Error::Stale { what: "CodeSha256" } => Error::Invalid(format!(
            "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST. Please try again with the CodeSHA256 in $LATEST.",
            hash.as_deref().unwrap_or_default().chars().take(100).collect::<String>()
        ))
        .into(),
        error => context.failed(&named, error),
    })?;
    let asked = version.qualifier();
    let members = describe::function(context.caller, &named.function, &version, Some(&asked));
    Ok(super::json(StatusCode::CREATED, &members.into()))
}

/// `$LATEST` and then the versions in order.
pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let named = context.named()?;
    let (after, limit) = context.page(PAGE)?;
    if let Some(version) = context.of_project(&named.function) {
        let latest = aloft_call::Qualifier::Latest;
        let members = describe::of_project(context.caller, &version, Some(&latest));
        return Ok(super::json(StatusCode::OK, &json!({ "Versions": [members] })));
    }
    let functions = &context.parts.functions;
    let mut versions = Vec::new();
    let after = match after {
        // The first page begins with $LATEST, and a marker is the number of the last version that was shown.
        None => {
            let latest = functions.get(context.namespace, &named.function, 0).await;
            versions.push(latest.map_err(|error| context.failed(&named, error))?);
            0
        }
        Some(marker) => marker.parse().map_err(|_| {
            let marker: String = marker.chars().take(100).collect();
            Error::Invalid(format!(
                "Marker \"{marker}\" is not valid: it is the NextMarker of a former page"
            ))
        })?,
    };
    let page = functions
        .versions(
            context.namespace,
            &named.function,
            after,
            limit.saturating_sub(versions.len()).max(1),
        )
        .await;
    let (page, mut has_more) = page.map_err(|error| context.failed(&named, error))?;
    versions.extend(page);
    has_more |= versions.len() > limit;
    versions.truncate(limit);
    let last = versions.last().map(|version| version.number);
    let versions: Vec<Json> = versions
        .iter()
        .map(|version| {
            let asked = version.qualifier();
            describe::function(context.caller, &named.function, version, Some(&asked)).into()
        })
        .collect();
    let mut answer = json!({ "Versions": versions });
    if let (true, Some(last), Some(answer)) = (has_more, last, answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last.to_string()));
    }
    Ok(super::json(StatusCode::OK, &answer))
}
