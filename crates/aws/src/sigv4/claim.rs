//! What the `Authorization` header or the query claims: which key signed, for which day, region and service, over which headers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::Error;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

/// A signature as it was given, not verified.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    /// The whole header or query, for messages.
    pub(crate) header: &'a str,
    pub(crate) key: Cow<'a, str>,
    pub(crate) scope: Scope<'a>,
    /// The names of the headers that were signed, divided by semicolons.
    pub(crate) signed: Cow<'a, str>,
    /// In hexadecimal digits.
    pub(crate) signature: Cow<'a, str>,
    /// What a signature in the query says besides.
    pub(crate) presigned: Option<Presigned>,
}

/// When a request was signed that may come later, and until when it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presigned {
    /// `X-Amz-Date`.
    pub(crate) date: String,
    /// `X-Amz-Expires`.
    pub(crate) expires: Duration,
    /// `X-Amz-Security-Token`, of session credentials.
    pub(crate) token: Option<String>,
}

/// What the signing key was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    /// The day, as `YYYYMMDD`.
    pub(crate) date: Cow<'a, str>,
    pub(crate) region: Cow<'a, str>,
    pub(crate) service: Cow<'a, str>,
    pub(crate) terminator: Cow<'a, str>,
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
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
                    .into(),
            )),
            (None, true) => presigned(request.uri.query().unwrap_or_default()),
            (Some(header), false) if header.starts_with("AWS4-") => parse(header),
            (Some(_) | None, false) => Err(Error::NotSigned),
        }
    }

    /// Refuses a path that is signed as another: `/a/../b` as `/b`. Whoever gets such a signature could send it to where it was not meant
    /// for, since requests are answered by the path as it came.
    pub(crate) fn check_path(request: &Parts) -> Result<(), Error> {
        let mut segments = request.uri.path().split('/');
        match segments.any(|segment| matches!(segment, "." | "..")) {
            true => Err(Error::InvalidSignature(
                "The path has a segment \".\" or \"..\": ask for the path that is meant.".into(),
            )),
            false => Ok(()),
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
    let (key, scope) = parse_credential(credential.into())?;
    Ok(Claim {
        header,
        key,
        scope,
        signed: signed.into(),
        signature: signature.into(),
        presigned: None,
    })
}

/// The longest time for which a request may be signed: a week, as on AWS.
const LONGEST: u64 = 604_800;

/// What a query claims: "Authenticating Requests: Using Query Parameters", S3 API Reference, which all services follow.
fn presigned(query: &str) -> Result<Claim<'_>, Error> {
    let refuse = |message: String| Error::IncompleteSignature(message);
    let mut given: BTreeMap<Cow<'_, str>, Cow<'_, str>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name.starts_with("X-Amz-") && given.insert(name.clone(), value).is_some() {
            return Err(refuse(format!("the query has '{name}' more than once")));
        }
    }
    let mut take = |name: &str| {
        let found = given.remove(name);
        found.ok_or_else(|| refuse(format!("AWS query-string parameters must include '{name}'.")))
    };
    let algorithm = take("X-Amz-Algorithm")?;
    if algorithm != ALGORITHM {
        return Err(refuse(format!(
            "Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
        )));
    }
    let (key, scope) = parse_credential(take("X-Amz-Credential")?)?;
    let (signed, signature) = (take("X-Amz-SignedHeaders")?, take("X-Amz-Signature")?);
    let (date, expires) = (take("X-Amz-Date")?.into_owned(), take("X-Amz-Expires")?);
    let seconds = expires
        .parse()
        .ok()
        .filter(|seconds| (1..=LONGEST).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        refuse(format!(
            "X-Amz-Expires must be a number of seconds from 1 to {LONGEST}, not '{expires}'"
        ))
    })?;
    Ok(Claim {
        header: query,
        key,
        scope,
        signed,
        signature,
        presigned: Some(Presigned {
            date,
            expires: Duration::from_secs(seconds),
            token: given.remove("X-Amz-Security-Token").map(Cow::into_owned),
        }),
    })
}

fn parse_credential(credential: Cow<'_, str>) -> Result<(Cow<'_, str>, Scope<'_>), Error> {
    let parts = match &credential {
        Cow::Borrowed(text) => split(text).map(|parts| parts.map(Cow::Borrowed)),
        Cow::Owned(text) => split(text).map(|parts| parts.map(|part| Cow::Owned(part.to_owned()))),
    };
    match parts {
        Some([key, date, region, service, terminator]) => Ok((
            key,
            Scope {
                date,
                region,
                service,
                terminator,
            },
        )),
        None => Err(Error::IncompleteSignature(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        ))),
    }
}

fn split(credential: &str) -> Option<[&str; 5]> {
    let parts: Vec<&str> = credential.trim_end_matches('/').split('/').collect();
    parts.try_into().ok()
}
