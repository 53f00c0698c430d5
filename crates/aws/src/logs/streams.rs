//! Streams: `CreateLogStream`, `DeleteLogStream`, `DescribeLogStreams`.
//!
//! A token says where the last page ended in the order that is asked for, by the name of its last stream and, in the order of time, by the
//! time that this had then: `1795000000000:NAME`, or `:NAME` of one without events. So it leads on whatever becomes of that stream; no name
//! has a colon.

use aloft_base::Timestamp;
use aloft_log::{Stream, check_stream};
use serde_json::{Value as Json, json};

use super::groups::set;
use super::{Context, invalid, limit, not_ours, required};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Streams that are taken at once.
const PAGE: usize = 1_000;
/// Streams of a group that are put into another order than that of their names.
const ORDERED: usize = 50_000;

pub(super) async fn create(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = required(&mut input, "logGroupName")?;
    let name = required(&mut input, "logStreamName")?;
    context
        .logs
        .create_stream(context.namespace, &group, &name)
        .await?;
    Ok(Json::Null)
}

pub(super) async fn delete(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = required(&mut input, "logGroupName")?;
    let name = required(&mut input, "logStreamName")?;
    check_stream(&name)?;
    context
        .logs
        .delete_stream(context.namespace, &group, &name)
        .await?;
    Ok(Json::Null)
}

pub(super) async fn describe(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let group = context.group_or_identifier(&mut input)?;
    let prefix = input.text("logStreamNamePrefix")?;
    let order = input.text("orderBy")?;
    let is_descending = input.boolean("descending")?.unwrap_or(false);
    let token = input.text("nextToken")?;
    let limit = limit(&mut input, 50)?;
    let mut rules = Constraints::default();
    let words = [("LogStreamName", false), ("LastEventTime", true)];
    let by_time = rules.one_of(order.as_deref(), "orderBy", &words).unwrap_or(false);
    rules.check()?;
    if by_time && prefix.is_some() {
        return Err(invalid(
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ));
    }
    if let Some(given) = &prefix {
        check_stream(given)?;
    }
    let prefix = prefix.unwrap_or_default();
    let token = token.map(|token| Place::parse(&token, by_time)).transpose()?;
    let (streams, more) = if by_time || is_descending {
        let mut all = all(context, &group, &prefix).await?;
        // By names they come.
        if by_time {
            all.sort_by_cached_key(|stream| Place::of(stream, by_time));
        }
        if is_descending {
            all.reverse();
        }
        let begin = token.map_or(0, |token| {
            all.partition_point(|stream| {
                let place = Place::of(stream, by_time);
                if is_descending {
                    place >= token
                } else {
                    place <= token
                }
            })
        });
        let more = all.len() > begin + limit;
        let page: Vec<Stream> = all.into_iter().skip(begin).take(limit).collect();
        (page, more)
    } else {
        context
            .logs
            .streams(
                context.namespace,
                &group,
                &prefix,
                token.as_ref().map(|token| token.name.as_str()),
                limit,
            )
            .await?
    };
    let shown: Vec<Json> = streams
        .iter()
        .map(|stream| described(context, &group, stream))
        .collect();
    let mut output = json!({ "logStreams": shown });
    if let Some(last) = streams.last().filter(|_| more) {
        set(
            &mut output,
            "nextToken",
            json!(Place::of(last, by_time).token(by_time)),
        );
    }
    Ok(output)
}

/// Where a stream stands in the order of time, those without events first, or, with no time at all, in that of names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    last: Option<Timestamp>,
    name: String,
}

impl Place {
    fn of(stream: &Stream, by_time: bool) -> Self {
        Self {
            last: stream.last.filter(|_| by_time),
            name: stream.name.clone(),
        }
    }

    fn token(&self, by_time: bool) -> String {
        let Self { last, name } = self;
        match last {
            _ if !by_time => name.clone(),
            Some(last) => format!("{}:{name}", last.as_millis()),
            None => format!(":{name}"),
        }
    }

    fn parse(token: &str, by_time: bool) -> Result<Self, Refused> {
        let (last, name) = match token.split_once(':') {
            Some(("", name)) if by_time => (None, name),
            Some((millis, name)) if by_time => (Some(millis.parse().map_err(|_| not_ours())?), name),
            None if !by_time => (None, token),
            _ => return Err(not_ours()),
        };
        check_stream(name).map_err(|_| not_ours())?;
        Ok(Self {
            last: last.map(Timestamp::from_millis),
            name: name.to_owned(),
        })
    }
}

async fn all(context: &Context<'_>, group: &str, prefix: &str) -> Result<Vec<Stream>, Refused> {
    let mut all: Vec<Stream> = Vec::new();
    loop {
        let after = all.last().map(|stream| stream.name.clone());
        let (streams, more) = context
            .logs
            .streams(context.namespace, group, prefix, after.as_deref(), PAGE)
            .await?;
        all.extend(streams);
        if !more {
            return Ok(all);
        }
        if all.len() >= ORDERED {
            return Err(invalid(format!(
                "the log group has more than {ORDERED} such streams: list them in the order of their names"
            )));
        }
    }
}

fn described(context: &Context<'_>, group: &str, stream: &Stream) -> Json {
    let mut shown = json!({
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "arn": format!("{}:log-stream:{}", context.arn(group), stream.name),
        // CloudWatch has not told it since 2019, and SDKs expect the number.
        "storedBytes": 0,
    });
    let times: [(&str, Option<Timestamp>); 3] = [
        ("firstEventTimestamp", stream.first),
        ("lastEventTimestamp", stream.last),
        ("lastIngestionTime", stream.ingested),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            set(&mut shown, name, json!(time));
        }
    }
    shown
}
