//! `PutLogEvents`, with CloudWatch's bounds: 10,000 events and 1 MiB, 256 KiB each, in order, within 24 hours. Events that are too old, too
//! new or beyond the group's days are left out and told by their places; the rest is kept.

use aloft_base::Timestamp;
use aloft_log::{EVENT_BYTES, MAX_MESSAGE_BYTES, check_stream};
use serde_json::{Value as Json, json};

use super::groups::set;
use super::{Context, invalid, required};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Of one request.
const EVENTS: usize = 10_000;
const BYTES: u64 = 1 << 20;
const SPAN: u64 = DAY;
const DAY: u64 = 86_400_000;
/// How old an event may be, and how far ahead.
const PAST: u64 = 14 * DAY;
const FUTURE: u64 = 2 * 3_600_000;

pub(super) async fn put(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = required(&mut input, "logGroupName")?;
    let stream = required(&mut input, "logStreamName")?;
    check_stream(&stream)?;
    // CloudWatch takes any since 2023, and looks at none.
    input.text("sequenceToken")?;
    let events = input.list("logEvents")?;
    input.finish(&["entity"])?;
    let mut rules = Constraints::default();
    rules.required(events.is_some(), "logEvents");
    rules.check()?;
    let events = parse(events.unwrap_or_default())?;
    let kept_days = context
        .logs
        .group(context.namespace, &group)
        .await?
        .retention_days;
    let now = context.now.as_millis();
    let expired = kept_days.map_or(0, |days| now.saturating_sub(u64::from(days) * DAY));
    let (oldest, newest) = (now.saturating_sub(PAST), now + FUTURE);
    // In order of time, so each bound cuts the list once.
    let end = |bound: u64| events.partition_point(|(at, _)| at.as_millis() < bound);
    let (expired_end, old_end, new_start) = (end(expired), end(oldest), end(newest + 1));
    let mut rejected = json!({});
    if new_start < events.len() {
        set(&mut rejected, "tooNewLogEventStartIndex", json!(new_start));
    }
    if old_end > 0 {
        set(&mut rejected, "tooOldLogEventEndIndex", json!(old_end));
    }
    if expired_end > old_end {
        set(&mut rejected, "expiredLogEventEndIndex", json!(expired_end));
    }
    let (begin, end) = (expired_end.max(old_end), new_start);
    let kept: Vec<(Timestamp, String)> = events.into_iter().take(end).skip(begin).collect();
    // One with nothing to keep still tells whether the stream is there.
    context.logs.put(context.namespace, &group, &stream, kept).await?;
    // SDKs of the time before 2023 pass it on.
    let mut output = json!({ "nextSequenceToken": format!("{now:056}") });
    if rejected.as_object().is_some_and(|members| !members.is_empty()) {
        set(&mut output, "rejectedLogEventsInfo", rejected);
    }
    Ok(output)
}

fn parse(list: Vec<Json>) -> Result<Vec<(Timestamp, String)>, Refused> {
    if list.is_empty() || list.len() > EVENTS {
        return Err(invalid(format!(
            "logEvents has {} events: there must be 1 to {EVENTS}",
            list.len()
        )));
    }
    let (mut events, mut bytes) = (Vec::with_capacity(list.len()), 0);
    for (index, json) in list.into_iter().enumerate() {
        let mut event = Members::from_json(json)?;
        let (at, message) = (event.integer("timestamp")?, event.text("message")?);
        let (Some(at), Some(message)) = (at.and_then(|at| u64::try_from(at).ok()), message) else {
            return Err(invalid(format!(
                "logEvents[{index}] needs a timestamp, in milliseconds since 1970, and a message"
            )));
        };
        if message.is_empty() {
            return Err(invalid(format!(
                "logEvents[{index}] has an empty message: it must have at least 1 character"
            )));
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(invalid(format!(
                "Log event too large: {} bytes exceeds limit of {MAX_MESSAGE_BYTES}",
                message.len()
            )));
        }
        bytes += message.len() as u64 + EVENT_BYTES;
        events.push((Timestamp::from_millis(at), message));
    }
    if bytes > BYTES {
        return Err(invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BYTES}"
        )));
    }
    if !events.is_sorted_by_key(|(at, _)| *at) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let times = events.first().zip(events.last());
    if times.is_some_and(|((first, _), (last, _))| last.as_millis() - first.as_millis() > SPAN) {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(events)
}
