//! Projections: which attributes, or parts of them, an answer shows.

use aloft_item::Item;

use super::parser::{Parser, parse};
use super::path::{Path, Selection, check_clashes};
use super::placeholders::Placeholders;
use crate::Error;

/// A projection, parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection(Selection);

impl Projection {
    /// Parses a projection.
    ///
    /// # Errors
    /// When it is none, in DynamoDB's words.
    pub fn parse(text: &str, placeholders: &Placeholders) -> Result<Self, Error> {
        let rule = |p: &mut Parser<'_>| {
            let paths: Vec<Path> = p.list(Parser::path)?;
            check_clashes(paths.iter())?;
            Ok(paths)
        };
        let paths = parse("ProjectionExpression", text, placeholders, rule)?;
        Ok(Self(Selection::of(paths.iter())))
    }

    /// The part of the item that it shows.
    pub fn apply(&self, item: &Item) -> Item {
        self.0.apply(item)
    }
}
