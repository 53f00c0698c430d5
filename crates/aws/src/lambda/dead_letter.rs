//! `DeadLetterConfig`: who gets the events of asynchronous calls that were given up.
//!
//! On Lambda it is a queue or a topic. Neither is here yet, and a function takes its place, as it does with destinations.

use aloft_base::FunctionName;
use aloft_function::Configuration;

use super::names::Named;
use super::{Context, Error, events, settings};
use crate::Error as Refused;
use crate::service::Service;

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
    let refused = |why: String| {
        let arn: String = arn.chars().take(200).collect();
        Refused::from(Error::Invalid(format!(
            "The provided target arn {arn} is invalid: {why}"
        )))
    };
    let parts: Vec<&str> = arn.split(':').collect();
    if parts.get(2) != Some(&Service::Lambda.name()) {
        return Err(settings::no_service(arn));
    }
    let [_, "aws", _, in_region, _, "function", ..] = parts.as_slice() else {
        return Err(refused("it names no function".to_owned()));
    };
    let region = &context.caller.region;
    if *in_region != region.as_str() {
        let in_region: String = in_region.chars().take(40).collect();
        return Err(refused(format!(
            "it is of the region {in_region}, and this request was made to {region}"
        )));
    }
    let target = Named::read(context.caller, arn, None)?;
    if target.function == *function {
        let why = "a function cannot take its own failed events: name another function";
        return Err(refused(why.to_owned()));
    }
    events::is_there(context, &target, arn).await
}
