//! `Query`.

use aloft_table::{KeyCondition, Query};

use super::Context;
use super::expressions::placeholders;
use super::read_many::ReadMany;
use crate::Error;
use crate::input::{Constraints, Members};

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let many = ReadMany::take(&mut input, &mut rules)?;
    let condition = input.text("KeyConditionExpression")?;
    let forward = input.boolean("ScanIndexForward")?.unwrap_or(true);
    rules.check()?;
    let name = many.readable(context)?;
    let query = {
        let expressions = [
            ("ProjectionExpression", many.projection.is_some()),
            ("FilterExpression", many.filter.is_some()),
            ("KeyConditionExpression", condition.is_some()),
        ];
        let placeholders = placeholders(&mut input, &expressions)?;
        input.finish(&[
            "AttributesToGet",
            "KeyConditions",
            "QueryFilter",
            "ConditionalOperator",
        ])?;
        let Some(condition) = condition else {
            return Err(Error::Validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.".to_owned(),
            ));
        };
        let read = many.read(&placeholders, "Querying")?;
        let condition = KeyCondition::parse(&condition, &placeholders)?;
        placeholders.check_used()?;
        Query {
            condition,
            forward,
            read,
        }
    };

    let table = context.table(&name).await?;
    many.check_index()?;
    many.answer(&name, &table.query(&query).await?)
}
