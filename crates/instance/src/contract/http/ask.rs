//! A call as a request.

use aloft_call::{Call, Fault, HttpCall, Payload};
use aloft_http::{Body, Request, collect, empty, full};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Uri};

use crate::contract::forwarded;
use crate::process::{PAYLOAD_LIMIT, unread};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const CLOUD_EVENT: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The request, how many bytes its body has, and whether the answer is an HTTP answer.
pub(super) async fn request(mut call: Call) -> Result<(Request, u64, bool), Fault> {
    if let Payload::Http(http) = &mut call.payload {
        // A server of any kind is asked: with a length, which not all can do without.
        let body = std::mem::replace(&mut http.body, empty());
        http.body = full(
            collect(body, PAYLOAD_LIMIT)
                .await
                .map_err(|error| unread(&error))?,
        );
    }
    let (request, is_http) = streamed(call)?;
    let bytes = http_body::Body::size_hint(request.body()).exact();
    Ok((request, bytes.unwrap_or_default(), is_http))
}

/// The request with its body as it arrives, and whether the answer is an HTTP answer.
pub(crate) fn streamed(call: Call) -> Result<(Request, bool), Fault> {
    let (id, trace) = (call.id.to_string(), call.trace.traceparent());
    let (mut request, is_http) = match call.payload {
        Payload::Http(http) => (handed_on(http), true),
        Payload::Event(event) => {
            let body = serde_json::to_vec(&event.event.to_value()).map_err(|error| Fault::Payload {
                why: error.to_string(),
                too_large: false,
            })?;
            (posted(CLOUD_EVENT, body.into()), false)
        }
        Payload::Direct(direct) => (posted(JSON, direct.body), false),
    };
    for (name, value) in [(REQUEST_ID, id), (TRACEPARENT, trace)] {
        forwarded::set(request.headers_mut(), name, &value);
    }
    Ok((request, is_http))
}

fn handed_on(http: HttpCall) -> Request {
    let HttpCall {
        mut head, body, peer, ..
    } = http;
    forwarded::write(&mut head.headers, peer);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    request
}

fn posted(kind: HeaderValue, body: Bytes) -> Request {
    let mut request = http::Request::<Body>::new(full(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    request
}
