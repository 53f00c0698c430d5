//! How each of AWS's protocols tells that a request was not done. A JSON answer to an S3 or STS client would show its user "unable
//! to parse response" instead of what is wrong, also where the service is not here yet.

use aloft_base::{Chance, InvocationId};
use aloft_http::{Response, full};
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::answer::{self, RequestId, XML, described};
use crate::query::escape;
use crate::service::Service;
use crate::sigv4::Claim;
use crate::{Error, lambda};

/// AWS's protocols, by how they tell errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON with the code in `__type`: DynamoDB.
    AwsJson,
    /// The same in its other version: CloudWatch Logs, Secrets Manager.
    AwsJson11,
    /// S3's XML.
    S3,
    /// The XML of services that are sent forms: STS, IAM, SNS, CloudFormation.
    Query,
    /// JSON with the code in a header: Lambda, API Gateway.
    RestJson,
}

impl Protocol {
    /// What the client of a request reads, by what it claims and the form it has.
    pub(crate) fn of(request: &Parts) -> Self {
        let kind = request.headers.get(CONTENT_TYPE);
        let kind = kind.map_or(&b""[..], HeaderValue::as_bytes);
        let is_form = kind.starts_with(b"application/x-www-form-urlencoded");
        let claim = Claim::read(request).ok();
        match claim.as_ref().map(|claim| &*claim.scope.service) {
            Some(name) if name == Service::DynamoDb.name() => Self::AwsJson,
            Some(name) if name == Service::Logs.name() || name == Service::Secrets.name() => Self::AwsJson11,
            Some("s3") => Self::S3,
            Some(name) if name == Service::Lambda.name() => Self::RestJson,
            Some(name) if name == Service::Sts.name() || name == Service::Iam.name() => Self::Query,
            _ if is_form => Self::Query,
            Some(_) => Self::RestJson,
            None => Self::AwsJson,
        }
    }

    /// The id of a request that was not done: that of the invocation if one was begun, so that it is found in the log. Lambda's are UUIDs
    /// in any case.
    pub(crate) fn request_id(self, drawn: RequestId, error: &Error, chance: &dyn Chance) -> RequestId {
        match (self, error) {
            (_, Error::Lambda(lambda::Error::Begun { id, .. })) => RequestId::of(*id),
            (Self::RestJson, _) => RequestId::of(InvocationId::draw(chance)),
            _ => drawn,
        }
    }

    /// The answer to a request that was not done.
    pub(crate) fn failure(self, id: &RequestId, error: &Error) -> Response {
        let (name, status) = self.code(error);
        let message = error.message();
        let escaped = escape(&message);
        let (kind, body) = match self {
            Self::AwsJson => return answer::failure(id, answer::JSON, error),
            Self::AwsJson11 => return answer::failure(id, answer::JSON_11, error),
            Self::S3 => (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{name}</Code><Message>{escaped}</Message><RequestId>{}</RequestId></Error>",
                    id.as_str()
                ),
            ),
            Self::Query => {
                let whose = if status.is_server_error() {
                    "Receiver"
                } else {
                    "Sender"
                };
                (
                    XML,
                    format!(
                        "<ErrorResponse><Error><Type>{whose}</Type><Code>{name}</Code><Message>{escaped}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                        id.as_str()
                    ),
                )
            }
            Self::RestJson => {
                let members = match error {
                    Error::Lambda(error) => serde_json::Value::Object(error.members()),
                    _ => serde_json::json!({ "__type": name, "message": message }),
                };
                ("application/json", members.to_string())
            }
        };
        let mut response = described(id, HeaderValue::from_static(kind), full(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            HeaderName::from_static("x-amzn-errortype"),
            HeaderValue::from_static(name),
        );
        let seconds = match error {
            Error::Lambda(error) => error.retry_after(),
            Error::TooFast(_) => Some(1),
            _ => None,
        };
        if let Some(seconds) = seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    /// The code and status. Protocols of XML have names of their own for what all services refuse
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>); whoever may not is told by 403 in all but DynamoDB's.
    fn code(self, error: &Error) -> (&'static str, StatusCode) {
        let code = error.code();
        let is_xml = match self {
            Self::AwsJson | Self::AwsJson11 => return (code.name, code.status),
            Self::S3 | Self::Query => true,
            Self::RestJson => false,
        };
        let named = |xml| if is_xml { xml } else { code.name };
        match error {
            Error::NotSigned => (named("MissingAuthenticationToken"), StatusCode::FORBIDDEN),
            Error::IncompleteSignature(_) => (named("IncompleteSignature"), StatusCode::BAD_REQUEST),
            Error::InvalidSignature(_) => (named("SignatureDoesNotMatch"), StatusCode::FORBIDDEN),
            Error::UnknownKey => (named("InvalidClientTokenId"), StatusCode::FORBIDDEN),
            Error::WebPage | Error::Denied(_) | Error::OtherAccount(_) => {
                (named("AccessDenied"), StatusCode::FORBIDDEN)
            }
            Error::Serialization(_) | Error::Validation(_) => {
                (named("ValidationError"), StatusCode::BAD_REQUEST)
            }
            Error::TooFast(_) if is_xml => ("Throttling", StatusCode::BAD_REQUEST),
            Error::TooFast(_) => ("TooManyRequestsException", StatusCode::TOO_MANY_REQUESTS),
            Error::UnknownOperation(_) => (named("InvalidAction"), StatusCode::BAD_REQUEST),
            Error::OtherService(_)
            | Error::Lambda(_)
            | Error::Iam(_)
            | Error::Logs(_)
            | Error::Secrets(_)
            | Error::Refused(_)
            | Error::NoTable(_)
            | Error::Table(_)
            | Error::Unwritten(_) => (code.name, code.status),
        }
    }
}
