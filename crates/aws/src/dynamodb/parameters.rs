//! Parameters that several operations share.

use aloft_base::TableName;
use aloft_item::{Item, Typed};
use aloft_table::{Condition, Placeholders, Written, write_units};
use serde::Serialize;

use super::Context;
use super::expressions::placeholders;
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members};

/// What a write answers besides that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReturnValues {
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

const RETURN_VALUES: [(&str, ReturnValues); 5] = [
    ("ALL_NEW", ReturnValues::AllNew),
    ("UPDATED_OLD", ReturnValues::UpdatedOld),
    ("ALL_OLD", ReturnValues::AllOld),
    ("NONE", ReturnValues::None),
    ("UPDATED_NEW", ReturnValues::UpdatedNew),
];

/// Whether an answer tells what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    Untold,
    Total,
    /// By index; there is only the table.
    Indexes,
}

const CAPACITY: [(&str, Capacity); 3] = [
    ("INDEXES", Capacity::Indexes),
    ("TOTAL", Capacity::Total),
    ("NONE", Capacity::Untold),
];

impl Capacity {
    pub(super) fn take(input: &mut Members, rules: &mut Constraints) -> Result<Self, Error> {
        let given = input.text("ReturnConsumedCapacity")?;
        Ok(rules
            .one_of(given.as_deref(), "returnConsumedCapacity", &CAPACITY)
            .unwrap_or(Self::Untold))
    }

    /// What the answer tells, if it tells; the units are only counted then.
    pub(super) fn told(self, table: &TableName, units: impl FnOnce() -> f64) -> Option<ConsumedCapacity<'_>> {
        if self == Self::Untold {
            return None;
        }
        let capacity_units = units();
        let table_units = (self == Self::Indexes).then_some(Units { capacity_units });
        Some(ConsumedCapacity {
            table_name: table.as_str(),
            capacity_units,
            table: table_units,
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConsumedCapacity<'a> {
    table_name: &'a str,
    capacity_units: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Units>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Units {
    capacity_units: f64,
}

/// A table's name, required.
pub(super) fn table_name(input: &mut Members, rules: &mut Constraints) -> Result<Option<String>, Error> {
    let name = input.text("TableName")?;
    rules.required(name.is_some(), "tableName");
    Ok(name)
}

/// A row or a row's key; `at` is the member's name in constraints.
pub(super) fn item(
    input: &mut Members,
    name: &str,
    at: &str,
    rules: &mut Constraints,
) -> Result<Item, Error> {
    let json = input.take(name);
    rules.required(json.is_some(), at);
    Ok(json.map(aloft_item::parse_item).transpose()?.unwrap_or_default())
}

/// What put, update and delete have in common.
pub(super) struct Write {
    pub(super) table: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) returns: ReturnValues,
    capacity: Capacity,
    /// Whether a failed condition shows the row.
    shows_row: bool,
}

impl Write {
    pub(super) fn take(input: &mut Members, rules: &mut Constraints) -> Result<Self, Error> {
        let table = table_name(input, rules)?;
        let capacity = Capacity::take(input, rules)?;
        // There are no local secondary indexes, of which alone DynamoDB tells collections' sizes: both words mean nothing.
        let metrics = input.text("ReturnItemCollectionMetrics")?;
        rules.one_of(
            metrics.as_deref(),
            "returnItemCollectionMetrics",
            &[("SIZE", ()), ("NONE", ())],
        );
        let returns = input.text("ReturnValues")?;
        let returns = rules.one_of(returns.as_deref(), "returnValues", &RETURN_VALUES);
        let on_failure = input.text("ReturnValuesOnConditionCheckFailure")?;
        let words = [("ALL_OLD", true), ("NONE", false)];
        let shows_row = rules.one_of(
            on_failure.as_deref(),
            "returnValuesOnConditionCheckFailure",
            &words,
        );
        Ok(Self {
            table,
            condition: input.text("ConditionExpression")?,
            returns: returns.unwrap_or(ReturnValues::None),
            capacity,
            shows_row: shows_row.unwrap_or(false),
        })
    }

    /// The rest of the input of put and delete, which have no expression but the condition and change no part of a row.
    pub(super) fn take_whole(&self, mut input: Members) -> Result<Option<Condition>, Error> {
        let placeholders = placeholders(&mut input, &[("ConditionExpression", self.condition.is_some())])?;
        let condition = self.condition(&placeholders)?;
        placeholders.check_used()?;
        input.finish(&["Expected", "ConditionalOperator"])?;
        match self.returns {
            ReturnValues::None | ReturnValues::AllOld => Ok(condition),
            ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
                Err(Error::Validation("Return values set to invalid value".to_owned()))
            }
        }
    }

    /// The answer of put and delete.
    pub(super) fn answer_whole(
        &self,
        table: &TableName,
        result: Result<Written, aloft_table::Error>,
    ) -> Result<Vec<u8>, Error> {
        let written = self.outcome(result)?;
        let old = written
            .old
            .as_ref()
            .filter(|_| self.returns == ReturnValues::AllOld);
        json(&WriteOutput {
            attributes: old.map(Typed),
            consumed_capacity: self.cost(table, &written),
        })
    }

    pub(super) fn condition(&self, placeholders: &Placeholders) -> Result<Option<Condition>, Error> {
        let parse = |text: &String| Condition::parse("ConditionExpression", text, placeholders);
        Ok(self.condition.as_ref().map(parse).transpose()?)
    }

    /// What became of the write; the row that a failed condition met is only told to who asked.
    pub(super) fn outcome(&self, result: Result<Written, aloft_table::Error>) -> Result<Written, Error> {
        match result {
            Err(aloft_table::Error::ConditionFailed { .. }) if !self.shows_row => {
                Err(aloft_table::Error::ConditionFailed { item: None }.into())
            }
            other => Ok(other?),
        }
    }

    pub(super) fn cost<'a>(&self, table: &'a TableName, written: &Written) -> Option<ConsumedCapacity<'a>> {
        self.capacity
            .told(table, || write_units(written.old.as_ref(), written.new.as_ref()))
    }
}

/// The answer to a write.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteOutput<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attributes: Option<Typed<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consumed_capacity: Option<ConsumedCapacity<'a>>,
}

impl Context<'_> {
    /// The table of a write, if the caller may write it.
    pub(super) fn writable(&self, write: &Write) -> Result<TableName, Error> {
        let name = self.named(write.table.as_deref())?;
        self.allow(aloft_access::Action::Write, &name)?;
        Ok(name)
    }
}
