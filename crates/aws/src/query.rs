//! The Query protocol: a form asks, XML answers. STS speaks it, and IAM, SNS and CloudFormation do.
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>)

use aloft_http::{Response, full};
use http::request::Parts;
use http::{HeaderValue, Method};

use crate::Error;
use crate::answer::{RequestId, XML, described};

/// Parameters of one request.
const PARAMETERS: usize = 1_000;

/// A request's parameters.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form.
    pub(crate) fn parse(head: &Parts, body: &[u8]) -> Result<Self, Error> {
        if head.method != Method::POST {
            return Err(Error::UnknownOperation(format!(
                "operations are sent by POST, this is a {}",
                head.method
            )));
        }
        let pairs = form_urlencoded::parse(body).into_owned();
        let pairs: Vec<_> = pairs.take(PARAMETERS + 1).collect();
        if pairs.len() > PARAMETERS {
            return Err(Error::Validation(format!(
                "a request has at most {PARAMETERS} parameters"
            )));
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The operation of this version that is wanted.
    pub(crate) fn find<T: Copy>(
        &self,
        known: &[T],
        version: &str,
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Error> {
        let Some(action) = self.get("Action") else {
            return Err(Error::UnknownOperation(
                "the parameter Action is missing; it names the operation".to_owned(),
            ));
        };
        let asked = self.get("Version").unwrap_or_default();
        let found = known.iter().copied().find(|known| name(*known) == action);
        found.filter(|_| asked == version).ok_or_else(|| {
            let short = |text: &str| text.chars().take(100).collect::<String>();
            Error::UnknownOperation(format!(
                "Could not find operation {} for version {}: it does not exist or is not supported yet",
                short(action),
                short(asked)
            ))
        })
    }
}

/// The answer to a request that was done.
pub(crate) fn success(id: &RequestId, operation: &str, namespace: &str, result: &str) -> Response {
    let text = format!(
        "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        id.as_str()
    );
    described(id, HeaderValue::from_static(XML), full(text))
}

/// An element that holds a text.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// For XML text.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
