//! `DeadLetterConfig`: who gets the events of asynchronous calls that were given up.
//!
//! On Lambda it is a queue or a topic. Neither is here yet, and a function takes its place, as it does with destinations.

use aloft_base::FunctionName;
use aloft_function::Configuration;

use super::{Context, events};
use crate::Error as Refused;

/// Puts what a request says into a configuration of `function`: an ARN that is empty takes it away.
pub(super) async fn apply(
    context: &Context<'_>,
    function: &FunctionName,
    given: Option<String>,
    configuration: &mut Configuration,
) -> Result<(), Refused> {
    let Some(arn) = given else { return Ok(()) };
    if arn.is_empty() {
        configuration.dead_letter = None;
        return Ok(());
    }
    check(context, function, &arn).await?;
    configuration.dead_letter = Some(arn);
    Ok(())
}

/// Whether it is another function of this account and region, which is there.
async fn check(context: &Context<'_>, function: &FunctionName, arn: &str) -> Result<(), Refused> {
    let target = events::target(context, arn)?;
    if target.function == *function {
        let why = "a function cannot take its own failed events: name another function";
        return Err(events::invalid_target(arn, why));
    }
    events::is_there(context, &target, arn).await
}
