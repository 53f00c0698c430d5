//! Patterns: which events a rule wants. The language is that of Amazon EventBridge's event patterns (github.com/aws/event-ruler
//! is its reference); own matcher, because the crates that offer one are young or dead and match text, not our events.
//!
//! - An object names fields, and all of them must match. Under each field is an object (which describes the object there) or
//!   an array of values, any of which must match: text, number, `true`, `false`, `null`, or a matcher:
//!   `{"prefix": "x"}`, `{"suffix": "x"}`, `{"equals-ignore-case": "x"}`, `{"numeric": [">", 0, "<=", 5]}`, `{"exists": true}`,
//!   `{"anything-but": "x"}` with a value, an array of values, or `{"prefix": …}`, `{"suffix": …}`, `{"equals-ignore-case": …}`.
//! - A field that holds an array matches if any element does; arrays in arrays count as one. If the elements are objects, one
//!   of them must match the whole description alone (event-ruler calls that array consistency).
//! - Only leaves are compared: for `exists`, an object or an empty array is *not there*, as on EventBridge.
//! - Numbers are compared exactly, as decimals: `1`, `1.0` and `1e0` are the same, 2⁵³ and 2⁵³+1 are not. Text never equals a number.
//! - `anything-but` takes any leaf that is not among its values, of whatever type; what is not there does not match.
//!
//! One difference from event-ruler: it judges `{"exists": false}` below an array of objects over all elements, we over the one
//! element that must match the rest. `wildcard`, `cidr` and `$or` are refused by name: they are not built.

mod compile;
mod decimal;
mod leaf;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::Event;
use crate::envelope::Field;
use leaf::{Leaf, Scalar};

pub use compile::{InvalidPattern, MATCHERS, Mistake, Step};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    fields: Fields,
}

/// What must hold for the fields of one object, in the order as written.
type Fields = Vec<(Box<str>, Node)>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object(Fields),
    Leaf(Leaf),
}

impl Pattern {
    /// The pattern that every event matches.
    pub fn all() -> Self {
        Self { fields: vec![] }
    }

    /// Compiles a pattern, or says everything that is wrong with it.
    pub fn compile(pattern: &Value) -> Result<Self, InvalidPattern> {
        compile::compile(pattern).map(|fields| Self { fields })
    }

    /// Whether the event matches.
    pub fn matches(&self, event: &Event) -> bool {
        self.fields.iter().all(|(name, node)| match event.field(name) {
            None => node.matches(None),
            Some(Field::Json(value)) => node.matches(Some(value)),
            Some(Field::Text(text)) => node.matches_scalar(Scalar::Text(&text)),
            Some(Field::Boolean(flag)) => node.matches_scalar(Scalar::Boolean(flag)),
            Some(Field::Integer(number)) => node.matches_scalar(Scalar::Number(&number.into())),
        })
    }

    /// Whether any JSON object matches, such as an event that is not a CloudEvent.
    pub fn matches_value(&self, value: &Value) -> bool {
        object_matches(&self.fields, Some(value))
    }
}

impl Node {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Object(fields) => object_matches(fields, value),
            Self::Leaf(leaf) => leaf.matches(value),
        }
    }

    fn matches_scalar(&self, scalar: Scalar<'_>) -> bool {
        match self {
            Self::Object(fields) => object_matches(fields, None),
            Self::Leaf(leaf) => leaf.contains(scalar),
        }
    }
}

/// Whether the value matches the description of an object. What is not an object has no fields.
fn object_matches(fields: &Fields, value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(object)) => fields
            .iter()
            .all(|(name, node)| node.matches(object.get(&**name))),
        Some(Value::Array(elements)) if !elements.is_empty() => elements
            .iter()
            .any(|element| object_matches(fields, Some(element))),
        Some(_) | None => fields.iter().all(|(_, node)| node.matches(None)),
    }
}
