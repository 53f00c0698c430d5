//! The JSON that people write: `"x"`, `19.8`, `[1,2]`. Sets become arrays, bytes base64. It is written, never read: without
//! types it does not tell sets from lists, nor bytes from text.
//!
//! Numbers are JSON numbers with all their digits, by serde_json's raw values: written as *text* they are exact, converted
//! to a `serde_json::Value` they are what that type holds (whole numbers up to 64 bits, else the nearest double). Its
//! feature `arbitrary_precision` was rejected: it changes every number of the whole program and breaks tagged enums.

use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::typed::Base64;
use crate::{Item, Map, Number, Value};

/// Writes a value or an item as plain JSON.
#[derive(Debug, Clone, Copy)]
pub struct Plain<'a, T>(pub &'a T);

impl Serialize for Plain<'_, Item> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plain(&self.0.0).serialize(serializer)
    }
}

impl Serialize for Plain<'_, Map> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}

impl Serialize for Plain<'_, Number> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl Serialize for Plain<'_, Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::S(text) => serializer.serialize_str(text),
            Value::N(number) => Plain(number).serialize(serializer),
            Value::B(bytes) => Base64(bytes).serialize(serializer),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Null => serializer.serialize_unit(),
            Value::M(members) => Plain(members).serialize(serializer),
            Value::L(elements) => serializer.collect_seq(elements.iter().map(Plain)),
            Value::Ss(set) => serializer.collect_seq(set),
            Value::Ns(set) => serializer.collect_seq(set.iter().map(Plain)),
            Value::Bs(set) => serializer.collect_seq(set.iter().map(Base64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::parse_item;

    #[test]
    fn numbers_keep_all_their_digits_in_text() {
        let item = parse_item(json!({
            "n": {"N": "3.1415926535897932384626433832795028841"}, "l": {"L": [{"NULL": true}, {"N": "19.80"}]},
            "ns": {"NS": ["10", "9"]}, "b": {"B": "AAEC"}, "m": {"M": {"k": {"BOOL": true}}}, "ss": {"SS": ["b", "a"]}
        }))
        .unwrap();
        assert_eq!(
            serde_json::to_string(&Plain(&item)).unwrap(),
            r#"{"b":"AAEC","l":[null,19.8],"m":{"k":true},"n":3.1415926535897932384626433832795028841,"ns":[9,10],"ss":["a","b"]}"#
        );
        let value = serde_json::to_value(Plain(&item)).unwrap();
        assert_eq!(value["l"][1], json!(19.8));
        assert_eq!(value["ns"], json!([9, 10]));
    }
}
