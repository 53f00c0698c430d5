//! What `Query` and `Scan` have in common.

use aloft_access::Action;
use aloft_base::TableName;
use aloft_item::{Item, Typed};
use aloft_table::{Condition, Found, Placeholders, Projection, Read, Select, read_units};
use serde::Serialize;

use super::Context;
use super::parameters::{Capacity, ConsumedCapacity, table_name};
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Projected,
    Specific,
    Count,
}

const WANTED: [(&str, Wanted); 4] = [
    ("SPECIFIC_ATTRIBUTES", Wanted::Specific),
    ("COUNT", Wanted::Count),
    ("ALL_ATTRIBUTES", Wanted::All),
    ("ALL_PROJECTED_ATTRIBUTES", Wanted::Projected),
];

/// The parameters of a page of rows.
pub(super) struct ReadMany {
    table: Option<String>,
    index: Option<String>,
    select: Option<Wanted>,
    limit: Option<usize>,
    start: Option<Item>,
    consistent: bool,
    capacity: Capacity,
    pub(super) filter: Option<String>,
    pub(super) projection: Option<String>,
}

impl ReadMany {
    pub(super) fn take(input: &mut Members, rules: &mut Constraints) -> Result<Self, Error> {
        let limit = input.integer("Limit")?;
        rules.in_range(limit, "limit", 1, i64::from(i32::MAX));
        let select = input.text("Select")?;
        let start = input
            .take("ExclusiveStartKey")
            .map(aloft_item::parse_item)
            .transpose();
        Ok(Self {
            table: table_name(input, rules)?,
            index: input.text("IndexName")?,
            select: rules.one_of(select.as_deref(), "select", &WANTED),
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            start: start.map_err(start_error)?,
            consistent: input.boolean("ConsistentRead")?.unwrap_or(false),
            capacity: Capacity::take(input, rules)?,
            filter: input.text("FilterExpression")?,
            projection: input.text("ProjectionExpression")?,
        })
    }

    /// The table, if the caller may read it.
    pub(super) fn readable(&self, context: &Context<'_>) -> Result<TableName, Error> {
        let name = context.named(self.table.as_deref())?;
        context.allow(Action::Read, &name)?;
        Ok(name)
    }

    pub(super) fn read(&self, placeholders: &Placeholders, operation: &str) -> Result<Read, Error> {
        let filter = self.filter.as_ref();
        let filter = filter
            .map(|text| Condition::parse("FilterExpression", text, placeholders))
            .transpose()?;
        let projection = self.projection.as_ref();
        let projection = projection
            .map(|text| Projection::parse(text, placeholders))
            .transpose()?;
        let select = select(self.select, projection, operation)?;
        Ok(Read {
            filter,
            select,
            limit: self.limit,
            start: self.start.clone(),
        })
    }

    /// Refuses an index, as no table has one. Asked when it is known that the table exists.
    pub(super) fn check_index(&self) -> Result<(), Error> {
        match &self.index {
            Some(index) => Err(Error::Validation(format!(
                "The table does not have the specified index: {index}"
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn answer(&self, name: &TableName, found: &Found) -> Result<Vec<u8>, Error> {
        let items = (self.select != Some(Wanted::Count)).then(|| found.items.iter().map(Typed).collect());
        json(&Output {
            items,
            count: found.count,
            scanned_count: found.scanned,
            last_evaluated_key: found.last.as_ref().map(Typed),
            consumed_capacity: self
                .capacity
                .told(name, || read_units(found.bytes, self.consistent)),
        })
    }
}

fn start_error(error: aloft_item::Error) -> Error {
    match error {
        aloft_item::Error::Shape(message) => Error::Serialization(message),
        other => Error::Validation(format!("The provided starting key is invalid: {other}")),
    }
}

fn select(wanted: Option<Wanted>, projection: Option<Projection>, operation: &str) -> Result<Select, Error> {
    let invalid = |message: String| Err(Error::Validation(message));
    match (wanted, projection) {
        (None | Some(Wanted::Specific), Some(projection)) => Ok(Select::Some(projection)),
        (None | Some(Wanted::All), None) => Ok(Select::All),
        (Some(Wanted::Count), None) => Ok(Select::Count),
        (Some(Wanted::Specific), None) => invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES".to_owned(),
        ),
        (Some(Wanted::All), Some(_)) => {
            invalid("Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES".to_owned())
        }
        (Some(Wanted::Count), Some(_)) => {
            invalid("Cannot specify the ProjectionExpression when choosing to get only the Count".to_owned())
        }
        (Some(Wanted::Projected), _) => {
            invalid(format!("ALL_PROJECTED_ATTRIBUTES can be used only when {operation} using an IndexName"))
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Typed<'a, Item>>>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Typed<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity<'a>>,
}
