//! Who may ask.

use std::net::IpAddr;

use aloft_base::ErrorKind;
use http::{HeaderMap, header};

use crate::error::Error;

/// Who may ask.
#[derive(Clone)]
pub enum Guard {
    /// Whoever reaches the port on this machine, except web pages.
    Loopback,
    /// Whoever sends `Authorization: Bearer` and this token.
    Token(String),
}

impl Guard {
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let denied = |message: &str| Err(Error::new(ErrorKind::Denied, message));
        match self {
            Self::Loopback if headers.contains_key(header::ORIGIN) => {
                denied("web pages may not use the platform's API: the request has an Origin header")
            }
            Self::Loopback if !is_this_machine(headers) => {
                denied("the request's Host is not this machine; use 127.0.0.1 or localhost")
            }
            Self::Loopback => Ok(()),
            Self::Token(token) => {
                let given = headers
                    .get(header::AUTHORIZATION)
                    .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                match given.is_some_and(|given| is_equal(given, token.as_bytes())) {
                    true => Ok(()),
                    false => denied(
                        "this needs the node's token: pass --data with the node's data folder, or set ALOFT_TOKEN",
                    ),
                }
            }
        }
    }
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

    #[test]
    fn on_loopback_only_web_pages_and_foreign_names_are_refused() {
        let check = |pairs: &[_]| Guard::Loopback.check(&headers(pairs)).is_ok();
        for host in [
            "localhost:4566",
            "127.0.0.1",
            "127.0.0.1:4566",
            "[::1]:4566",
            "a.localhost",
        ] {
            assert!(check(&[(header::HOST, host)]), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:4566",
            "localhost.evil.example",
            "10.0.0.1",
        ] {
            assert!(!check(&[(header::HOST, host)]), "{host}");
        }
        assert!(!check(&[
            (header::HOST, "localhost"),
            (header::ORIGIN, "http://localhost:8080")
        ]));
    }

    #[test]
    fn elsewhere_the_token_counts() {
        let guard = Guard::Token("secret".into());
        assert!(
            guard
                .check(&headers(&[(header::AUTHORIZATION, "Bearer secret")]))
                .is_ok()
        );
        for wrong in ["Bearer secret2", "Bearer ", "secret", "Bearer Secret"] {
            assert!(
                guard.check(&headers(&[(header::AUTHORIZATION, wrong)])).is_err(),
                "{wrong}"
            );
        }
        assert!(guard.check(&HeaderMap::new()).is_err());
    }
}
