//! What can be wrong with an event. Wrong patterns have an error of their own, because they carry positions.

use aloft_base::ErrorKind;

/// Why something is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A required attribute is not there.
    #[error(
        "the event has no \"{name}\": a CloudEvent needs \"id\", \"source\", \"specversion\" and \"type\""
    )]
    Missing {
        /// The attribute.
        name: &'static str,
    },
    /// An attribute's value is not allowed.
    #[error("the event's attribute \"{name}\" is not valid: {rule}, but it is {value}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What was given, cut to 100 characters.
        value: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// An extension attribute's name is not allowed.
    #[error("\"{name}\" is not a valid name of an extension attribute: {rule}")]
    ExtensionName {
        /// The name, cut to 100 characters.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// More extension attributes than allowed.
    #[error("the event has more than {limit} extension attributes")]
    TooManyExtensions {
        /// The bound.
        limit: usize,
    },
    /// The event, or one attribute, is too large.
    #[error("{what} has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// The text is not JSON, or not a JSON object.
    #[error("the event is not a JSON object: {why}")]
    Json {
        /// What the parser says.
        why: String,
    },
    /// The payload is not what the other attributes say it is.
    #[error("the event's data is not valid: {why}")]
    Data {
        /// What is wrong with it.
        why: String,
    },
    /// An HTTP message that carries no single event.
    #[error("the HTTP message carries no event that can be read: {why}")]
    Http {
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } | Self::TooManyExtensions { .. } => ErrorKind::TooLarge,
            Self::Missing { .. }
            | Self::Attribute { .. }
            | Self::ExtensionName { .. }
            | Self::Json { .. }
            | Self::Data { .. }
            | Self::Http { .. } => ErrorKind::Invalid,
        }
    }

    pub(crate) fn attribute(name: &str, value: &str, rule: &'static str) -> Self {
        Self::Attribute {
            name: cut(name),
            value: format!("{:?}", cut(value)),
            rule,
        }
    }
}

/// The beginning of a text that a stranger gave, for a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
