//! Answers of the AWS JSON protocol: request id, checksum, and the shape of errors.

use aloft_base::{Chance, InvocationId};
use aloft_http::{Body, Response, full};
use aloft_item::Typed;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::Error;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// SDKs of DynamoDB compare the body with it, and ask again if it differs.
const CRC32: HeaderName = HeaderName::from_static("x-amz-crc32");
/// The type of answers in XML.
pub(crate) const XML: &str = "text/xml";
/// The type of DynamoDB's answers.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// The type of CloudWatch Logs' answers.
pub(crate) const JSON_11: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// A request's id, in the form that DynamoDB gives: 52 capital letters and digits; or in Lambda's, a UUID.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn draw(chance: &dyn Chance) -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut id = [0_u8; 52];
        chance.fill(&mut id);
        // 260 bits of chance; each byte keeps five of its own.
        let letter = |byte: &u8| char::from(LETTERS.get(usize::from(*byte & 31)).copied().unwrap_or(b'0'));
        Self(id.iter().map(letter).collect())
    }

    /// That of an answer about this invocation, or of Lambda's about anything else.
    pub(crate) fn of(invocation: InvocationId) -> Self {
        Self(invocation.to_string())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes an operation's answer.
///
/// # Errors
/// Never for the types of this crate, whose keys are strings.
pub(crate) fn json(output: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(output).map_err(Error::Unwritten)
}

/// The answer to a request that was done.
pub(crate) fn success(id: &RequestId, kind: HeaderValue, body: Vec<u8>) -> Response {
    let checksum = crc32fast::hash(&body);
    let mut response = described(id, kind, full(body));
    response.headers_mut().insert(CRC32, HeaderValue::from(checksum));
    response
}

/// An answer with what all protocols say of one.
pub(crate) fn described(id: &RequestId, kind: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The answer to a request that was not.
pub(crate) fn failure(id: &RequestId, kind: HeaderValue, error: &Error) -> Response {
    let body = json(&Failure(error)).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = success(id, kind, body);
    *response.status_mut() = error.code().status;
    response
}

struct Failure<'a>(&'a Error);

impl Serialize for Failure<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let code = self.0.code();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__type", &code.full())?;
        map.serialize_entry(
            if code.is_capital { "Message" } else { "message" },
            &self.0.message(),
        )?;
        if let Some(item) = self.0.item() {
            map.serialize_entry("Item", &Typed(item))?;
        }
        map.end()
    }
}
