//! What a request says of the way that it came, as proxies write it down for those behind them.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Puts the client's address behind those that others wrote down before. What they said of the first hop's protocol, host and port stays;
/// where nobody did, it is this hop's.
pub(super) fn write(headers: &mut HeaderMap, peer: IpAddr) {
    let former: Vec<_> = headers
        .get_all(FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let way = match former.is_empty() {
        true => peer.to_string(),
        false => format!("{}, {peer}", former.join(", ")),
    };
    set(headers, FOR, &way);
    headers
        .entry(PROTO)
        .or_insert_with(|| HeaderValue::from_static("http"));
    if let Some(host) = headers.get(HOST).cloned() {
        if !headers.contains_key(PORT) {
            let port = port(&host, headers.get(PROTO)).to_string();
            set(headers, PORT, &port);
        }
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// The port that a host is reached at: the one behind its name, or its protocol's.
fn port(host: &HeaderValue, protocol: Option<&HeaderValue>) -> u16 {
    let authority: Option<http::uri::Authority> = host.as_bytes().try_into().ok();
    let usual = match protocol.map(HeaderValue::as_bytes) {
        Some(b"https") => 443,
        _ => 80,
    };
    authority.and_then(|host| host.port_u16()).unwrap_or(usual)
}

/// Sets a header in the place of all that have its name. A value that no header can have is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(given: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        write(&mut headers, [192, 0, 2, 1].into());
        let mut all: Vec<_> = headers
            .iter()
            .filter(|(name, _)| **name != HOST)
            .map(|(name, value)| {
                let name = name.as_str().trim_start_matches("x-forwarded-");
                (name.to_owned(), value.to_str().unwrap().to_owned())
            })
            .collect();
        all.sort();
        all
    }

    fn owned(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_first_hop_is_told_and_each_that_follows_adds_itself() {
        let cases: [(&[_], &[_]); 4] = [
            (&[], &[("for", "192.0.2.1"), ("proto", "http")]),
            (
                &[("host", "a.example:8080")],
                &[
                    ("for", "192.0.2.1"),
                    ("host", "a.example:8080"),
                    ("port", "8080"),
                    ("proto", "http"),
                ],
            ),
            (
                &[("host", "[::1]"), ("x-forwarded-proto", "https")],
                &[
                    ("for", "192.0.2.1"),
                    ("host", "[::1]"),
                    ("port", "443"),
                    ("proto", "https"),
                ],
            ),
            (
                &[
                    ("host", "inner"),
                    ("x-forwarded-for", "198.51.100.1"),
                    ("x-forwarded-for", "198.51.100.2"),
                    ("x-forwarded-host", "outer"),
                    ("x-forwarded-port", "8443"),
                    ("x-forwarded-proto", "https"),
                ],
                &[
                    ("for", "198.51.100.1, 198.51.100.2, 192.0.2.1"),
                    ("host", "outer"),
                    ("port", "8443"),
                    ("proto", "https"),
                ],
            ),
        ];
        for (given, expected) in cases {
            assert_eq!(written(given), owned(expected), "{given:?}");
        }
    }
}
