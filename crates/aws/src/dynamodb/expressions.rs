//! What stands for names and values in a request's expressions, taken from its members.

use std::collections::BTreeMap;

use aloft_item::{Value, parse_value};
use aloft_table::Placeholders;

use crate::Error;
use crate::input::Members;

/// Takes names and values. `expressions` are those that the operation knows, and whether each was given: without one there is
/// nothing that a placeholder could stand in.
pub(super) fn placeholders(input: &mut Members, expressions: &[(&str, bool)]) -> Result<Placeholders, Error> {
    let names = input.texts("ExpressionAttributeNames")?;
    // A projection has no values; an operation with nothing else does not know the member.
    let with_values: Vec<&(&str, bool)> = expressions
        .iter()
        .filter(|(name, _)| *name != "ProjectionExpression")
        .collect();
    let values = if with_values.is_empty() {
        None
    } else {
        values(input)?
    };
    if names.is_some() && !expressions.iter().any(|(_, given)| *given) {
        return Err(Error::Validation(
            "ExpressionAttributeNames can only be specified when using expressions".to_owned(),
        ));
    }
    if values.is_some() && !with_values.iter().any(|(_, given)| *given) {
        let names: Vec<&str> = with_values.iter().map(|(name, _)| *name).collect();
        let verb = if names.len() > 1 { "are" } else { "is" };
        return Err(Error::Validation(format!(
            "ExpressionAttributeValues can only be specified when using expressions: {} {verb} null",
            names.join(" and ")
        )));
    }
    Ok(Placeholders::new(names, values)?)
}

fn values(input: &mut Members) -> Result<Option<BTreeMap<String, Value>>, Error> {
    let Some(members) = input.object("ExpressionAttributeValues")? else {
        return Ok(None);
    };
    let parse = |(key, json)| match parse_value(json) {
        Ok(value) => Ok((key, value)),
        Err(aloft_item::Error::Shape(message)) => Err(Error::Serialization(message)),
        Err(error) => Err(Error::Validation(format!(
            "ExpressionAttributeValues contains invalid value: {error} for key {key}"
        ))),
    };
    members
        .into_entries()
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Some)
}
