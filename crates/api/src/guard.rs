//! Who may ask.

use std::net::IpAddr;
use std::sync::Arc;

use aloft_base::{ErrorKind, Tenant};
use aloft_http::{BodyError, Request, collect, full};
use async_trait::async_trait;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::error::Error;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// Whoever holds a key of this account, or reaches a node that has only one.
    Account(Tenant),
    /// Whoever runs the node.
    Administrator,
}

/// Tells who has signed a request.
#[async_trait]
pub trait Verify: Send + Sync + 'static {
    /// Whether a request with this head can be signed by anybody, so that a stranger's body is never taken in.
    ///
    /// # Errors
    /// Why not, for the client.
    async fn check_head(&self, head: &Parts) -> Result<(), String>;

    /// Who has signed it.
    ///
    /// # Errors
    /// Why it is not right, for the client.
    async fn asker(&self, head: &Parts, body: &[u8]) -> Result<Asker, String>;
}

/// Who may ask.
#[derive(Clone)]
pub enum Guard {
    /// Whoever reaches the port on this machine, except web pages.
    Loopback,
    /// Whoever sends `Authorization: Bearer` and this token.
    Token(String),
    /// Whoever signs with a key of an account or of an administrator; and whoever sends this token, who is one.
    Signed(String, Arc<dyn Verify>),
}

impl Guard {
    /// Who asks. The body is given back; of a stranger it is not read.
    pub(crate) async fn check(&self, request: Request, most: usize) -> Result<(Asker, Request), Error> {
        let denied = |message: &str| Err(Error::new(ErrorKind::Denied, message));
        let headers = request.headers();
        match self {
            Self::Loopback if headers.contains_key(header::ORIGIN) => {
                denied("web pages may not use the platform's API: the request has an Origin header")
            }
            Self::Loopback if !is_this_machine(headers) => {
                denied("the request's Host is not this machine; use 127.0.0.1 or localhost")
            }
            Self::Loopback => Ok((Asker::Account(Tenant::local()), request)),
            Self::Token(token) if has_token(headers, token) => Ok((Asker::Account(Tenant::local()), request)),
            Self::Token(_) => denied(
                "this needs the node's token: pass --data with the node's data folder, or set ALOFT_TOKEN",
            ),
            Self::Signed(token, _) if has_token(headers, token) => Ok((Asker::Administrator, request)),
            Self::Signed(_, verify) => {
                let (head, body) = request.into_parts();
                let refuse = |message| Error::new(ErrorKind::Denied, message);
                verify.check_head(&head).await.map_err(refuse)?;
                let body = collect(body, most).await;
                let body = body.map_err(|error: BodyError| Error::new(error.kind(), error.to_string()))?;
                let asker = verify.asker(&head, &body).await.map_err(refuse)?;
                Ok((asker, Request::from_parts(head, full(body))))
            }
        }
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| is_equal(given, token.as_bytes()))
}

/// Whether the name that the client used is this machine's own, so that no other site's name has been pointed here.
fn is_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Compares without telling by the time it takes how much is right.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    /// Who asks with these headers.
    async fn asker(guard: &Guard, headers: HeaderMap) -> Result<Asker, Error> {
        let mut request = Request::new(full(""));
        *request.headers_mut() = headers;
        Ok(guard.check(request, 0).await?.0)
    }

    #[tokio::test]
    async fn on_loopback_only_web_pages_and_foreign_names_are_refused() {
        let check = async |pairs: &[_]| asker(&Guard::Loopback, headers(pairs)).await.is_ok();
        for host in [
            "localhost:4566",
            "127.0.0.1",
            "127.0.0.1:4566",
            "[::1]:4566",
            "a.localhost",
        ] {
            assert!(check(&[(header::HOST, host)]).await, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4566",
            "localhost.evil.example",
            "10.0.0.1",
        ] {
            assert!(!check(&[(header::HOST, host)]).await, "{host}");
        }
        assert!(
            !check(&[
                (header::HOST, "localhost"),
                (header::ORIGIN, "http://localhost:8080")
            ])
            .await
        );
    }

    #[tokio::test]
    async fn elsewhere_the_token_counts() {
        let guard = Guard::Token("secret".into());
        let right = headers(&[(header::AUTHORIZATION, "Bearer secret")]);
        let found = asker(&guard, right).await.unwrap();
        assert_eq!(found, Asker::Account(Tenant::local()));
        for wrong in ["Bearer secret2", "Bearer ", "secret", "Bearer Secret"] {
            let wrong = headers(&[(header::AUTHORIZATION, wrong)]);
            assert!(asker(&guard, wrong.clone()).await.is_err(), "{wrong:?}");
        }
        assert!(asker(&guard, HeaderMap::new()).await.is_err());
    }
}
