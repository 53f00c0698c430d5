//! Reading events: `GetLogEvents` of one stream, both ways from any place, and `FilterLogEvents` of a group.
//!
//! A token is a place in the order of time and the direction in which to go on from there. So the token at an end stays the same, which
//! is how clients know that they are there, and is good again when more has come.

use aloft_log::{Direction, Pattern, Position, Query, Streams, check_stream};
use serde_json::{Value as Json, json};

use super::groups::set;
use super::{Context, invalid, limit, not_ours, number, required, tags};
use crate::Error as Refused;
use crate::input::Members;

/// The most events of an answer, and as many as come unless fewer are wanted.
const EVENTS: u32 = 10_000;
/// The most bytes of an answer's messages.
const BYTES: usize = 1 << 20;

pub(super) async fn get(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = context.group_or_identifier(&mut input)?;
    let stream = required(&mut input, "logStreamName")?;
    check_stream(&stream)?;
    let since = number(&mut input, "startTime", 0, i64::MAX)?;
    let until = number(&mut input, "endTime", 0, i64::MAX)?;
    let token = input.text("nextToken")?;
    let limit = limit(&mut input, EVENTS)?;
    let from_head = input.boolean("startFromHead")?.unwrap_or(false);
    // Nothing is masked, so there is nothing to be shown that would not be.
    input.boolean("unmask")?;
    let (direction, from) = match token.as_deref() {
        Some(token) => place(token)?,
        None if from_head => (Direction::Forward, Position::START),
        None => (Direction::Backward, Position::END),
    };
    let query = Query {
        streams: Streams::Named(vec![stream]),
        since: since.unwrap_or(0),
        until: until.unwrap_or(u64::MAX),
        from,
        direction,
        limit,
        bytes: BYTES,
        ..Query::all(&group)
    };
    let mut page = context.logs.read(context.namespace, &query, None).await?;
    let (forward, backward) = match direction {
        Direction::Forward => {
            let first = page.events.first().map(|event| event.position);
            (page.next, first.unwrap_or(from))
        }
        Direction::Backward => {
            page.events.reverse();
            let last = page.events.last().map(|event| event.position.next());
            // Of a stream that has nothing yet, what comes is after its begin.
            let nothing = if from == Position::END {
                Position::START
            } else {
                from
            };
            (last.unwrap_or(nothing), page.next)
        }
    };
    let shown: Vec<Json> = page
        .events
        .iter()
        .map(|event| {
            json!({
                "timestamp": event.position.at, "message": event.message, "ingestionTime": event.ingested,
            })
        })
        .collect();
    Ok(json!({
        "events": shown,
        "nextForwardToken": format!("f/{}", forward.digits()),
        "nextBackwardToken": format!("b/{}", backward.digits()),
    }))
}

pub(super) async fn filter(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = context.group_or_identifier(&mut input)?;
    let names = tags::texts(&mut input, "logStreamNames")?;
    let prefix = input.text("logStreamNamePrefix")?;
    let since = number(&mut input, "startTime", 0, i64::MAX)?;
    let until = number(&mut input, "endTime", 0, i64::MAX - 1)?;
    let pattern = input.text("filterPattern")?;
    let token = input.text("nextToken")?;
    let limit = limit(&mut input, EVENTS)?;
    let from_head = input.boolean("startFromHead")?.unwrap_or(true);
    // CloudWatch always interleaves since 2019, and nothing is masked.
    input.boolean("interleaved")?;
    input.boolean("unmask")?;
    let streams = match (names, prefix) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "Cannot specify both logStreamNames and logStreamNamePrefix.",
            ));
        }
        (Some(names), None) if names.is_empty() || names.len() > 100 => {
            return Err(invalid("logStreamNames must have 1 to 100 names"));
        }
        (Some(names), None) => {
            names.iter().try_for_each(|name| check_stream(name))?;
            Streams::Named(names)
        }
        (None, Some(prefix)) => {
            check_stream(&prefix)?;
            Streams::Prefix(prefix)
        }
        (None, None) => Streams::All,
    };
    let pattern = pattern.filter(|pattern| !pattern.trim().is_empty());
    let pattern = pattern.map(|pattern| Pattern::parse(&pattern)).transpose();
    let pattern = pattern.map_err(|error| invalid(error.to_string()))?;
    let (direction, from) = match token.as_deref() {
        Some(token) => place(token)?,
        None if from_head => (Direction::Forward, Position::START),
        None => (Direction::Backward, Position::END),
    };
    let query = Query {
        streams,
        since: since.unwrap_or(0),
        // Here the end is taken too.
        until: until.map_or(u64::MAX, |until| until + 1),
        from,
        direction,
        limit,
        bytes: BYTES,
        ..Query::all(&group)
    };
    let page = context
        .logs
        .read(context.namespace, &query, pattern.as_ref())
        .await?;
    let shown: Vec<Json> = page
        .events
        .iter()
        .map(|event| {
            json!({
                "logStreamName": &*event.stream, "timestamp": event.position.at, "message": event.message,
                "ingestionTime": event.ingested, "eventId": event.position.digits(),
            })
        })
        .collect();
    let mut output = json!({ "events": shown, "searchedLogStreams": [] });
    if !page.is_done {
        let way = match direction {
            Direction::Forward => 'f',
            Direction::Backward => 'b',
        };
        set(
            &mut output,
            "nextToken",
            json!(format!("{way}/{}", page.next.digits())),
        );
    }
    Ok(output)
}

/// Where a token leads.
fn place(token: &str) -> Result<(Direction, Position), Refused> {
    let (direction, digits) = match token.split_once('/') {
        Some(("f", digits)) => (Direction::Forward, digits),
        Some(("b", digits)) => (Direction::Backward, digits),
        _ => return Err(not_ours()),
    };
    let position = Position::parse(digits).ok_or_else(not_ours)?;
    Ok((direction, position))
}
