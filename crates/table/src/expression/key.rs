//! Key conditions: the condition grammar, of which only an equality of the partition key and one range of the sort key is
//! allowed.

use std::sync::Arc;

use aloft_item::Value;

use super::condition::{Comparator, Condition, Operand, Test, begins_with, compare};
use super::placeholders::Placeholders;
use crate::{Error, Schema};

/// A key condition: at most one test per attribute, not yet fitted to a table's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCondition(Vec<(Arc<str>, Range)>);

/// Which sort keys a query wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Range {
    All,
    Equal(Value),
    Less(Value),
    AtMost(Value),
    Greater(Value),
    AtLeast(Value),
    Between(Value, Value),
    BeginsWith(Value),
}

impl Range {
    /// Whether a sort key lies in it.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        let ordered =
            |other: &Value, wanted: fn(std::cmp::Ordering) -> bool| compare(value, other).is_some_and(wanted);
        match self {
            Self::All => true,
            Self::Equal(other) => value == other,
            Self::Less(other) => ordered(other, std::cmp::Ordering::is_lt),
            Self::AtMost(other) => ordered(other, std::cmp::Ordering::is_le),
            Self::Greater(other) => ordered(other, std::cmp::Ordering::is_gt),
            Self::AtLeast(other) => ordered(other, std::cmp::Ordering::is_ge),
            Self::Between(low, high) => {
                ordered(low, std::cmp::Ordering::is_ge) && ordered(high, std::cmp::Ordering::is_le)
            }
            Self::BeginsWith(start) => begins_with(value, start),
        }
    }

    fn values(&self) -> Vec<&Value> {
        match self {
            Self::All => Vec::new(),
            Self::Equal(v)
            | Self::Less(v)
            | Self::AtMost(v)
            | Self::Greater(v)
            | Self::AtLeast(v)
            | Self::BeginsWith(v) => vec![v],
            Self::Between(low, high) => vec![low, high],
        }
    }
}

const PARAMETER: &str = "KeyConditionExpression";

impl KeyCondition {
    /// Parses a key condition.
    ///
    /// # Errors
    /// When it is none, in DynamoDB's words.
    pub fn parse(text: &str, placeholders: &Placeholders) -> Result<Self, Error> {
        let Condition(test) = Condition::parse(PARAMETER, text, placeholders)?;
        let mut found: Vec<(Arc<str>, Range)> = Vec::new();
        collect(test, &mut found).map_err(Error::Invalid)?;
        if found.len() > 2 {
            return Err(Error::Invalid(
                "Conditions can be of length 1 or 2 only".to_owned(),
            ));
        }
        Ok(Self(found))
    }

    /// Fits it to a table's keys: the partition key's value, and which sort keys.
    pub(crate) fn fit(&self, schema: &Schema) -> Result<(Value, Range), Error> {
        let invalid = |message: &str| Error::Invalid(message.to_owned());
        let not_supported = "Query key condition not supported";
        let tests = |name: &str| self.0.iter().find(|(n, _)| **n == *name).map(|(_, range)| range);
        let missed = |name: &str| invalid(&format!("Query condition missed key schema element: {name}"));
        if schema.range.is_none() && self.0.len() > 1 {
            return Err(invalid(not_supported));
        }
        let hash = tests(&schema.hash.name).ok_or_else(|| missed(&schema.hash.name))?;
        let range = match &schema.range {
            Some(key) if self.0.len() > 1 => Some((tests(&key.name).ok_or_else(|| missed(&key.name))?, key)),
            _ => None,
        };
        let typed = |range: &Range, t| range.values().iter().all(|value| value.type_of() == t);
        if !typed(hash, schema.hash.kind.value_type())
            || !range.is_none_or(|(range, key)| typed(range, key.kind.value_type()))
        {
            return Err(invalid(
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ));
        }
        let Range::Equal(hash) = hash else {
            return Err(invalid(not_supported));
        };
        schema.check_key_size(&schema.hash, hash)?;
        for (value, key) in range
            .iter()
            .flat_map(|(range, key)| range.values().into_iter().map(move |v| (v, *key)))
        {
            schema.check_key_size(key, value)?;
        }
        Ok((hash.clone(), range.map_or(Range::All, |(range, _)| range.clone())))
    }
}

fn collect(test: Test, to: &mut Vec<(Arc<str>, Range)>) -> Result<(), String> {
    let (name, range) = match test {
        Test::And(a, b) => {
            collect(*a, to)?;
            return collect(*b, to);
        }
        Test::Or(..) => return Err(not_allowed("OR")),
        Test::Not(_) => return Err(not_allowed("NOT")),
        Test::In(..) => return Err(not_allowed("IN")),
        Test::Compare(Comparator::Unequal, ..) => return Err(not_allowed("<>")),
        Test::Exists(_) => return Err(not_allowed("attribute_exists")),
        Test::Missing(_) => return Err(not_allowed("attribute_not_exists")),
        Test::IsType(..) => return Err(not_allowed("attribute_type")),
        Test::Contains(..) => return Err(not_allowed("contains")),
        Test::Compare(comparator, Operand::Path(path), right) => {
            (path, comparison(comparator, constant(right)?))
        }
        Test::Compare(comparator, left, Operand::Path(path)) => {
            (path, comparison(mirrored(comparator), constant(left)?))
        }
        Test::Compare(_, Operand::Size(_), _) | Test::Compare(_, _, Operand::Size(_)) => {
            return Err(format!("{PARAMETER}s cannot contain nested operations"));
        }
        Test::Compare(..) => {
            return Err(format!(
                "Invalid condition in {PARAMETER}: No key attribute specified"
            ));
        }
        Test::Between(Operand::Path(path), low, high) => {
            (path, Range::Between(constant(low)?, constant(high)?))
        }
        Test::Between(..) => return Err(not_first("BETWEEN")),
        Test::BeginsWith(Operand::Path(path), start) => (path, Range::BeginsWith(constant(start)?)),
        Test::BeginsWith(..) => return Err(not_first("begins_with")),
    };
    if !name.steps.is_empty() {
        return Err(format!(
            "{PARAMETER}s cannot have conditions on nested attributes"
        ));
    }
    if to.iter().any(|(other, _)| *other == name.attribute) {
        return Err(format!("{PARAMETER}s must only contain one condition per key"));
    }
    to.push((name.attribute, range));
    Ok(())
}

fn not_allowed(operator: &str) -> String {
    format!("Invalid operator used in {PARAMETER}: {operator}")
}

fn not_first(operator: &str) -> String {
    format!(
        "Invalid condition in {PARAMETER}: {operator} operator must have the key attribute as its first operand"
    )
}

fn constant(operand: Operand) -> Result<Value, String> {
    match operand {
        Operand::Value(value) => Ok(Arc::unwrap_or_clone(value)),
        Operand::Path(_) => Err(format!(
            "Invalid condition in {PARAMETER}: Multiple attribute names used in one condition"
        )),
        Operand::Size(_) => Err(format!("{PARAMETER}s cannot contain nested operations")),
    }
}

fn mirrored(comparator: Comparator) -> Comparator {
    match comparator {
        Comparator::Less => Comparator::Greater,
        Comparator::AtMost => Comparator::AtLeast,
        Comparator::Greater => Comparator::Less,
        Comparator::AtLeast => Comparator::AtMost,
        Comparator::Equal | Comparator::Unequal => comparator,
    }
}

fn comparison(comparator: Comparator, value: Value) -> Range {
    match comparator {
        Comparator::Less => Range::Less(value),
        Comparator::AtMost => Range::AtMost(value),
        Comparator::Greater => Range::Greater(value),
        Comparator::AtLeast => Range::AtLeast(value),
        Comparator::Equal | Comparator::Unequal => Range::Equal(value),
    }
}
