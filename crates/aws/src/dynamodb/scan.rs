//! `Scan`, whole or in segments.

use aloft_table::Scan;

use super::Context;
use super::expressions::placeholders;
use super::read_many::ReadMany;
use crate::Error;
use crate::input::{Constraints, Members};

/// The most segments: DynamoDB's.
const MOST_SEGMENTS: i64 = 1_000_000;

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let many = ReadMany::take(&mut input, &mut rules)?;
    let (part, of) = (input.integer("Segment")?, input.integer("TotalSegments")?);
    rules.in_range(part, "segment", 0, MOST_SEGMENTS - 1);
    rules.in_range(of, "totalSegments", 1, MOST_SEGMENTS);
    rules.check()?;
    let segment = segment(part, of)?;
    let name = many.readable(context)?;
    let scan = {
        let expressions = [
            ("ProjectionExpression", many.projection.is_some()),
            ("FilterExpression", many.filter.is_some()),
        ];
        let placeholders = placeholders(&mut input, &expressions)?;
        input.finish(&["AttributesToGet", "ScanFilter", "ConditionalOperator"])?;
        let read = many.read(&placeholders, "Scanning")?;
        placeholders.check_used()?;
        Scan { segment, read }
    };

    let table = context.table(&name).await?;
    many.check_index()?;
    many.answer(&name, &table.scan(&scan).await?)
}

fn segment(part: Option<i64>, of: Option<i64>) -> Result<Option<(u32, u32)>, Error> {
    let invalid = |message: String| Err(Error::Validation(message));
    let small = |n: i64| u32::try_from(n).unwrap_or(0);
    match (part, of) {
        (None, None) => Ok(None),
        (Some(part), Some(of)) if part < of => Ok(Some((small(part), small(of)))),
        (Some(part), Some(of)) => invalid(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {part} is not less than TotalSegments: {of}"
        )),
        (Some(_), None) => invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
                .to_owned(),
        ),
        (None, Some(_)) => invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
                .to_owned(),
        ),
    }
}
