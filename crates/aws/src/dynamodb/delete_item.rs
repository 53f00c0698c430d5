//! `DeleteItem`.

use aloft_item::Typed;

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
    rules.check()?;
    let name = context.writable(&write)?;
    let condition = {
        let placeholders = placeholders(&mut input, &[("ConditionExpression", write.condition.is_some())])?;
        let condition = write.condition(&placeholders)?;
        placeholders.check_used()?;
        condition
    };
    input.finish(&["Expected", "ConditionalOperator"])?;
    write.check_whole()?;

    let written = context.table(&name).await?.delete(&key, condition.as_ref()).await;
    let written = write.outcome(written)?;
    let old = written
        .old
        .as_ref()
        .filter(|_| write.returns == ReturnValues::AllOld);
    json(&WriteOutput {
        attributes: old.map(Typed),
        consumed_capacity: write.cost(&name, &written),
    })
}
