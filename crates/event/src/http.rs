//! Events as HTTP messages (CloudEvents `bindings/http-protocol-binding.md`, section 3). Headers are pairs of text, so that
//! no HTTP library is needed here; names are written in lower case and read in any.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::envelope::{Data, essence};
use crate::json::read_time;
use crate::{Error, Event, Extension};

/// What an HTTP message of an event holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Header names (lower case) and values (printable ASCII).
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Section 3.1.3.2: space, `"`, `%`, and everything outside U+0021 to U+007E. The encoder takes what is not ASCII anyway.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

const STRUCTURED: &str = "application/cloudevents";
const BATCHED: &str = "application/cloudevents-batch";

impl Event {
    /// The event in binary mode: attributes as `ce-` headers, the payload as the body.
    pub fn to_binary(&self) -> Result<Message, Error> {
        let mut headers = vec![];
        let mut put = |name: &str, value: &str| {
            headers.push((
                format!("ce-{name}"),
                utf8_percent_encode(value, ESCAPED).to_string(),
            ));
        };
        put("specversion", "1.0");
        put("id", self.id());
        put("source", self.source());
        put("type", self.kind());
        if let Some(subject) = self.subject() {
            put("subject", subject);
        }
        if let Some(time) = self.time() {
            put("time", &time.to_string());
        }
        if let Some(schema) = self.dataschema() {
            put("dataschema", schema);
        }
        for (name, value) in self.extensions() {
            match value {
                Extension::Boolean(flag) => put(name, &flag.to_string()),
                Extension::Integer(number) => put(name, &number.to_string()),
                Extension::Text(text) => put(name, text),
            }
        }
        if let Some(media_type) = self.datacontenttype() {
            headers.push(("content-type".to_owned(), media_type.to_owned()));
        } else if self.data().is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let body = match self.data() {
            None => vec![],
            Some(Data::Bytes(bytes)) => bytes.clone(),
            Some(Data::Json(value)) => serde_json::to_vec(value).map_err(|error| Error::Data {
                why: error.to_string(),
            })?,
        };
        Ok(Message { headers, body })
    }

    /// The event in structured mode: everything in the body.
    pub fn to_structured(&self) -> Result<Message, Error> {
        let media_type = "application/cloudevents+json; charset=utf-8".to_owned();
        Ok(Message {
            headers: vec![("content-type".to_owned(), media_type)],
            body: self.to_json()?,
        })
    }

    /// Reads the event of an HTTP message in either mode. Headers that are not the event's are passed over.
    pub fn from_http<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Result<Self, Error> {
        let mut attributes: Vec<(String, &str)> = vec![];
        let mut media_type = None;
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if name == "content-type" {
                media_type = Some(value);
            } else if let Some(attribute) = name.strip_prefix("ce-") {
                if attributes.iter().any(|(known, _)| known == attribute) {
                    return Err(Error::Http {
                        why: format!("the header \"{}\" occurs twice", crate::error::cut(&name)),
                    });
                }
                attributes.push((attribute.to_owned(), value));
            }
        }
        let mode = media_type
            .map(|media_type| essence(media_type).to_ascii_lowercase())
            .unwrap_or_default();
        if mode.starts_with(BATCHED) {
            return Err(Error::Http {
                why: "batches are not accepted: send one event per message".to_owned(),
            });
        }
        if mode == STRUCTURED || mode == "application/cloudevents+json" {
            return Self::from_json(body);
        }
        if mode.starts_with(STRUCTURED) && attributes.is_empty() {
            return Err(Error::Http {
                why: format!("the event format \"{mode}\" is not known, only JSON is"),
            });
        }
        read_binary(attributes, media_type, body)
    }
}

fn read_binary(
    attributes: Vec<(String, &str)>,
    media_type: Option<&str>,
    body: &[u8],
) -> Result<Event, Error> {
    let mut decoded = vec![];
    for (name, value) in attributes {
        let value = decode(&name, value)?;
        decoded.push((name, value));
    }
    let mut take = |name: &str| {
        let at = decoded.iter().position(|(known, _)| known == name)?;
        Some(decoded.swap_remove(at).1)
    };
    let version = take("specversion").ok_or(Error::Missing { name: "specversion" })?;
    if version != "1.0" {
        let rule = "only version \"1.0\" of CloudEvents is read";
        return Err(Error::attribute("specversion", &version, rule));
    }
    let id = take("id").ok_or(Error::Missing { name: "id" })?;
    let source = take("source").ok_or(Error::Missing { name: "source" })?;
    let mut event = Event::new(id, source, take("type").ok_or(Error::Missing { name: "type" })?)?;
    if let Some(subject) = take("subject") {
        event = event.with_subject(subject)?;
    }
    if let Some(time) = take("time") {
        event = event.with_time(read_time(&time)?);
    }
    if let Some(schema) = take("dataschema") {
        event = event.with_dataschema(schema)?;
    }
    for (name, value) in decoded {
        event = event.with_extension(name, Extension::Text(value))?;
    }
    if body.is_empty() {
        return match media_type {
            Some(media_type) => event.with_datacontenttype(media_type),
            None => Ok(event),
        };
    }
    // RFC 9110, section 8.3: content without a type may be taken as bytes.
    event.with_bytes(media_type.unwrap_or("application/octet-stream"), body.to_vec())
}

/// Section 3.1.3.2, a receiver's duty: first undo a quoted string, then percent-decode once, and refuse what is not UTF-8.
fn decode(name: &str, value: &str) -> Result<String, Error> {
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .map(|inner| {
            let mut text = String::with_capacity(inner.len());
            let mut characters = inner.chars();
            while let Some(c) = characters.next() {
                text.push(if c == '\\' {
                    characters.next().unwrap_or(c)
                } else {
                    c
                });
            }
            text
        });
    percent_decode_str(unquoted.as_deref().unwrap_or(value))
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Error::attribute(name, value, "percent-encoded UTF-8 is expected"))
}
