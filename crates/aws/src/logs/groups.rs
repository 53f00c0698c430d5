//! Groups: `CreateLogGroup`, `DeleteLogGroup`, `DescribeLogGroups`, `PutRetentionPolicy`, `DeleteRetentionPolicy`.

use aloft_log::{Group, check_group};
use serde_json::{Value as Json, json};

use super::{Context, invalid, limit, not_ours, number, required, tags};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Groups that are looked at once.
const PAGE: usize = 200;

pub(super) async fn create(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = required(&mut input, "logGroupName")?;
    let tags = tags::given(&mut input, "tags")?.unwrap_or_default();
    class(&mut input)?;
    if input.boolean("deletionProtectionEnabled")? == Some(true) {
        return Err(invalid(
            "deletionProtectionEnabled is not supported yet: a log group can always be deleted",
        ));
    }
    input.finish(&["kmsKeyId"])?;
    context.logs.create_group(context.namespace, &name, tags).await?;
    Ok(Json::Null)
}

pub(super) async fn delete(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = required(&mut input, "logGroupName")?;
    context.logs.delete_group(context.namespace, &name).await?;
    Ok(Json::Null)
}

pub(super) async fn describe(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let prefix = input.text("logGroupNamePrefix")?;
    let pattern = input.text("logGroupNamePattern")?;
    let token = input.text("nextToken")?;
    let limit = limit(&mut input, 50)?;
    class(&mut input)?;
    input.finish(&[
        "accountIdentifiers",
        "includeLinkedAccounts",
        "logGroupIdentifiers",
    ])?;
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    for given in prefix.iter().chain(&pattern) {
        check_group(given)?;
    }
    if token.as_deref().is_some_and(|token| check_group(token).is_err()) {
        return Err(not_ours());
    }
    let (prefix, pattern) = (prefix.unwrap_or_default(), pattern.unwrap_or_default());
    let (mut after, mut found, mut next) = (token, Vec::new(), None);
    'pages: loop {
        let (groups, more) = context
            .logs
            .groups(context.namespace, &prefix, after.as_deref(), PAGE)
            .await?;
        let matching = groups.iter().filter(|group| group.name.contains(&pattern));
        for group in matching {
            if found.len() == limit {
                next = found.last().map(|group: &Group| group.name.clone());
                break 'pages;
            }
            found.push(group.clone());
        }
        match groups.last() {
            Some(last) if more => after = Some(last.name.clone()),
            _ => break,
        }
    }
    let groups: Vec<Json> = found.iter().map(|group| described(context, group)).collect();
    let mut output = json!({ "logGroups": groups });
    if let Some(next) = next {
        set(&mut output, "nextToken", json!(next));
    }
    Ok(output)
}

pub(super) async fn keep_for_days(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = required(&mut input, "logGroupName")?;
    let days = number(&mut input, "retentionInDays", 0, i64::from(u32::MAX))?;
    let mut rules = Constraints::default();
    rules.required(days.is_some(), "retentionInDays");
    rules.check()?;
    let days = days.and_then(|days| u32::try_from(days).ok());
    context.logs.set_retention(context.namespace, &name, days).await?;
    Ok(Json::Null)
}

pub(super) async fn keep_for_good(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = required(&mut input, "logGroupName")?;
    context.logs.set_retention(context.namespace, &name, None).await?;
    Ok(Json::Null)
}

/// There is one class of groups, and nothing changes for whoever names it.
fn class(input: &mut Members) -> Result<(), Refused> {
    let given = input.text("logGroupClass")?;
    let words = [
        ("STANDARD", true),
        ("INFREQUENT_ACCESS", false),
        ("DELIVERY", false),
        ("ESSENTIALS", false),
    ];
    let mut rules = Constraints::default();
    let is_known = rules.one_of(given.as_deref(), "logGroupClass", &words);
    rules.check()?;
    match (is_known, given) {
        (Some(false), Some(given)) => Err(invalid(format!(
            "the log group class {given} is not supported yet: there is STANDARD"
        ))),
        _ => Ok(()),
    }
}

fn described(context: &Context<'_>, group: &Group) -> Json {
    let arn = context.arn(&group.name);
    let mut shown = json!({
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": format!("{arn}:*"),
        "storedBytes": group.bytes,
        "logGroupClass": "STANDARD",
        "logGroupArn": arn,
        "deletionProtectionEnabled": false,
    });
    if let Some(days) = group.retention_days {
        set(&mut shown, "retentionInDays", json!(days));
    }
    shown
}

pub(super) fn set(output: &mut Json, name: &str, value: Json) {
    if let Some(members) = output.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
