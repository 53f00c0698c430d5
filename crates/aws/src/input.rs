//! A request's members, taken one by one with the type that each must have. The body is parsed once; strings and documents
//! are moved out of it, not copied.
//!
//! Derived deserializers were rejected: their messages are serde's, and what a member of a wrong type answers is part of the
//! wire (`SerializationException`: `NUMBER_VALUE cannot be converted to String`). Null is as good as absent, and a member that
//! the service's model does not know is passed over, both as DynamoDB does; one that it knows and we have not built yet is
//! refused by its name ([`Members::finish`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::Error;

/// The members of a JSON object that are not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Members(Map<String, Json>);

impl Members {
    /// Parses a body. Nesting is bounded by the parser, at 128; the deepest item needs 67.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        match serde_json::from_slice(body) {
            Ok(Json::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Error::Serialization(
                "the request's body is not a JSON object".into(),
            )),
            Err(error) => Err(Error::Serialization(format!(
                "the request's body is not valid JSON: {error}"
            ))),
        }
    }

    pub(crate) fn from_json(json: Json) -> Result<Self, Error> {
        match json {
            Json::Object(members) => Ok(Self(members)),
            Json::Array(_) => Err(serialization("Unrecognized collection type class")),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                Err(serialization("Unexpected field type"))
            }
        }
    }

    /// Takes a member as it is.
    pub(crate) fn take(&mut self, name: &str) -> Option<Json> {
        self.0.swap_remove(name).filter(|json| !json.is_null())
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        self.take(name).map(to_text).transpose()
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Error> {
        self.take(name)
            .map(|json| match json {
                Json::Bool(value) => Ok(value),
                other => Err(mismatch(&other, "Boolean")),
            })
            .transpose()
    }

    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Error> {
        self.take(name)
            .map(|json| match json.as_i64() {
                Some(value) => Ok(value),
                None => Err(mismatch(&json, "Integer")),
            })
            .transpose()
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Members>, Error> {
        self.take(name).map(Members::from_json).transpose()
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<Json>>, Error> {
        self.take(name)
            .map(|json| match json {
                Json::Array(elements) => Ok(elements),
                Json::Object(_) => Err(serialization(
                    "Start of structure or map found where not expected",
                )),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                    Err(serialization("Unexpected field type"))
                }
            })
            .transpose()
    }

    /// Takes a map of names to texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let members = self.object(name)?;
        members
            .map(|m| {
                m.0.into_iter()
                    .map(|(name, json)| Ok((name, to_text(json)?)))
                    .collect()
            })
            .transpose()
    }

    /// All members that are left.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Json)> {
        self.0.into_iter()
    }

    /// Refuses what is left and belongs to the operation's model, but is not built yet.
    pub(crate) fn finish(mut self, not_built: &[&str]) -> Result<(), Error> {
        match not_built.iter().find(|name| self.take(name).is_some()) {
            Some(name) => Err(not_supported(name)),
            None => Ok(()),
        }
    }
}

/// What is said of a parameter, or of a value of one, that is not built yet.
pub(crate) fn not_supported(name: &str) -> Error {
    Error::Validation(format!(
        "One or more parameter values were invalid: \"{name}\" is not supported yet"
    ))
}

fn to_text(json: Json) -> Result<String, Error> {
    match json {
        Json::String(text) => Ok(text),
        other => Err(mismatch(&other, "String")),
    }
}

fn mismatch(given: &Json, wanted: &str) -> Error {
    serialization(match given {
        Json::Bool(true) => format!("TRUE_VALUE cannot be converted to {wanted}"),
        Json::Bool(false) => format!("FALSE_VALUE cannot be converted to {wanted}"),
        Json::String(_) => format!("STRING_VALUE cannot be converted to {wanted}"),
        Json::Number(n) if n.is_f64() => format!("DECIMAL_VALUE cannot be converted to {wanted}"),
        Json::Number(_) => format!("NUMBER_VALUE cannot be converted to {wanted}"),
        Json::Array(_) => format!("Unrecognized collection type class java.lang.{wanted}"),
        Json::Object(_) | Json::Null => "Start of structure or map found where not expected".to_owned(),
    })
}

fn serialization(message: impl Into<String>) -> Error {
    Error::Serialization(message.into())
}

/// Constraints of the service's model, which are checked together and told together.
#[derive(Debug, Default)]
pub(crate) struct Constraints(Vec<String>);

impl Constraints {
    /// Notes that a value breaks a rule; `at` is the member's path, in the model's lower camel case.
    pub(crate) fn broken(&mut self, value: &str, at: &str, rule: &str) {
        self.0
            .push(format!("{value} at '{at}' failed to satisfy constraint: {rule}"));
    }

    /// A member that must be there.
    pub(crate) fn required(&mut self, is_there: bool, at: &str) {
        if !is_there {
            self.broken("Value null", at, "Member must not be null");
        }
    }

    pub(crate) fn in_range(&mut self, value: Option<i64>, at: &str, least: i64, most: i64) {
        let Some(value) = value else { return };
        if value < least {
            self.broken(
                &format!("Value '{value}'"),
                at,
                &format!("Member must have value greater than or equal to {least}"),
            );
        } else if value > most {
            self.broken(
                &format!("Value '{value}'"),
                at,
                &format!("Member must have value less than or equal to {most}"),
            );
        }
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        value: Option<&str>,
        at: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let value = value?;
        let found = words
            .iter()
            .find(|(word, _)| *word == value)
            .map(|(_, meaning)| *meaning);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let rule = format!("Member must satisfy enum value set: [{}]", words.join(", "));
            self.broken(&format!("Value '{value}'"), at, &rule);
        }
        found
    }

    /// # Errors
    /// When a rule is broken.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(Error::Validation(format!(
                "1 validation error detected: {}",
                self.0.join("")
            ))),
            count => Err(Error::Validation(format!(
                "{count} validation errors detected: {}",
                self.0.join("; ")
            ))),
        }
    }
}
