//! `UpdateItem`.

use aloft_item::{Item, Typed};
use aloft_table::{Update, Written};

use super::Context;
use super::expressions::placeholders;
use super::parameters::{ReturnValues, Write, WriteOutput, item};
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members};

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let write = Write::take(&mut input, &mut rules)?;
    let key = item(&mut input, "Key", "key", &mut rules)?;
    let update = input.text("UpdateExpression")?;
    rules.check()?;
    let name = context.writable(&write)?;
    let (update, condition) = {
        let expressions = [
            ("UpdateExpression", update.is_some()),
            ("ConditionExpression", write.condition.is_some()),
        ];
        let placeholders = placeholders(&mut input, &expressions)?;
        let update = update
            .map(|text| Update::parse(&text, &placeholders))
            .transpose()?;
        let condition = write.condition(&placeholders)?;
        placeholders.check_used()?;
        (update, condition)
    };
    input.finish(&["AttributeUpdates", "Expected", "ConditionalOperator"])?;

    let written = context
        .table(&name)
        .await?
        .update(&key, update.as_ref(), condition.as_ref())
        .await;
    let written = write.outcome(written)?;
    let shown = shown(write.returns, update.as_ref(), &written);
    json(&WriteOutput {
        attributes: shown.as_ref().map(Typed),
        consumed_capacity: write.cost(&name, &written),
    })
}

/// What the answer shows of the row; nothing rather than an empty row.
fn shown(returns: ReturnValues, update: Option<&Update>, written: &Written) -> Option<Item> {
    let touched = |item: &Item| update.map(|update| update.touched(item));
    let shown = match returns {
        ReturnValues::None => None,
        ReturnValues::AllOld => written.old.clone(),
        ReturnValues::AllNew => written.new.clone(),
        ReturnValues::UpdatedOld => written.old.as_ref().and_then(touched),
        ReturnValues::UpdatedNew => written.new.as_ref().and_then(touched),
    };
    shown.filter(|item| !item.0.is_empty())
}
