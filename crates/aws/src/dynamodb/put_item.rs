//! `PutItem`.

use super::Context;
use super::parameters::{Write, item};
use crate::Error;
use crate::input::{Constraints, Members};

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let write = Write::take(&mut input, &mut rules)?;
    let item = item(&mut input, "Item", "item", &mut rules)?;
    rules.check()?;
    let name = context.writable(&write)?;
    let condition = write.take_whole(input)?;

    let written = context.table(&name).await?.put(item, condition.as_ref()).await;
    write.answer_whole(&name, written)
}
