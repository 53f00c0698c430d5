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
    /// Reads a form: the body, or the query of what was signed to be asked for later.
    pub(crate) fn parse(head: &Parts, body: &[u8]) -> Result<Self, Error> {
        let form = match head.method {
            Method::POST => body,
            Method::GET => head.uri.query().unwrap_or_default().as_bytes(),
            _ => {
                return Err(Error::UnknownOperation(format!(
                    "operations are sent by POST or GET, this is a {}",
                    head.method
                )));
            }
        };
        let pairs = form_urlencoded::parse(form).into_owned();
        let pairs: Vec<_> = pairs.take(PARAMETERS + 1).collect();
        if pairs.len() > PARAMETERS {
            return Err(Error::Validation(format!(
                "a request has at most {PARAMETERS} parameters"
            )));
        }
        // XML cannot hold them, so an answer could not tell of them.
        let is_odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}');
        if let Some((name, _)) = pairs.iter().find(|(_, value)| value.contains(is_odd)) {
            let name: String = name.chars().take(100).collect();
            return Err(Error::Validation(format!(
                "{name} has control characters, which XML does not allow"
            )));
        }
        Ok(Self(pairs))
    }

    /// A parameter; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// A parameter that may be empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there; `at` is its path in the service's model.
    pub(crate) fn required(&self, name: &str, at: &str) -> Result<String, Error> {
        let found = self.get(name).map(str::to_owned);
        found.ok_or_else(|| {
            Error::Validation(format!(
                "1 validation error detected: Value null at '{at}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    /// The members of a list: `NAME.member.1` and so on.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let member = |number: usize| self.get(&format!("{name}.member.{number}"));
        (1..=PARAMETERS).map_while(member).map(str::to_owned).collect()
    }

    /// The members of a list of keys and values: `NAME.member.1.Key` and `NAME.member.1.Value`.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, Error> {
        let mut pairs = Vec::new();
        for number in 1..=PARAMETERS {
            let Some(key) = self.get(&format!("{name}.member.{number}.Key")) else {
                break;
            };
            let value = self.get(&format!("{name}.member.{number}.Value"));
            let value = value.unwrap_or_default();
            if key.chars().count() > 128 || value.chars().count() > 256 {
                return Err(Error::Validation(
                    "a tag's key has at most 128 characters, and its value 256".to_owned(),
                ));
            }
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(pairs)
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

/// The answer to a request that was done; some operations have no result.
pub(crate) fn success(id: &RequestId, operation: &str, namespace: &str, result: Option<&str>) -> Response {
    let result = result.map(|result| format!("<{operation}Result>{result}</{operation}Result>"));
    let result = result.unwrap_or_default();
    let text = format!(
        "<{operation}Response xmlns=\"{namespace}\">{result}\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        id.as_str()
    );
    described(id, HeaderValue::from_static(XML), full(text))
}

/// An element that holds a text.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// For XML text. A reader of XML takes a bare carriage return for the end of a line.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}
