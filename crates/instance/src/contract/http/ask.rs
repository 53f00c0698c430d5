//! A call as a request.

use std::net::IpAddr;

use aloft_call::{Call, Fault, HttpCall, Payload};
use aloft_http::{Body, Request, collect, full};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};

use crate::process::{PAYLOAD_LIMIT, unread};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const CLOUD_EVENT: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The request, how many bytes its body has, and whether the answer is an HTTP answer.
pub(super) async fn request(call: Call) -> Result<(Request, u64, bool), Fault> {
    let (id, trace) = (call.id.to_string(), call.trace.traceparent());
    let (mut request, bytes, is_http) = match call.payload {
        Payload::Http(http) => {
            let (request, bytes) = forwarded(http).await?;
            (request, bytes, true)
        }
        Payload::Event(event) => {
            let body = serde_json::to_vec(&event.event.to_value()).map_err(|error| Fault::Payload {
                why: error.to_string(),
                too_large: false,
            })?;
            (posted(CLOUD_EVENT, body.into()), 0, false)
        }
        Payload::Direct(direct) => (posted(JSON, direct.body), 0, false),
    };
    let bytes = match http_body::Body::size_hint(request.body()).exact() {
        Some(exact) => exact,
        None => bytes,
    };
    for (name, value) in [(REQUEST_ID, id), (TRACEPARENT, trace)] {
        set(request.headers_mut(), name, &value);
    }
    Ok((request, bytes, is_http))
}

async fn forwarded(http: HttpCall) -> Result<(Request, u64), Fault> {
    let HttpCall {
        mut head, body, peer, ..
    } = http;
    let body = collect(body, PAYLOAD_LIMIT)
        .await
        .map_err(|error| unread(&error))?;
    let bytes = body.len() as u64;
    let former = head
        .headers
        .get(FORWARDED_FOR)
        .and_then(|value| value.to_str().ok());
    let way = way(former, peer);
    set(&mut head.headers, FORWARDED_FOR, &way);
    if !head.headers.contains_key(FORWARDED_PROTO) {
        head.headers
            .insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = head.headers.get(HOST).cloned() {
        head.headers.entry(FORWARDED_HOST).or_insert(host);
    }
    let mut request = Request::new(full(body));
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    Ok((request, bytes))
}

/// The addresses that a request came by: the client's, behind what others said before.
fn way(former: Option<&str>, peer: IpAddr) -> String {
    match former {
        Some(former) => format!("{former}, {peer}"),
        None => peer.to_string(),
    }
}

fn posted(kind: HeaderValue, body: Bytes) -> Request {
    let mut request = http::Request::<Body>::new(full(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    request
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
