//! What a destination is told: Lambda's record, version 1.0
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>).

use aloft_base::Timestamp;
use aloft_call::Qualifier;
use aloft_delivery::{Parcel, Reason};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::{Item, MAX_PAYLOAD};

/// What became of a call.
pub(crate) enum End<'a> {
    /// The function took it and answered this.
    Done { version: u64, answer: &'a Bytes },
    /// It was given up.
    GivenUp { reason: Reason },
}

/// The record of a call, which is small enough to be a payload itself: what the function answered is left out of one that would not be.
pub(crate) fn record(item: &Item, parcel: &Parcel, end: &End<'_>, now: Timestamp) -> Bytes {
    let parse = |bytes: &Bytes| serde_json::from_slice::<Json>(bytes).unwrap_or(Json::Null);
    let failed = parcel.failures.as_ref();
    let (condition, attempts, version, error, answer) = match end {
        End::Done { version, answer } => {
            let version = Qualifier::numbered(*version).to_string();
            ("Success", parcel.attempts.tried + 1, version, None, parse(answer))
        }
        End::GivenUp { reason } => {
            let condition = match reason {
                Reason::Expired => "EventAgeExceeded",
                _ => "RetriesExhausted",
            };
            let answer = failed.and_then(|failures| failures.answer.as_ref());
            let worded = || {
                failed.map_or(
                    Json::Null,
                    |f| json!({ "errorType": f.word, "errorMessage": f.message }),
                )
            };
            let answer = answer.map_or_else(worded, parse);
            let version = item.qualifier.to_string();
            (
                condition,
                parcel.attempts.tried,
                version,
                Some("Unhandled"),
                answer,
            )
        }
    };
    let mut context = json!({ "statusCode": 200, "executedVersion": version });
    if let (Some(error), Some(members)) = (error, context.as_object_mut()) {
        members.insert("functionError".to_owned(), json!(error));
    }
    let mut record = json!({
        "version": "1.0",
        "timestamp": now.to_string(),
        "requestContext": {
            "requestId": parcel.event,
            "functionArn": item.arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": parse(&item.payload),
        "responseContext": context,
        "responsePayload": answer,
    });
    let mut text = record.to_string();
    for member in ["responsePayload", "requestPayload"] {
        if text.len() > MAX_PAYLOAD
            && let Some(members) = record.as_object_mut()
        {
            members.remove(member);
            text = record.to_string();
        }
    }
    text.into()
}
