//! Refusals to clients of services that are not here yet, in the shape that such a client can read. A JSON answer to an S3 or
//! STS client would show its user "unable to parse response" instead of what is wrong.

use aloft_http::{Response, full};
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::Error;
use crate::answer::RequestId;

/// AWS's protocols, by how they tell errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// S3's XML.
    S3,
    /// The XML of services that are sent forms: STS, IAM, SNS, CloudFormation.
    Query,
    /// JSON with the code in a header: Lambda, API Gateway.
    Json,
}

/// The answer to a request for another service.
pub(crate) fn refuse(request: &Parts, service: &str, id: &RequestId) -> Response {
    let error = Error::OtherService(service.chars().take(64).collect());
    let (code, message, id) = (error.code(), error.message(), id.as_str());
    let protocol = protocol(service, &request.headers);
    let escaped = escape(&message);
    let (kind, body) = match protocol {
        Protocol::S3 => (
            "application/xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{escaped}</Message><RequestId>{id}</RequestId></Error>",
                code.name
            ),
        ),
        Protocol::Query => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{escaped}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                code.name
            ),
        ),
        Protocol::Json => (
            "application/json",
            serde_json::json!({ "__type": code.name, "message": message }).to_string(),
        ),
    };
    let mut response = Response::new(full(body));
    *response.status_mut() = code.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(code.name),
    );
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

fn protocol(service: &str, headers: &HeaderMap) -> Protocol {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if service == "s3" {
        Protocol::S3
    } else if kind.starts_with(b"application/x-www-form-urlencoded") {
        Protocol::Query
    } else {
        Protocol::Json
    }
}

/// For XML text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
