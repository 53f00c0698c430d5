//! What a table holds: attribute values with exact numbers, items, and changes of rows.
//!
//! - [`Value`] is one of DynamoDB's ten types; [`Item`] is a map of names to values. Both compare as DynamoDB compares:
//!   sets without order, numbers by value.
//! - [`Number`] is an exact decimal of up to 38 digits between 1E-130 and 9.99…E+125, with a canonical text and a byte
//!   form that sorts as the numbers do.
//! - [`Typed`] and [`parse_item`] are the JSON of the wire (`{"S":"x"}`), [`Plain`] is the JSON that a rule or a workflow
//!   sees (`"x"`); in its text every number stands exactly.
//! - [`Change`] is what a table's log says about one write: both images, and when.
//!
//! Limits, as DynamoDB has them: an item is at most 400 KiB ([`Item::size`] counts as DynamoDB does), documents nest at
//! most 32 levels, a number has at most 38 digits. This crate knows no table, no expression, no store and no HTTP.
//!
//! ```
//! use aloft_item::{Plain, parse_item};
//! let json = serde_json::json!({"id": {"S": "a"}, "total": {"N": "19.80"}});
//! let item = parse_item(json).unwrap();
//! assert_eq!(serde_json::to_string(&Plain(&item)).unwrap(), r#"{"id":"a","total":19.8}"#);
//! ```

mod change;
mod error;
mod number;
mod plain;
mod typed;
mod value;

pub use change::{Change, Kind};
pub use error::Error;
pub use number::Number;
pub use plain::Plain;
pub use typed::{Typed, parse_item, parse_value};
pub use value::{Item, MAX_DEPTH, MAX_ITEM_BYTES, MAX_NAME_BYTES, Map, Type, Value};
