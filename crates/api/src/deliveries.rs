//! Dead letters: listed, shown, delivered anew, forgotten.

use aloft_base::ErrorKind;
use aloft_delivery::{Content, DeadLetters, Letter, LetterId};
use aloft_http::Response;
use aloft_rule::Rules;
use http::StatusCode;
use serde_json::{Value, json};

use crate::Account;
use crate::error::{Error, json_response};

/// A page, the newest first; `more` says that there are others, and `before=ID` of the last one asks for them.
pub(crate) async fn list(rules: &Rules, query: &str) -> Result<Response, Error> {
    let before = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("before", id)) => Some(parse(id)?),
        _ => {
            let message = format!("the query \"{query}\" is not understood: only before=ID is");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    };
    let (listed, more) = rules
        .letters()
        .list(before, DeadLetters::PAGE)
        .await
        .map_err(failed)?;
    let items: Vec<Value> = listed
        .iter()
        .map(|listed| describe(listed.id, &listed.letter))
        .collect();
    Ok(json_response(
        StatusCode::OK,
        &json!({ "items": items, "more": more }),
    ))
}

/// One letter, with its event if that can still be made.
pub(crate) async fn show(account: &Account, id: &str) -> Result<Response, Error> {
    let id = parse(id)?;
    let letter = account.rules.letters().show(id).await.map_err(failed)?;
    let mut described = describe(id, &letter);
    let content = if account.deferred.owns(&letter) {
        let payload = account.deferred.payload(&letter);
        payload.and_then(|payload| serde_json::from_slice(&payload).ok())
    } else {
        account
            .rules
            .event(&letter)
            .await
            .map(|event| event.event.to_value())
    };
    if let (Some(fields), Some(content)) = (described.as_object_mut(), content) {
        fields.insert("content".into(), content);
    }
    Ok(json_response(StatusCode::OK, &described))
}

pub(crate) async fn retry(account: &Account, id: &str) -> Result<Response, Error> {
    let letter = parse(id)?;
    let shown = account.rules.letters().show(letter).await.map_err(failed)?;
    if account.deferred.owns(&shown) {
        let retried = account.deferred.retry(letter).await;
        retried.map_err(|error| refused(error.kind(), &error))?;
    } else {
        let retried = account.rules.retry(letter).await;
        retried.map_err(|error| refused(error.kind(), &error))?;
    }
    Ok(json_response(
        StatusCode::OK,
        &json!({ "id": id, "state": "retrying" }),
    ))
}

pub(crate) async fn drop(rules: &Rules, id: &str) -> Result<Response, Error> {
    rules.letters().drop(parse(id)?).await.map_err(failed)?;
    Ok(json_response(
        StatusCode::OK,
        &json!({ "id": id, "state": "dropped" }),
    ))
}

fn describe(id: LetterId, letter: &Letter) -> Value {
    let mut described = json!({
        "id": id.to_string(),
        "at": letter.at.to_string(),
        "rule": letter.name,
        "reason": letter.reason.word(),
        "events": letter.events(),
    });
    let Some(fields) = described.as_object_mut() else {
        return described;
    };
    match &letter.content {
        Content::One(parcel) => {
            fields.insert("event".into(), parcel.event.as_str().into());
            fields.insert("born".into(), parcel.born.to_string().into());
            fields.insert("attempts".into(), parcel.attempts.tried.into());
            if let Some(failures) = &parcel.failures {
                let (first, last) = (failures.first.to_string(), failures.last.to_string());
                let failures = json!({ "first": first, "last": last, "word": failures.word, "message": failures.message });
                fields.insert("failures".into(), failures);
            }
            if let Some((root, depth)) = parcel.lineage {
                fields.insert(
                    "lineage".into(),
                    json!({ "root": root.to_string(), "depth": depth }),
                );
            }
        }
        Content::Raw(bytes) => {
            fields.insert("unreadable_bytes".into(), bytes.len().into());
        }
        Content::Range(range) => {
            fields.insert("known".into(), range.events.is_some().into());
        }
    }
    described
}

fn parse(id: &str) -> Result<LetterId, Error> {
    id.parse().map_err(failed)
}

fn failed(error: aloft_delivery::Error) -> Error {
    refused(error.kind(), &error)
}

fn refused(kind: ErrorKind, error: &dyn std::error::Error) -> Error {
    if kind == ErrorKind::Internal {
        tracing::error!(%error, "dead letters could not be read or changed");
        return Error::new(kind, "the platform could not do this; its log says why");
    }
    Error::new(kind, error.to_string())
}
