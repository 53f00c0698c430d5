//! What a destination is told: Lambda's record, version 1.0
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>).

use aloft_base::Timestamp;
use aloft_call::{Qualifier, ascii};
use aloft_delivery::{Parcel, Reason};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::{Item, MAX_PAYLOAD};

/// Bytes of a dead letter's `ErrorMessage`, as on Lambda.
const ERROR_MESSAGE: usize = 1 << 10;

/// What became of a call.
pub(crate) enum End<'a> {
    /// The function took it and answered this.
    Done { version: u64, answer: &'a Bytes },
    /// It was given up.
    GivenUp { reason: Reason },
}

/// A record. What was given and answered stands in it as it was written: read, numbers would lose digits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

/// The record of a call, which is small enough to be a payload itself: what the function answered is left out of one that would not be.
pub(crate) fn record(item: &Item, parcel: &Parcel, end: &End<'_>, now: Timestamp) -> Bytes {
    let failed = parcel.failures.as_ref();
    let worded = failed.map(|f| json!({ "errorType": f.word, "errorMessage": f.message }).to_string());
    let (condition, attempts, executed_version, function_error, answer) = match end {
        End::Done { version, answer } => {
            let version = Qualifier::numbered(*version).to_string();
            ("Success", parcel.attempts.tried + 1, version, None, raw(answer))
        }
        End::GivenUp { reason } => {
            let condition = match reason {
                Reason::Expired => "EventAgeExceeded",
                Reason::Disabled => "ZeroReservedConcurrency",
                _ => "RetriesExhausted",
            };
            let answer = failed.and_then(|failures| failures.answer.as_ref());
            let answer = answer
                .map(|answer| &**answer)
                .or(worded.as_ref().map(String::as_bytes));
            let version = item.qualifier.to_string();
            let answer = answer.map_or(RawValue::NULL, raw);
            (
                condition,
                parcel.attempts.tried,
                version,
                Some("Unhandled"),
                answer,
            )
        }
    };
    let is_disabled = matches!(
        end,
        End::GivenUp {
            reason: Reason::Disabled
        }
    );
    let mut record = Record {
        version: "1.0",
        timestamp: now.to_string(),
        request_context: RequestContext {
            request_id: &parcel.event,
            function_arn: &item.arn,
            condition,
            // The last time the function was not asked.
            approximate_invoke_count: attempts.saturating_sub(u32::from(is_disabled)),
        },
        request_payload: Some(raw(&item.payload)),
        response_context: (!is_disabled).then_some(ResponseContext {
            status_code: 200,
            executed_version,
            function_error,
        }),
        response_payload: (!is_disabled).then_some(answer),
    };
    let mut text = written(&record);
    if text.len() > MAX_PAYLOAD {
        record.response_payload = None;
        text = written(&record);
    }
    if text.len() > MAX_PAYLOAD {
        record.request_payload = None;
        text = written(&record);
    }
    text
}

/// What goes with a dead letter, which is the event itself: what Lambda says in the attributes of a queue's message, as the client's
/// context of the call (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>). Values are
/// texts: typed runtimes read `custom` as a map of these.
pub(crate) fn attributes(parcel: &Parcel, reason: Reason) -> String {
    let failed = parcel.failures.as_ref();
    let mut message = failed.map_or_else(|| reason.to_string(), |failures| failures.message.clone());
    message.truncate(message.floor_char_boundary(ERROR_MESSAGE));
    let mut custom = json!({ "RequestID": parcel.event, "ErrorMessage": message });
    if let (Some(failures), Some(custom)) = (failed, custom.as_object_mut()) {
        custom.insert("ErrorCode".to_owned(), json!(status(&failures.word)));
    }
    ascii(&json!({ "custom": custom }).to_string())
}

/// The status with which a call that is not made later would have been answered. A function that ran and failed is 200.
fn status(word: &str) -> &'static str {
    match word {
        "bad_payload" => "400",
        "no_function" => "404",
        "busy" => "429",
        "platform" => "500",
        "unrunnable" => "502",
        "draining" => "503",
        _ => "200",
    }
}

/// JSON as it stands there; what is none is null.
fn raw(bytes: &[u8]) -> &RawValue {
    serde_json::from_slice(bytes).unwrap_or(RawValue::NULL)
}

fn written(record: &Record<'_>) -> Bytes {
    // Texts, numbers and what is JSON already can always be written.
    serde_json::to_vec(record).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use aloft_base::SeededChance;
    use aloft_call::Trace;
    use aloft_delivery::KeyHash;

    use super::*;
    use crate::Bounds;

    fn told(payload: &str, answer: &str) -> String {
        let item = Item {
            function: "worker".parse().unwrap(),
            qualifier: Qualifier::Latest,
            arn: "arn".into(),
            payload: payload.to_owned().into(),
            context: None,
            trace: Trace::begin(&SeededChance::new(1)),
            bounds: Bounds::default(),
        };
        let parcel = Parcel::new("id", KeyHash(1), Timestamp::default(), Bytes::new());
        let end = End::Done {
            version: 1,
            answer: &answer.to_owned().into(),
        };
        let text = record(&item, &parcel, &end, Timestamp::default());
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn what_was_given_and_answered_stands_there_digit_by_digit() {
        let text = told("{\"n\": 123456789012345678901234567890}", "1.10");
        assert!(
            text.contains("\"requestPayload\":{\"n\": 123456789012345678901234567890}"),
            "{text}"
        );
        assert!(text.ends_with("\"responsePayload\":1.10}"), "{text}");
        assert!(told("1", "no json").ends_with("\"responsePayload\":null}"));
    }

    #[test]
    fn what_would_be_too_large_is_left_out() {
        let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 100));
        let text = told("1", &large);
        assert!(text.contains("\"requestPayload\":1,") && !text.contains("responsePayload"));
        let text = told(&large, &large);
        assert!(text.len() < 1_000 && !text.contains("Payload"), "{text}");
    }
}
