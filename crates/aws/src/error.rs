//! What can go wrong on the wire, and the one place where it becomes a code and a status.
//!
//! Codes and texts are DynamoDB's: SDKs decide by the code whether to try again, and people compare the text. What is
//! nobody's mistake but ours goes to the log under the request id; the client gets the id.

use std::time::Duration;

use aloft_access::Denial;
use aloft_base::{ErrorKind, TableName};
use aloft_http::Refusal;
use aloft_item::Item;
use http::StatusCode;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No signature at all.
    #[error("Request is missing Authentication Token")]
    NotSigned,
    /// A signature that lacks something or cannot be read.
    #[error("{0}")]
    IncompleteSignature(String),
    /// A signature that is wrong, expired, or for something else.
    #[error("{0}")]
    InvalidSignature(String),
    /// A key that nobody has, or a session token that was not issued here.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// A browser's request where any key is good, so that every page that someone visits could send it.
    #[error(
        "web pages may not use the services: the request has an Origin header, and this port trusts whoever reaches it"
    )]
    WebPage,
    /// The caller may not do it.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// More requests than the account may send in a second.
    #[error("Rate exceeded: the account sends more requests a second than its quota; try again in {0:?}")]
    TooFast(Duration),
    /// An ARN of another account, or of another service.
    #[error("\"{0}\" belongs to another account, or is nothing of this service")]
    OtherAccount(String),
    /// The JSON, or a member's type.
    #[error("{0}")]
    Serialization(String),
    /// What the members say.
    #[error("{0}")]
    Validation(String),
    /// An operation that does not exist, or is not built yet.
    #[error("{0}")]
    UnknownOperation(String),
    /// A service that is not built yet.
    #[error(
        "the service \"{0}\" is not supported yet: this endpoint answers for dynamodb, iam, lambda, logs, secretsmanager and sts"
    )]
    OtherService(String),
    /// The server did not let the request through.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such table, to those operations that say which.
    #[error("Requested resource not found: Table: {0} not found")]
    NoTable(TableName),
    /// The table says no.
    #[error(transparent)]
    Table(#[from] aloft_table::Error),
    /// Lambda's own.
    #[error(transparent)]
    Lambda(#[from] crate::lambda::Error),
    /// CloudWatch Logs' own.
    #[error(transparent)]
    Logs(#[from] crate::logs::Error),
    /// Secrets Manager's own.
    #[error(transparent)]
    Secrets(#[from] crate::secrets::Error),
    /// IAM's own.
    #[error(transparent)]
    Iam(#[from] crate::iam::Error),
    /// An answer could not be written as JSON.
    #[error("the answer could not be written: {0}")]
    Unwritten(#[source] serde_json::Error),
}

/// A code of the wire: its name with its namespace, and the status that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// Whether the text is called `Message` instead of `message`, as some of DynamoDB's layers call it.
    pub(crate) is_capital: bool,
}

const SERVICE: &str = "com.amazon.coral.service#";
const VALIDATE: &str = "com.amazon.coral.validate#";
const AVAILABILITY: &str = "com.amazon.coral.availability#";
const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810#";

const VALIDATION: Code = Code::new(VALIDATE, "ValidationException", StatusCode::BAD_REQUEST);
const SERIALIZATION: Code = Code::new(SERVICE, "SerializationException", StatusCode::BAD_REQUEST).capital();
const ACCESS_DENIED: Code = Code::new(SERVICE, "AccessDeniedException", StatusCode::BAD_REQUEST).capital();
const NOT_FOUND: Code = Code::new(DYNAMODB, "ResourceNotFoundException", StatusCode::BAD_REQUEST);
const IN_USE: Code = Code::new(DYNAMODB, "ResourceInUseException", StatusCode::BAD_REQUEST);
const INTERNAL: Code = Code::new(DYNAMODB, "InternalServerError", StatusCode::INTERNAL_SERVER_ERROR);
const THROTTLED: Code = Code::new(AVAILABILITY, "ThrottlingException", StatusCode::BAD_REQUEST);
const UNAVAILABLE: Code = Code::new(
    AVAILABILITY,
    "ServiceUnavailable",
    StatusCode::SERVICE_UNAVAILABLE,
);

impl Code {
    const fn new(namespace: &'static str, name: &'static str, status: StatusCode) -> Self {
        Self {
            namespace,
            name,
            status,
            is_capital: false,
        }
    }

    const fn capital(self) -> Self {
        Self {
            is_capital: true,
            ..self
        }
    }

    /// As `__type` has it.
    pub(crate) fn full(self) -> String {
        format!("{}{}", self.namespace, self.name)
    }
}

impl Error {
    /// The code and status.
    pub(crate) fn code(&self) -> Code {
        let denied = |name| Code::new(SERVICE, name, StatusCode::BAD_REQUEST);
        match self {
            Self::NotSigned => denied("MissingAuthenticationTokenException"),
            Self::IncompleteSignature(_) => denied("IncompleteSignatureException"),
            Self::InvalidSignature(_) => denied("InvalidSignatureException"),
            Self::UnknownKey => denied("UnrecognizedClientException"),
            Self::WebPage | Self::Denied(_) | Self::OtherAccount(_) => ACCESS_DENIED,
            Self::TooFast(_) => denied("ThrottlingException"),
            Self::Serialization(_) => SERIALIZATION,
            Self::Validation(_) => VALIDATION,
            Self::UnknownOperation(_) => denied("UnknownOperationException"),
            Self::OtherService(_) => Code::new(SERVICE, "NotImplemented", StatusCode::NOT_IMPLEMENTED),
            Self::Refused(refusal) => Code {
                status: refusal.status,
                ..refused(refusal.status)
            },
            Self::NoTable(_) => NOT_FOUND,
            Self::Table(error) => table_code(error),
            Self::Lambda(error) => {
                let (name, status) = error.code();
                Code::new("", name, status)
            }
            Self::Iam(error) => {
                let (name, status) = error.code();
                Code::new("", name, status)
            }
            Self::Logs(error) => {
                let (name, status) = error.code();
                Code::new("", name, status)
            }
            Self::Secrets(error) => {
                let (name, status) = error.code();
                Code::new("", name, status)
            }
            Self::Unwritten(_) => INTERNAL,
        }
    }

    /// What the client is told.
    pub(crate) fn message(&self) -> String {
        match self.code() {
            _ if matches!(self, Self::Iam(error) if error.is_ours()) => {
                "The request processing has failed; the platform's log tells more under the request id"
                    .to_owned()
            }
            _ if matches!(self, Self::Logs(error) if error.is_ours())
                || matches!(self, Self::Secrets(error) if error.is_ours()) =>
            {
                "The service cannot complete the request; the platform's log tells more under the request id"
                    .to_owned()
            }
            INTERNAL => {
                "Internal server error; the platform's log tells more under the request id".to_owned()
            }
            UNAVAILABLE => {
                "The service is unavailable; the platform's log tells more under the request id".to_owned()
            }
            _ => self.to_string(),
        }
    }

    /// Whether the failure is ours, so that the log must tell of it.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Lambda(error) => error.is_ours(),
            Self::Iam(error) => error.is_ours(),
            Self::Logs(error) => error.is_ours(),
            Self::Secrets(error) => error.is_ours(),
            other => matches!(other.code(), INTERNAL | UNAVAILABLE),
        }
    }

    /// The row that a failed condition was asked to show.
    pub(crate) fn item(&self) -> Option<&Item> {
        match self {
            Self::Table(aloft_table::Error::ConditionFailed { item }) => item.as_deref(),
            _ => None,
        }
    }
}

impl From<aloft_item::Error> for Error {
    fn from(error: aloft_item::Error) -> Self {
        match error {
            aloft_item::Error::Shape(message) => Self::Serialization(message),
            other => Self::Validation(other.to_string()),
        }
    }
}

fn table_code(error: &aloft_table::Error) -> Code {
    use aloft_table::Error as E;
    match error {
        E::Item(aloft_item::Error::Shape(_)) => SERIALIZATION,
        E::Invalid(_) | E::Item(_) => VALIDATION,
        E::Missing(_) => NOT_FOUND,
        E::Exists(_) | E::OtherKeys { .. } => IN_USE,
        E::ConditionFailed { .. } => Code::new(
            DYNAMODB,
            "ConditionalCheckFailedException",
            StatusCode::BAD_REQUEST,
        ),
        E::Contended(_) => THROTTLED,
        E::Collision(_) | E::Corrupt { .. } => INTERNAL,
        E::Store(error) => store_code(error.kind()),
    }
}

/// The store knows no users: what is invalid to it is our mistake.
fn store_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Throttled => THROTTLED,
        ErrorKind::Unavailable | ErrorKind::TimedOut => UNAVAILABLE,
        ErrorKind::Invalid
        | ErrorKind::Missing
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::TooLarge
        | ErrorKind::Function
        | ErrorKind::Internal => INTERNAL,
    }
}

fn refused(status: StatusCode) -> Code {
    let name = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeException",
        StatusCode::REQUEST_TIMEOUT => "RequestTimeoutException",
        StatusCode::INTERNAL_SERVER_ERROR => return INTERNAL,
        _ => "MalformedHttpRequestException",
    };
    Code::new(SERVICE, name, status)
}
