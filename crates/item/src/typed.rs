//! The JSON of the wire, where each value names its type: `{"S":"x"}`, `{"N":"19.8"}`. Reading goes through a parsed
//! `serde_json::Value` whose strings are moved, not copied; writing goes straight to the serializer.
//!
//! Two sorts of fault, as on DynamoDB: JSON of another shape than an attribute value ([`Error::Shape`], the wire's
//! `SerializationException`), and values that break a rule. Members that are no type are passed over, as DynamoDB does.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value as Json;

use crate::{Error, Item, MAX_DEPTH, Map, Number, Type, Value};

/// Reads an item from the wire's JSON.
///
/// # Errors
/// When it is none.
pub fn parse_item(json: Json) -> Result<Item, Error> {
    let item = Item(parse_map(json, MAX_DEPTH)?);
    item.check()?;
    Ok(item)
}

/// Reads a value from the wire's JSON.
///
/// # Errors
/// When it is none.
pub fn parse_value(json: Json) -> Result<Value, Error> {
    parse(json, MAX_DEPTH)
}

fn parse_map(json: Json, depth: usize) -> Result<Map, Error> {
    match json {
        Json::Object(members) => members
            .into_iter()
            .map(|(name, json)| Ok((name, parse(json, depth)?)))
            .collect(),
        Json::Array(_) => Err(shape(
            "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
        )),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(shape("Unexpected field type")),
    }
}

fn parse(json: Json, depth: usize) -> Result<Value, Error> {
    let members = match json {
        Json::Object(members) => members,
        Json::Array(_) => {
            return Err(shape(
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
            ));
        }
        Json::Null => return Err(Error::NoType),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return Err(shape("Unexpected value type in payload"));
        }
    };
    let mut value = None;
    for (name, json) in members {
        let (Some(tag), false) = (Type::parse(&name), json.is_null()) else {
            continue;
        };
        let parsed = parse_tagged(tag, json, depth)?;
        if value.replace(parsed).is_some() {
            return Err(Error::ManyTypes);
        }
    }
    value.ok_or(Error::NoType)
}

fn parse_tagged(tag: Type, json: Json, depth: usize) -> Result<Value, Error> {
    let inner = |depth: usize| depth.checked_sub(1).ok_or(Error::TooDeep);
    Ok(match tag {
        Type::S => Value::S(string(json)?),
        Type::N => Value::N(string(json)?.parse()?),
        Type::B => Value::B(binary(&json)?),
        Type::Bool => Value::Bool(boolean(json)?),
        Type::Null => {
            if !boolean(json)? {
                return Err(Error::NotNull);
            }
            Value::Null
        }
        Type::M => Value::M(parse_map(json, inner(depth)?)?),
        Type::L => {
            let depth = inner(depth)?;
            Value::L(
                list(json)?
                    .into_iter()
                    .map(|json| parse(json, depth))
                    .collect::<Result<_, _>>()?,
            )
        }
        Type::Ss => Value::Ss(set(json, "An string set  may not be empty", string, |given| {
            Error::Duplicates(format!("[{}]", given.join(", ")))
        })?),
        Type::Ns => {
            let number = |json| string(json)?.parse::<Number>();
            Value::Ns(set(json, "An number set  may not be empty", number, |_| {
                Error::DuplicateNumbers
            })?)
        }
        Type::Bs => Value::Bs(set(
            json,
            "Binary sets should not be empty",
            |json| binary(&json),
            |given| {
                let given: Vec<String> = given.iter().map(|bytes| STANDARD.encode(bytes)).collect();
                Error::Duplicates(format!("[{}]of type BS", given.join(", ")))
            },
        )?),
    })
}

fn set<T: Ord + Clone>(
    json: Json,
    empty: &'static str,
    member: impl Fn(Json) -> Result<T, Error>,
    duplicates: impl Fn(&[T]) -> Error,
) -> Result<BTreeSet<T>, Error> {
    let given = list(json)?
        .into_iter()
        .map(member)
        .collect::<Result<Vec<T>, Error>>()?;
    if given.is_empty() {
        return Err(Error::EmptySet(empty));
    }
    let set: BTreeSet<T> = given.iter().cloned().collect();
    if set.len() < given.len() {
        Err(duplicates(&given))
    } else {
        Ok(set)
    }
}

fn shape(message: &str) -> Error {
    Error::Shape(message.to_owned())
}

fn string(json: Json) -> Result<String, Error> {
    match json {
        Json::String(text) => Ok(text),
        Json::Bool(true) => Err(shape("TRUE_VALUE cannot be converted to String")),
        Json::Bool(false) => Err(shape("FALSE_VALUE cannot be converted to String")),
        Json::Number(n) if n.is_f64() => Err(shape("DECIMAL_VALUE cannot be converted to String")),
        Json::Number(_) => Err(shape("NUMBER_VALUE cannot be converted to String")),
        Json::Array(_) => Err(shape("Unrecognized collection type class java.lang.String")),
        Json::Object(_) | Json::Null => Err(shape("Start of structure or map found where not expected")),
    }
}

fn boolean(json: Json) -> Result<bool, Error> {
    match json {
        Json::Bool(value) => Ok(value),
        Json::String(_) => Err(shape("Unexpected token received from parser")),
        Json::Number(n) if n.is_f64() => Err(shape("DECIMAL_VALUE cannot be converted to Boolean")),
        Json::Number(_) => Err(shape("NUMBER_VALUE cannot be converted to Boolean")),
        Json::Array(_) => Err(shape("Unrecognized collection type class java.lang.Boolean")),
        Json::Object(_) | Json::Null => Err(shape("Start of structure or map found where not expected")),
    }
}

fn binary(json: &Json) -> Result<Bytes, Error> {
    match json {
        Json::String(text) if !text.len().is_multiple_of(4) => Err(Error::Shape(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        ))),
        Json::String(text) => STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|_| shape("Invalid last non-pad Base64 character dectected")),
        Json::Bool(_) | Json::Number(_) => {
            Err(shape("only base-64-encoded strings are convertible to bytes"))
        }
        Json::Array(_) => Err(shape("Unrecognized collection type class java.nio.ByteBuffer")),
        Json::Object(_) | Json::Null => Err(shape("Start of structure or map found where not expected")),
    }
}

fn list(json: Json) -> Result<Vec<Json>, Error> {
    match json {
        Json::Array(elements) => Ok(elements),
        Json::Object(_) => Err(shape("Start of structure or map found where not expected")),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Err(shape("Unexpected field type")),
    }
}

/// Writes a value or an item as the wire's JSON.
#[derive(Debug, Clone, Copy)]
pub struct Typed<'a, T>(pub &'a T);

impl Serialize for Typed<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Typed(&self.0.0).serialize(serializer)
    }
}

impl Serialize for Typed<'_, Map> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Typed(value))?;
        }
        map.end()
    }
}

impl Serialize for Typed<'_, Vec<Value>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Typed))
    }
}

/// Base64 straight into the serializer's text.
pub(crate) struct Base64<'a>(pub(crate) &'a Bytes);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

struct NumberText<'a>(&'a Number);

impl Serialize for NumberText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct Members<'a, T, F>(&'a BTreeSet<T>, F);

impl<'a, T, R: Serialize, F: Fn(&'a T) -> R> Serialize for Members<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for member in self.0 {
            seq.serialize_element(&(self.1)(member))?;
        }
        seq.end()
    }
}

impl Serialize for Typed<'_, Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let tag = self.0.type_of().as_str();
        match self.0 {
            Value::S(text) => map.serialize_entry(tag, text)?,
            Value::N(number) => map.serialize_entry(tag, &NumberText(number))?,
            Value::B(bytes) => map.serialize_entry(tag, &Base64(bytes))?,
            Value::Bool(value) => map.serialize_entry(tag, value)?,
            Value::Null => map.serialize_entry(tag, &true)?,
            Value::M(members) => map.serialize_entry(tag, &Typed(members))?,
            Value::L(elements) => map.serialize_entry(tag, &Typed(elements))?,
            Value::Ss(set) => map.serialize_entry(tag, set)?,
            Value::Ns(set) => map.serialize_entry(tag, &Members(set, NumberText))?,
            Value::Bs(set) => map.serialize_entry(tag, &Members(set, Base64))?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_back_as_written() {
        let json = json!({
            "s": {"S": "x"}, "n": {"N": "-19.8"}, "b": {"B": "AAEC"}, "t": {"BOOL": false}, "z": {"NULL": true},
            "m": {"M": {"a": {"L": [{"S": ""}, {"M": {}}]}}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["-1", "2.5"]},
            "bs": {"BS": ["AA==", "AQ=="]}, "l": {"L": []}
        });
        let item = parse_item(json.clone()).unwrap();
        let text = serde_json::to_string(&Typed(&item)).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
        assert_eq!(item.size(), 49);
    }

    #[test]
    fn sets_have_no_order() {
        assert_eq!(
            parse_value(json!({"NS": ["2", "1.0"]})).unwrap(),
            parse_value(json!({"NS": ["1", "2.00"]})).unwrap()
        );
    }

    #[test]
    fn what_is_no_value_is_refused_with_dynamodbs_words() {
        let invalid = "One or more parameter values were invalid:";
        for (json, expected) in [
            (json!({}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".into()),
            (json!({"X": "a"}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes".into()),
            (
                json!({"S": "a", "N": "1"}),
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes".into(),
            ),
            (json!({"NULL": false}), format!("{invalid} Null attribute value types must have the value of true")),
            (json!({"SS": []}), format!("{invalid} An string set  may not be empty")),
            (json!({"BS": []}), format!("{invalid} Binary sets should not be empty")),
            (json!({"SS": ["a", "a"]}), format!("{invalid} Input collection [a, a] contains duplicates.")),
            (json!({"NS": ["1", "1.0"]}), "Input collection contains duplicates".into()),
            (json!({"N": "dog"}), "The parameter cannot be converted to a numeric value: dog".into()),
            (json!({"N": ""}), "The parameter cannot be converted to a numeric value".into()),
            (json!({"N": 123}), "NUMBER_VALUE cannot be converted to String".into()),
            (json!({"B": "AAE"}), "Base64 encoded length is expected a multiple of 4 bytes but found: 3".into()),
            (json!("x"), "Unexpected value type in payload".into()),
        ] {
            assert_eq!(parse_value(json.clone()).unwrap_err().to_string(), expected, "{json}");
        }
    }

    #[test]
    fn documents_nest_32_levels() {
        let nested = |levels: usize| (0..levels).fold(json!({"S": "x"}), |inner, _| json!({"L": [inner]}));
        let value = parse_value(nested(32)).unwrap();
        assert_eq!(value.depth(), 32);
        assert_eq!(parse_value(nested(33)), Err(Error::TooDeep));
    }
}
