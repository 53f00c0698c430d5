//! What pages of other origins may do at a function URL: the answer to a browser's question, and the headers of all other answers
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>). What the URL's configuration says stands in place of what the function says.

use aloft_function::Cors;
use aloft_http::{Response, empty};
use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, VARY,
};
use http::request::Parts;

const ALL: &str = "*";
const OWN: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// The answer to a browser that asks what a page may do; nothing when a request is no such question. A page that may not is told by what
/// the answer lacks.
pub(crate) fn answer(cors: &Cors, head: &Parts) -> Option<Response> {
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    let mut response = Response::new(empty());
    let headers = response.headers_mut();
    if !allow(cors, &head.headers, headers) || !has(&cors.methods, method) {
        // Also of a page that may, one that asks for another method is told nothing.
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        return Some(response);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        let names = asked.to_str().unwrap_or_default().split(',').map(str::trim);
        let allowed = |name: &&str| {
            let is_it = |other: &String| other == ALL || other.eq_ignore_ascii_case(name);
            !name.is_empty() && cors.headers.iter().any(is_it)
        };
        let allowed: Vec<&str> = names.filter(allowed).collect();
        set(headers, ACCESS_CONTROL_ALLOW_HEADERS, &allowed.join(", "));
    }
    if let Some(age) = cors.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, age.into());
    }
    Some(response)
}

/// Says on an answer what the page that asked may see of it.
pub(crate) fn mark(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) {
    for name in OWN {
        answer.remove(name);
    }
    if allow(cors, request, answer) {
        set(answer, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.exposed.join(", "));
    }
}

/// Whether a page may call at all.
fn is_allowed(cors: &Cors, request: &HeaderMap) -> bool {
    request
        .get(ORIGIN)
        .is_some_and(|origin| has(&cors.origins, origin))
}

/// Whether the page that asks is named itself, and not only among all.
pub(crate) fn is_named(cors: &Cors, request: &HeaderMap) -> bool {
    let is_it = |origin: &HeaderValue| {
        cors.origins
            .iter()
            .any(|named| named.as_bytes() == origin.as_bytes())
    };
    request.get(ORIGIN).is_some_and(is_it)
}

fn allow(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
    let is_open = cors.origins.iter().any(|origin| origin == ALL);
    if !is_open {
        // A cache must not give one page what another was told.
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(origin) = request.get(ORIGIN).filter(|_| is_allowed(cors, request)) else {
        return false;
    };
    let shown = if is_open && !cors.credentials {
        HeaderValue::from_static(ALL)
    } else {
        // With credentials browsers take no `*`.
        origin.clone()
    };
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, shown);
    if cors.credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    true
}

fn has(values: &[String], wanted: &HeaderValue) -> bool {
    let is_it = |value: &String| value == ALL || value.as_bytes() == wanted.as_bytes();
    values.iter().any(is_it)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let all = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Cors {
            credentials,
            headers: all(&["X-One", "content-type"]),
            methods: all(&["GET", "PUT"]),
            origins: all(origins),
            exposed: all(&["x-seen", "date"]),
            max_age: Some(60),
        }
    }

    fn asked(origin: &str, method: &str) -> Parts {
        let request = http::Request::options("/")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, method)
            .header(ACCESS_CONTROL_REQUEST_HEADERS, "x-one, x-two,Content-Type");
        request.body(()).unwrap().into_parts().0
    }

    fn told(cors: &Cors, origin: &str, method: &str) -> Vec<(String, String)> {
        let answer = answer(cors, &asked(origin, method)).unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = answer.headers().iter();
        let mut told: Vec<_> = headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        told.sort();
        told
    }

    #[test]
    fn a_page_is_told_what_it_may_and_nothing_else() {
        let (one, other) = ("https://one.example", "https://other.example");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let only = cors(&[one], true);
        assert_eq!(
            told(&only, one, "PUT"),
            [
                pair("access-control-allow-credentials", "true"),
                pair("access-control-allow-headers", "x-one, Content-Type"),
                pair("access-control-allow-methods", "PUT"),
                pair("access-control-allow-origin", one),
                pair("access-control-max-age", "60"),
                pair("vary", "Origin"),
            ]
        );
        for (origin, method) in [(other, "PUT"), (one, "DELETE"), ("null", "GET")] {
            assert_eq!(
                told(&only, origin, method),
                [pair("vary", "Origin")],
                "{origin} {method}"
            );
        }
        let open = told(&cors(&[ALL], false), other, "GET");
        assert!(
            open.contains(&pair("access-control-allow-origin", "*")),
            "{open:?}"
        );
        // A page that may send cookies is named, since browsers take no `*` then.
        let open = told(&cors(&[ALL], true), other, "GET");
        assert!(
            open.contains(&pair("access-control-allow-origin", other)),
            "{open:?}"
        );
    }

    #[test]
    fn only_a_browsers_question_is_answered_in_the_functions_place() {
        let (cors, mut head) = (cors(&[ALL], false), asked("https://one.example", "GET"));
        head.headers.remove(ORIGIN);
        assert!(answer(&cors, &head).is_none(), "no page asks");
        let mut head = asked("https://one.example", "GET");
        head.method = Method::GET;
        assert!(answer(&cors, &head).is_none(), "it is no question");
    }

    #[test]
    fn the_functions_own_words_are_replaced() {
        let cors = cors(&["https://one.example"], false);
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static(ALL));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(ALL));
        let (mut mine, mut foreign) = (headers.clone(), headers);
        mark(&cors, &asked("https://one.example", "GET").headers, &mut mine);
        assert_eq!(mine[ACCESS_CONTROL_ALLOW_ORIGIN], "https://one.example");
        assert_eq!(mine[ACCESS_CONTROL_EXPOSE_HEADERS], "x-seen, date");
        assert!(!mine.contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        mark(&cors, &asked("https://two.example", "GET").headers, &mut foreign);
        assert_eq!(foreign.keys().collect::<Vec<_>>(), [VARY]);
    }
}
