//! An HTTP call as Lambda's payload format 2.0, and the function's answer back as HTTP. Shapes: API Gateway's developer
//! guide, "Create AWS Lambda proxy integrations for HTTP APIs".

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::net::IpAddr;

use aloft_base::{InvocationId, Tenant, Timestamp};
use aloft_call::{Fault, HttpCall, Principal};
use aloft_http::{Body, full};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// The event, as it is written: built from what the call holds without copying it. (A tree of JSON values, built first, took an
/// eighth of the platform's time in a warm call.)
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: Fields<'a>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    query_string_parameters: Map<String, Value>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    path_parameters: Fields<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Authorizer>,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    #[serde(serialize_with = "as_text")]
    request_id: InvocationId,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: u64,
}

/// Who has signed the request. What an account without an organization and identity pools does not have is null, as in Lambda.
#[derive(Serialize)]
struct Authorizer {
    iam: Iam,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    access_key: String,
    account_id: String,
    caller_id: String,
    cognito_identity: Option<()>,
    principal_org_id: Option<()>,
    user_arn: String,
    user_id: String,
}

fn authorizer(principal: &Principal, tenant: &Tenant) -> Option<Authorizer> {
    let Principal::Owner { key } = principal else {
        return None;
    };
    let account = tenant.as_str();
    Some(Authorizer {
        iam: Iam {
            access_key: key.to_string(),
            account_id: account.to_owned(),
            caller_id: account.to_owned(),
            cognito_identity: None,
            principal_org_id: None,
            user_arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_owned(),
        },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    #[serde(serialize_with = "as_debug")]
    protocol: http::Version,
    source_ip: IpAddr,
    user_agent: &'a str,
}

/// Names with values, each name once, in their order.
struct Fields<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Fields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn as_text<S: Serializer>(shown: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(shown)
}

fn as_debug<S: Serializer>(shown: &impl Debug, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{shown:?}"))
}

/// The event of an HTTP call.
pub(crate) fn encode(
    call: &HttpCall,
    body: &Bytes,
    id: InvocationId,
    tenant: &Tenant,
    principal: &Principal,
    now: Timestamp,
) -> Vec<u8> {
    let head = &call.head;
    let text = |name| head.headers.get(name).map(lossy).unwrap_or_default();
    let (host, agent) = (text(header::HOST), text(header::USER_AGENT));
    let query = head.uri.query().unwrap_or_default();
    let (body, is_base64_encoded) = match std::str::from_utf8(body) {
        Ok("") => (None, false),
        Ok(text) if is_text(&head.headers) => (Some(text.into()), false),
        _ => (Some(BASE64.encode(body).into()), true),
    };
    let variables = call.variables.iter();
    let event = Event {
        version: "2.0",
        route_key: &call.route,
        raw_path: head.uri.path(),
        raw_query_string: query,
        cookies: cookies(&head.headers),
        headers: headers(&head.headers),
        query_string_parameters: query_parameters(query),
        request_context: RequestContext {
            account_id: tenant.as_str(),
            api_id: &call.api,
            authorizer: authorizer(principal, tenant),
            domain_name: &host,
            domain_prefix: host.split('.').next().unwrap_or_default(),
            http: Http {
                method: head.method.as_str(),
                path: head.uri.path(),
                protocol: head.version,
                source_ip: call.peer,
                user_agent: &agent,
            },
            request_id: id,
            route_key: &call.route,
            stage: "$default",
            time: clf_time(now),
            time_epoch: now.as_millis(),
        },
        path_parameters: Fields(
            variables
                .map(|(name, value)| (&**name, Cow::from(value)))
                .collect(),
        ),
        body,
        is_base64_encoded,
    };
    let mut bytes = Vec::with_capacity(1 << 10);
    // Writing to memory cannot fail, and every key is text.
    if let Err(error) = serde_json::to_writer(&mut bytes, &event) {
        tracing::error!(%error, "an event could not be written");
    }
    bytes
}

fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Lower-case names, repeated ones joined by commas, without cookies, which have a place of their own.
fn headers(map: &HeaderMap) -> Fields<'_> {
    let names = map.keys().filter(|name| **name != header::COOKIE);
    let joined = |name| {
        let mut values = map.get_all(name).iter().map(lossy);
        let first = values.next().unwrap_or_default();
        values.fold(first, |all, value| format!("{all},{value}").into())
    };
    Fields(names.map(|name| (name.as_str(), joined(name))).collect())
}

fn cookies(map: &HeaderMap) -> Vec<String> {
    let mut cookies = Vec::new();
    for line in map.get_all(header::COOKIE).iter().map(lossy) {
        let each = line.split(';').map(str::trim).filter(|cookie| !cookie.is_empty());
        cookies.extend(each.map(str::to_owned));
    }
    cookies
}

fn query_parameters(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        append(&mut parameters, decode_form(name), &decode_form(value));
    }
    parameters
}

fn append(map: &mut Map<String, Value>, name: String, value: &str) {
    match map.get_mut(&name) {
        Some(Value::String(former)) => {
            former.push(',');
            former.push_str(value);
        }
        _ => {
            map.insert(name, value.into());
        }
    }
}

fn decode_form(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

/// Whether a body of this type is handed over as text. The list is API Gateway's.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return false;
    }
    // No type: API Gateway takes it for text.
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let kind = kind
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind.as_str(),
            "application/json" | "application/javascript" | "application/xml"
        )
}

/// `12/Mar/2020:19:03:58 +0000`.
fn clf_time(now: Timestamp) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (year, month, day, hour, minute, second, _) = now.civil();
    let month = usize::try_from(month.saturating_sub(1))
        .ok()
        .and_then(|index| MONTHS.get(index))
        .unwrap_or(&"Jan");
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

/// The HTTP answer that a function's answer stands for.
pub(crate) fn decode(answer: Bytes) -> Result<Response<Body>, Fault> {
    let value: Value =
        serde_json::from_slice(&answer).map_err(|error| garbage(format!("it is not JSON ({error})")))?;
    let mut fields = match value {
        Value::Object(fields) => fields,
        // A string is the body as it is, without its quotes.
        Value::String(text) => return Ok(plain(text.into())),
        _ => return Ok(plain(answer)),
    };
    let Some(status) = fields.remove("statusCode") else {
        return Ok(plain(answer));
    };
    let body = body(&mut fields)?;
    let mut head = head(&status, &mut fields)?;
    if !head.headers().contains_key(header::CONTENT_TYPE) {
        let kind = HeaderValue::from_static("text/plain;charset=UTF-8");
        head.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(head.map(|()| full(body)))
}

/// Ends the JSON that stands before a streamed answer's body.
pub(super) const HEAD_END: [u8; 8] = [0; 8];

/// The HTTP answer of a function that streams, as a whole: its head as JSON, its end, and the body.
pub(crate) fn decode_headed(answer: Bytes) -> Result<Response<Body>, Fault> {
    let end = answer
        .windows(HEAD_END.len())
        .position(|bytes| *bytes == HEAD_END);
    let end = end.ok_or_else(|| garbage("its head is not ended by eight zero bytes".into()))?;
    let head = decode_head(answer.get(..end).unwrap_or_default())?;
    let body = answer.slice((end + HEAD_END.len()).min(answer.len())..);
    Ok(head.map(|()| full(body)))
}

/// The head of a function that streams: `{"statusCode":200,"headers":{},"cookies":[]}`, each of which may be left out.
pub(super) fn decode_head(json: &[u8]) -> Result<Response<()>, Fault> {
    let mut fields: Map<String, Value> = serde_json::from_slice(json)
        .map_err(|error| garbage(format!("its head is not a JSON object ({error})")))?;
    let status = fields.remove("statusCode").unwrap_or_else(|| 200.into());
    let mut head = head(&status, &mut fields)?;
    if !head.headers().contains_key(header::CONTENT_TYPE) {
        head.headers_mut().insert(header::CONTENT_TYPE, OCTETS);
    }
    Ok(head)
}

/// What a streamed answer is that does not say what.
pub(super) const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Status, headers and cookies.
fn head(status: &Value, fields: &mut Map<String, Value>) -> Result<Response<()>, Fault> {
    let mut response = Response::new(());
    *response.status_mut() = status_code(status)?;
    set_headers(response.headers_mut(), fields.remove("headers"))?;
    match fields.remove("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                let cookie = cookie
                    .as_str()
                    .ok_or_else(|| garbage("`cookies` must be a list of strings".into()))?;
                let value = header_value("set-cookie", cookie)?;
                response.headers_mut().append(header::SET_COOKIE, value);
            }
        }
        Some(_) => return Err(garbage("`cookies` must be a list of strings".into())),
    }
    Ok(response)
}

/// JSON without a status code is the body itself.
fn plain(answer: Bytes) -> Response<Body> {
    let mut response = Response::new(full(answer));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn status_code(value: &Value) -> Result<StatusCode, Fault> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    // Informational codes announce a further answer, which never comes.
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|code| (200..=599).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| {
            garbage(format!(
                "`statusCode` must be a number from 200 to 599, not {value}"
            ))
        })
}

fn body(fields: &mut Map<String, Value>) -> Result<Bytes, Fault> {
    let is_base64 = match fields.remove("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => flag,
        Some(_) => return Err(garbage("`isBase64Encoded` must be true or false".into())),
    };
    match fields.remove("body") {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(Value::String(text)) if is_base64 => BASE64
            .decode(&text)
            .map(Bytes::from)
            .map_err(|error| garbage(format!("`body` is not base64 ({error})"))),
        Some(Value::String(text)) => Ok(Bytes::from(text)),
        Some(_) => Err(garbage(
            "`body` must be a string; use json.dumps or JSON.stringify".into(),
        )),
    }
}

fn set_headers(headers: &mut HeaderMap, value: Option<Value>) -> Result<(), Fault> {
    let fields = match value {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(garbage("`headers` must be an object".into())),
    };
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => {
                return Err(garbage(format!("header \"{name}\" must be a string")));
            }
        };
        let value = header_value(&name, &value)?;
        let name =
            HeaderName::try_from(&name).map_err(|_| garbage(format!("\"{name}\" is not a header's name")))?;
        headers.insert(name, value);
    }
    Ok(())
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Fault> {
    // Beyond ASCII a value may hold anything (RFC 9110, section 5.5, obs-text); UTF-8 is what clients expect there.
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        garbage(format!(
            "the value of header \"{name}\" has characters that HTTP forbids"
        ))
    })
}

fn garbage(why: String) -> Fault {
    Fault::Garbage { why }
}

#[cfg(test)]
mod tests;
