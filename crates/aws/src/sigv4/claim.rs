//! What the `Authorization` header claims: which key signed, for which day, region and service, over which headers.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::Error;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

/// A signature as it was given, not verified.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    /// The whole header, for messages.
    pub(crate) header: &'a str,
    pub(crate) key: &'a str,
    pub(crate) scope: Scope<'a>,
    /// The names of the headers that were signed, divided by semicolons.
    pub(crate) signed: &'a str,
    /// In hexadecimal digits.
    pub(crate) signature: &'a str,
}

/// What the signing key was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    /// The day, as `YYYYMMDD`.
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) terminator: &'a str,
}

impl std::fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.date, self.region, self.service, self.terminator
        )
    }
}

impl<'a> Claim<'a> {
    /// Reads what a request claims.
    ///
    /// # Errors
    /// When it is not signed, or the signature is not complete.
    pub(crate) fn read(request: &'a Parts) -> Result<Self, Error> {
        let in_query = request.uri.query().is_some_and(is_presigned);
        match (authorization(&request.headers)?, in_query) {
            (Some(_), true) => Err(Error::InvalidSignature(
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.".into(),
            )),
            (None, true) => Err(Error::IncompleteSignature(
                "signatures in the query string (presigned URLs) are not supported yet: sign with an Authorization header"
                    .into(),
            )),
            (Some(header), false) if header.starts_with("AWS4-") => parse(header),
            (Some(_) | None, false) => Err(Error::NotSigned),
        }
    }

    /// Refuses a scope that no request can have.
    pub(crate) fn check_terminator(&self) -> Result<(), Error> {
        if self.scope.terminator == TERMINATOR {
            return Ok(());
        }
        Err(Error::InvalidSignature(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
            self.scope.terminator
        )))
    }
}

fn is_presigned(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("X-Amz-Algorithm"))
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), more) = (given.next(), given.next()) else {
        return Ok(None);
    };
    let refuse = |message: &str| Err(Error::IncompleteSignature(message.to_owned()));
    match (value.to_str(), more) {
        (_, Some(_)) => refuse("the request has more than one Authorization header"),
        (Err(_), None) => refuse("the Authorization header holds characters that are not ASCII"),
        (Ok(text), None) => Ok(Some(text.trim())),
    }
}

fn parse(header: &str) -> Result<Claim<'_>, Error> {
    let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
    let (mut credential, mut signed, mut signature) = (None, None, None);
    for parameter in parameters
        .split(',')
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty())
    {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(Error::IncompleteSignature(format!(
                "'{parameter}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
            )));
        };
        match name {
            "Credential" => credential = Some(value),
            "SignedHeaders" => signed = Some(value),
            "Signature" => signature = Some(value),
            _ => {}
        }
    }
    let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature) else {
        let missing = [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed),
        ];
        let missing = missing.iter().filter(|(_, given)| given.is_none());
        let text: String = missing
            .map(|(name, _)| format!("Authorization header requires '{name}' parameter. "))
            .collect();
        return Err(Error::IncompleteSignature(format!(
            "{text}Authorization={header}"
        )));
    };
    if algorithm != ALGORITHM {
        return Err(Error::IncompleteSignature(format!(
            "Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
        )));
    }
    let (key, scope) = parse_credential(credential)?;
    Ok(Claim {
        header,
        key,
        scope,
        signed,
        signature,
    })
}

fn parse_credential(credential: &str) -> Result<(&str, Scope<'_>), Error> {
    let mut parts = credential.trim_end_matches('/').split('/');
    let mut next = || parts.next();
    match (next(), next(), next(), next(), next(), next()) {
        (Some(key), Some(date), Some(region), Some(service), Some(terminator), None) => Ok((
            key,
            Scope {
                date,
                region,
                service,
                terminator,
            },
        )),
        _ => Err(Error::IncompleteSignature(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        ))),
    }
}
