//! The JSON event format (CloudEvents `formats/json-format.md`, sections 2 and 3): one object with all attributes, the
//! payload in `data` or `data_base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::envelope::{Data, MAX_EVENT_BYTES};
use crate::error::cut;
use crate::time::parse_time;
use crate::{Error, Event, Extension};

const SPEC_VERSION: &str = "1.0";

impl Event {
    /// Reads an event in the JSON format.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        check_size(text.len())?;
        let value: Value = serde_json::from_slice(text).map_err(|error| Error::Json {
            why: error.to_string(),
        })?;
        Self::from_value(value)
    }

    /// Reads an event from its JSON object.
    pub fn from_value(value: Value) -> Result<Self, Error> {
        let Value::Object(mut object) = value else {
            return Err(Error::Json {
                why: format!("it is {}", describe(&value)),
            });
        };
        let version = required(&mut object, "specversion")?;
        if version != SPEC_VERSION {
            let rule = "only version \"1.0\" of CloudEvents is read";
            return Err(Error::attribute("specversion", &version, rule));
        }
        let id = required(&mut object, "id")?;
        let source = required(&mut object, "source")?;
        let mut event = Event::new(id, source, required(&mut object, "type")?)?;
        if let Some(subject) = optional(&mut object, "subject")? {
            event = event.with_subject(subject)?;
        }
        if let Some(time) = optional(&mut object, "time")? {
            event = event.with_time(read_time(&time)?);
        }
        if let Some(media_type) = optional(&mut object, "datacontenttype")? {
            event = event.with_datacontenttype(media_type)?;
        }
        if let Some(schema) = optional(&mut object, "dataschema")? {
            event = event.with_dataschema(schema)?;
        }
        if let Some(data) = read_data(&event, object.remove("data"), object.remove("data_base64"))? {
            event = event.with_data(data);
        }
        for (name, value) in object {
            // "Unset attributes MAY be encoded to the JSON value of null" (section 2.1).
            if !value.is_null() {
                event = event.with_extension(name.clone(), read_extension(&name, value)?)?;
            }
        }
        Ok(event)
    }

    /// Writes the event in the JSON format.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec(&self.to_value()).map_err(|error| Error::Json {
            why: error.to_string(),
        })?;
        check_size(text.len())?;
        Ok(text)
    }

    /// The event as a JSON object: what patterns are matched against.
    pub fn to_value(&self) -> Value {
        self.clone().into()
    }
}

impl TryFrom<Value> for Event {
    type Error = Error;
    fn try_from(value: Value) -> Result<Self, Error> {
        Self::from_value(value)
    }
}

impl From<Event> for Value {
    fn from(event: Event) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("specversion", Some(SPEC_VERSION.into()));
        put("id", Some(event.id().into()));
        put("source", Some(event.source().into()));
        put("type", Some(event.kind().into()));
        put("subject", event.subject().map(Value::from));
        put("time", event.time().map(|time| time.to_string().into()));
        for (name, value) in event.extensions() {
            put(name, Some(value.into()));
        }
        put("datacontenttype", event.datacontenttype().map(Value::from));
        put("dataschema", event.dataschema().map(Value::from));
        match event.data() {
            None => {}
            Some(Data::Json(value)) => put("data", Some(value.clone())),
            Some(Data::Bytes(bytes)) => match event.as_text(bytes) {
                Some(text) => put("data", Some(text.into())),
                None => put("data_base64", Some(encode_base64(bytes).into())),
            },
        }
        Value::Object(object)
    }
}

impl From<&Extension> for Value {
    fn from(value: &Extension) -> Value {
        match value {
            Extension::Boolean(flag) => (*flag).into(),
            Extension::Integer(number) => (*number).into(),
            Extension::Text(text) => text.as_str().into(),
        }
    }
}

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn read_time(text: &str) -> Result<aloft_base::Timestamp, Error> {
    let rule = "a time such as \"2026-01-31T12:34:56Z\" since 1970 is expected (RFC 3339)";
    parse_time(text).ok_or_else(|| Error::attribute("time", text, rule))
}

fn check_size(size: usize) -> Result<(), Error> {
    if size > MAX_EVENT_BYTES {
        return Err(Error::TooLarge {
            what: "the event".to_owned(),
            size,
            limit: MAX_EVENT_BYTES,
        });
    }
    Ok(())
}

fn required(object: &mut Map<String, Value>, name: &'static str) -> Result<String, Error> {
    optional(object, name)?.ok_or(Error::Missing { name })
}

fn optional(object: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, Error> {
    match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::attribute(name, &other.to_string(), "a string is expected")),
    }
}

fn read_data(event: &Event, data: Option<Value>, base64: Option<Value>) -> Result<Option<Data>, Error> {
    let refuse = |why: String| Err(Error::Data { why });
    match (data, base64) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => refuse("\"data\" and \"data_base64\" exclude each other".to_owned()),
        (Some(value), None) if event.is_json() => Ok(Some(Data::Json(value))),
        (Some(Value::String(text)), None) => Ok(Some(Data::Bytes(text.into_bytes()))),
        (Some(_), None) => {
            let media_type = event.datacontenttype().unwrap_or_default();
            refuse(format!(
                "its type \"{}\" is not JSON, so \"data\" must be a string",
                cut(media_type)
            ))
        }
        (None, Some(Value::String(text))) => match STANDARD.decode(&text) {
            Ok(bytes) => event.read_payload(bytes).map(Some),
            Err(error) => refuse(format!("\"data_base64\" is not Base64: {error}")),
        },
        (None, Some(other)) => refuse(format!(
            "\"data_base64\" must be a string, but it is {}",
            describe(&other)
        )),
    }
}

fn read_extension(name: &str, value: Value) -> Result<Extension, Error> {
    match value {
        Value::Bool(flag) => Ok(Extension::Boolean(flag)),
        Value::String(text) => Ok(Extension::Text(text)),
        Value::Number(number) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(Extension::Integer)
            .ok_or_else(|| {
                Error::attribute(name, &number.to_string(), "a whole number of 32 bits is expected")
            }),
        other => Err(Error::attribute(
            name,
            &cut(&other.to_string()),
            "a string, number or boolean is expected",
        )),
    }
}

/// The sort of a JSON value, for a message.
pub(crate) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
