//! `DescribeTable`, `ListTables` and `DeleteTable`.

use aloft_access::{Action, Resource, decide};
use aloft_base::TableName;
use serde::Serialize;

use super::Context;
use super::describe::TableDescription;
use super::parameters::table_name;
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members};

/// The most names in one answer, and as many as come unless fewer are wanted: DynamoDB's.
const MOST_NAMES: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeOutput<'a> {
    table: TableDescription<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteOutput<'a> {
    table_description: TableDescription<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListOutput<'a> {
    table_names: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_table_name: Option<&'a str>,
}

pub(super) async fn describe(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let name = named(context, &mut input, Action::Read)?;
    let table = context.table(&name).await.map_err(with_name)?;
    let size = table.size().await?;
    json(&DescribeOutput {
        table: TableDescription::new(context, table.description(), "ACTIVE", Some(size)),
    })
}

pub(super) async fn delete(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let name = named(context, &mut input, Action::Manage)?;
    let description = context
        .tables
        .delete(context.namespace, &name)
        .await
        .map_err(|error| with_name(error.into()))?;
    json(&DeleteOutput {
        table_description: TableDescription::new(context, &description, "DELETING", None),
    })
}

pub(super) async fn list(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let limit = input.integer("Limit")?;
    let most = i64::try_from(MOST_NAMES).unwrap_or(i64::MAX);
    rules.in_range(limit, "limit", 1, most);
    let after = input.text("ExclusiveStartTableName")?;
    if let Some(name) = after.as_deref().filter(|name| name.parse::<TableName>().is_err()) {
        let shown: String = name.chars().take(300).collect();
        let rule = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+, of 3 to 255 characters";
        rules.broken(&format!("Value '{shown}'"), "exclusiveStartTableName", rule);
    }
    rules.check()?;
    decide(context.caller, Action::Manage, Resource::Tables)?;

    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(MOST_NAMES);
    let (names, more) = context
        .tables
        .list(context.namespace, after.as_deref(), limit)
        .await?;
    let last = names.last().filter(|_| more).map(String::as_str);
    json(&ListOutput {
        table_names: &names,
        last_evaluated_table_name: last,
    })
}

fn named(context: &Context<'_>, input: &mut Members, action: Action) -> Result<TableName, Error> {
    let mut rules = Constraints::default();
    let name = table_name(input, &mut rules)?;
    rules.check()?;
    let name = context.named(name.as_deref())?;
    context.allow(action, &name)?;
    Ok(name)
}

/// These two operations say which table is not there; the others do not.
fn with_name(error: Error) -> Error {
    match error {
        Error::Table(aloft_table::Error::Missing(name)) => Error::NoTable(name),
        other => other,
    }
}
