//! `GetItem`. Every read is of the newest state, so that `ConsistentRead` only changes what a read is said to cost.

use aloft_access::Action;
use aloft_item::{Item, Typed};
use aloft_table::{Projection, read_units};
use serde::Serialize;

use super::Context;
use super::expressions::placeholders;
use super::parameters::{Capacity, ConsumedCapacity, item, table_name};
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Typed<'a, Item>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity<'a>>,
}

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let name = table_name(&mut input, &mut rules)?;
    let key = item(&mut input, "Key", "key", &mut rules)?;
    let consistent = input.boolean("ConsistentRead")?.unwrap_or(false);
    let capacity = Capacity::take(&mut input, &mut rules)?;
    let projection = input.text("ProjectionExpression")?;
    rules.check()?;
    let name = context.named(name.as_deref())?;
    context.allow(Action::Read, &name)?;
    let projection = {
        let placeholders = placeholders(&mut input, &[("ProjectionExpression", projection.is_some())])?;
        let projection = projection
            .map(|text| Projection::parse(&text, &placeholders))
            .transpose()?;
        placeholders.check_used()?;
        projection
    };
    input.finish(&["AttributesToGet"])?;

    let found = context.table(&name).await?.get(&key).await?;
    let bytes = found.as_ref().map_or(0, Item::size);
    let shown = match (found, projection) {
        (Some(found), Some(projection)) => Some(projection.apply(&found)),
        (found, _) => found,
    };
    json(&Output {
        item: shown.as_ref().map(Typed),
        consumed_capacity: capacity.told(&name, || read_units(bytes, consistent)),
    })
}
