//! The event itself (CloudEvents 1.0.2, section 3). Its fields are private and each way in checks them, so that writing an
//! event cannot fail for what it holds. The official crate `cloudevents-sdk` was looked at: it brings a date library and a
//! URL parser, and its events are not bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;

use aloft_base::{InvocationId, Timestamp, Trace};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::error::cut;
use crate::text::{is_allowed, is_uri_reference};

/// The largest event as JSON. It is the largest payload of a function, and holds two images of a row of 400 KB each even
/// when JSON escapes every character of them.
pub const MAX_EVENT_BYTES: usize = 6 << 20;
/// The largest attribute. A row's key of 3 KiB, percent-encoded, fits into a subject.
pub const MAX_ATTRIBUTE_BYTES: usize = 16 << 10;
/// The most extension attributes of one event.
pub const MAX_EXTENSIONS: usize = 64;
/// CloudEvents advises 20 characters and sets no bound; ours is one that no known extension reaches.
const MAX_EXTENSION_NAME: usize = 64;

const ROOT: &str = "aloftroot";
const DEPTH: &str = "aloftdepth";
const TRACE: &str = "traceparent";

/// A CloudEvent, valid by construction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Event {
    id: String,
    source: String,
    kind: String,
    subject: Option<String>,
    time: Option<Timestamp>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    extensions: BTreeMap<String, Extension>,
    data: Option<Data>,
}

/// The value of an extension attribute. CloudEvents' other types (binary, URI, time) are text in every format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number of 32 bits.
    Integer(i32),
    /// Text; also what any type becomes on its way through HTTP headers.
    Text(String),
}

/// An event's payload.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// JSON, of a `datacontenttype` that says so or of none.
    Json(Value),
    /// Anything else.
    Bytes(Vec<u8>),
}

/// One field of an event's JSON form, borrowed from the event.
pub(crate) enum Field<'a> {
    Text(Cow<'a, str>),
    Boolean(bool),
    Integer(i32),
    Json(&'a Value),
}

impl Event {
    /// An event without payload. `source` and `id` together identify it.
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        kind: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(Self {
            id: checked_text("id", id.into())?,
            source: checked_uri("source", source.into())?,
            kind: checked_text("type", kind.into())?,
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: None,
        })
    }

    /// Sets what the event is about, within its source. See [`printable`](crate::printable) for text that may hold anything.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Result<Self, Error> {
        self.subject = Some(checked_text("subject", subject.into())?);
        Ok(self)
    }

    /// Sets when it happened.
    pub fn with_time(mut self, time: Timestamp) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets the schema that the data keeps to.
    pub fn with_dataschema(mut self, schema: impl Into<String>) -> Result<Self, Error> {
        self.dataschema = Some(checked_uri("dataschema", schema.into())?);
        Ok(self)
    }

    /// Sets a JSON payload, and `application/json` as its type.
    pub fn with_json(mut self, data: Value) -> Self {
        self.datacontenttype = Some("application/json".to_owned());
        self.data = Some(Data::Json(data));
        self
    }

    /// Sets a payload of any media type. If the type is JSON, the bytes must be, too.
    pub fn with_bytes(mut self, media_type: impl Into<String>, data: Vec<u8>) -> Result<Self, Error> {
        self = self.with_datacontenttype(media_type)?;
        self.data = Some(self.read_payload(data)?);
        Ok(self)
    }

    /// Sets an extension attribute.
    pub fn with_extension(mut self, name: impl Into<String>, value: Extension) -> Result<Self, Error> {
        let name = name.into();
        check_extension_name(&name)?;
        if let Extension::Text(text) = &value {
            // Unlike the attributes above, an extension may be empty text.
            check_characters(&name, text)?;
        }
        self.extensions.insert(name, value);
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(Error::TooManyExtensions {
                limit: MAX_EXTENSIONS,
            });
        }
        Ok(self)
    }

    /// Says where the event comes from: the invocation at the beginning of the chain, and how many events lie between.
    pub fn with_lineage(mut self, root: InvocationId, depth: u8) -> Result<Self, Error> {
        self = self.with_extension(ROOT, Extension::Text(root.to_string()))?;
        self.with_extension(DEPTH, Extension::Integer(i32::from(depth)))
    }

    /// Says to which trace the event belongs, as the extension for distributed tracing does
    /// (<https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md>).
    pub fn with_trace(self, trace: Trace) -> Result<Self, Error> {
        self.with_extension(TRACE, Extension::Text(trace.traceparent()))
    }

    /// The trace that the event belongs to, if it says one that is valid.
    pub fn trace(&self) -> Option<Trace> {
        match self.extensions.get(TRACE)? {
            Extension::Text(text) => Trace::parse(text),
            Extension::Integer(_) | Extension::Boolean(_) => None,
        }
    }

    /// The chain that the event belongs to, if it says one. A depth above 255 is 255: still far too deep.
    pub fn lineage(&self) -> Option<(InvocationId, u8)> {
        let Extension::Text(root) = self.extensions.get(ROOT)? else {
            return None;
        };
        let depth = match self.extensions.get(DEPTH)? {
            Extension::Integer(depth) => i64::from(*depth),
            Extension::Text(depth) => depth.parse().ok()?,
            Extension::Boolean(_) => return None,
        };
        let depth = u8::try_from(depth.max(0)).unwrap_or(u8::MAX);
        Some((root.parse().ok()?, depth))
    }

    /// The event's id, unique within its source.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it happened: a URI reference such as `/tables/orders`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What happened: the attribute `type`, such as `aloft.table.insert`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is about, within the source.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it happened.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// The payload's media type.
    pub fn datacontenttype(&self) -> Option<&str> {
        self.datacontenttype.as_deref()
    }

    /// The schema that the payload keeps to.
    pub fn dataschema(&self) -> Option<&str> {
        self.dataschema.as_deref()
    }

    /// The extension attributes by name.
    pub fn extensions(&self) -> &BTreeMap<String, Extension> {
        &self.extensions
    }

    /// The payload.
    pub fn data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    pub(crate) fn with_datacontenttype(mut self, media_type: impl Into<String>) -> Result<Self, Error> {
        let media_type = checked_text("datacontenttype", media_type.into())?;
        let (kind, subtype) = essence(&media_type).split_once('/').unwrap_or_default();
        let is_token = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        if !is_token(kind) || !is_token(subtype) || !media_type.is_ascii() {
            let rule = "a media type such as \"application/json\" is expected (RFC 2046)";
            return Err(Error::attribute("datacontenttype", &media_type, rule));
        }
        self.datacontenttype = Some(media_type);
        Ok(self)
    }

    pub(crate) fn with_data(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// Whether the payload is JSON by its type; no type means JSON (JSON format, section 3.1).
    pub(crate) fn is_json(&self) -> bool {
        self.datacontenttype.as_deref().is_none_or(|media_type| {
            let essence = essence(media_type).to_ascii_lowercase();
            essence.ends_with("/json") || essence.ends_with("+json")
        })
    }

    /// A payload in the form that the media type asks for.
    pub(crate) fn read_payload(&self, data: Vec<u8>) -> Result<Data, Error> {
        if data.len() > MAX_EVENT_BYTES {
            let what = "the event's data".to_owned();
            return Err(Error::TooLarge {
                what,
                size: data.len(),
                limit: MAX_EVENT_BYTES,
            });
        }
        if !self.is_json() {
            return Ok(Data::Bytes(data));
        }
        serde_json::from_slice(&data).map(Data::Json).map_err(|error| {
            let media_type = self.datacontenttype.as_deref().unwrap_or("application/json");
            Error::Data {
                why: format!("its type is \"{}\", but it is not JSON: {error}", cut(media_type)),
            }
        })
    }

    /// A top-level field of the JSON form, without building the rest of it.
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        match name {
            "specversion" => Some(Field::Text("1.0".into())),
            "id" => Some(Field::Text(self.id.as_str().into())),
            "source" => Some(Field::Text(self.source.as_str().into())),
            "type" => Some(Field::Text(self.kind.as_str().into())),
            "subject" => self.subject().map(|text| Field::Text(text.into())),
            "time" => self.time.map(|time| Field::Text(time.to_string().into())),
            "datacontenttype" => self.datacontenttype().map(|text| Field::Text(text.into())),
            "dataschema" => self.dataschema().map(|text| Field::Text(text.into())),
            "data" => match self.data.as_ref()? {
                Data::Json(value) => Some(Field::Json(value)),
                Data::Bytes(bytes) => self.as_text(bytes).map(|text| Field::Text(text.into())),
            },
            "data_base64" => match self.data.as_ref()? {
                Data::Bytes(bytes) if self.as_text(bytes).is_none() => {
                    Some(Field::Text(crate::json::encode_base64(bytes).into()))
                }
                Data::Json(_) | Data::Bytes(_) => None,
            },
            extension => self.extensions.get(extension).map(|value| match value {
                Extension::Boolean(flag) => Field::Boolean(*flag),
                Extension::Integer(number) => Field::Integer(*number),
                Extension::Text(text) => Field::Text(text.as_str().into()),
            }),
        }
    }

    /// The bytes as text, if the media type says that they are and they are.
    pub(crate) fn as_text<'a>(&self, bytes: &'a [u8]) -> Option<&'a str> {
        let essence = essence(self.datacontenttype.as_deref()?).to_ascii_lowercase();
        let is_text = essence.starts_with("text/") || essence.ends_with("/xml") || essence.ends_with("+xml");
        is_text.then(|| std::str::from_utf8(bytes).ok()).flatten()
    }
}

/// A media type without its parameters.
pub(crate) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn checked_text(name: &str, value: String) -> Result<String, Error> {
    if value.is_empty() {
        return Err(Error::attribute(name, &value, "it must not be empty"));
    }
    check_characters(name, &value)?;
    Ok(value)
}

fn checked_uri(name: &str, value: String) -> Result<String, Error> {
    let value = checked_text(name, value)?;
    if !is_uri_reference(&value) {
        let rule = "a URI reference is expected (RFC 3986), with other characters percent-encoded";
        return Err(Error::attribute(name, &value, rule));
    }
    Ok(value)
}

fn check_characters(name: &str, value: &str) -> Result<(), Error> {
    if value.len() > MAX_ATTRIBUTE_BYTES {
        let what = format!("the event's attribute \"{}\"", cut(name));
        return Err(Error::TooLarge {
            what,
            size: value.len(),
            limit: MAX_ATTRIBUTE_BYTES,
        });
    }
    if !value.chars().all(is_allowed) {
        return Err(Error::attribute(
            name,
            value,
            "control characters and noncharacters are not allowed",
        ));
    }
    Ok(())
}

fn check_extension_name(name: &str) -> Result<(), Error> {
    const TAKEN: [&str; 9] = [
        "id",
        "source",
        "specversion",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "data",
    ];
    let refuse = |rule| {
        Err(Error::ExtensionName {
            name: cut(name),
            rule,
        })
    };
    let is_shaped = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !is_shaped || name.len() > MAX_EXTENSION_NAME {
        return refuse("1 to 64 characters of a-z and 0-9, better no more than 20");
    }
    if TAKEN.contains(&name) {
        return refuse("CloudEvents itself defines it");
    }
    Ok(())
}
