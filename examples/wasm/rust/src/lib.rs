//! Counts the visits of pages in a table: `GET /visits/{page}` answers how many there were, this one included.
//!
//! The platform's services are at `http://aloft.internal:4566` for a component. Who asks is known there, so nothing is signed.

use serde_json::{Value, json};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingRequest, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

struct Visits;

wasip2::http::proxy::export!(Visits);

impl wasip2::exports::http::incoming_handler::Guest for Visits {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let page = path.split(['/', '?']).nth(2).unwrap_or_default();
        let response = count(page).map(|visits| {
            let text = json!({ "page": page, "visits": visits }).to_string();
            let headers = Fields::from_list(&[("content-type".into(), b"application/json".to_vec())]);
            let response = OutgoingResponse::new(headers.expect("a header that is valid"));
            (response, text)
        });
        match response {
            Err(error) => ResponseOutparam::set(answer, Err(error)),
            Ok((response, text)) => {
                let body = response.body().expect("a response has one body");
                ResponseOutparam::set(answer, Ok(response));
                write(body, text.as_bytes());
            }
        }
    }
}

/// Adds one to a page's visits.
fn count(page: &str) -> Result<u64, ErrorCode> {
    let update = json!({
        "TableName": "visits",
        "Key": { "page": { "S": page } },
        "UpdateExpression": "ADD visits :one",
        "ExpressionAttributeValues": { ":one": { "N": "1" } },
        "ReturnValues": "UPDATED_NEW",
    });
    let answer = ask("DynamoDB_20120810.UpdateItem", &update)?;
    let visits = answer["Attributes"]["visits"]["N"].as_str();
    let wrong = || ErrorCode::InternalError(Some(format!("the table answered {answer}")));
    visits.and_then(|visits| visits.parse().ok()).ok_or_else(wrong)
}

/// Asks a service.
fn ask(operation: &str, body: &Value) -> Result<Value, ErrorCode> {
    let headers = Fields::from_list(&[
        ("content-type".into(), b"application/x-amz-json-1.0".to_vec()),
        ("x-amz-target".into(), operation.as_bytes().to_vec()),
    ]);
    let request = OutgoingRequest::new(headers.expect("headers that are valid"));
    request.set_method(&Method::Post).expect("a method");
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some("aloft.internal:4566")).expect("an authority");
    request.set_path_with_query(Some("/")).expect("a path");
    let sent = request.body().expect("a request has one body");
    let answer = outgoing_handler::handle(request, None)?;
    write(sent, body.to_string().as_bytes());
    answer.subscribe().block();
    let answer = answer.get().expect("it is there").expect("and nobody took it")?;
    let body = answer.consume().expect("an answer has one body");
    Ok(serde_json::from_slice(&read(&body)?).unwrap_or(Value::Null))
}

fn write(body: OutgoingBody, bytes: &[u8]) {
    let stream = body.write().expect("a body has one stream");
    for piece in bytes.chunks(4096) {
        // Whoever has gone is not written to.
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, ErrorCode> {
    let stream = body.stream().expect("a body has one stream");
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(some) => all.extend(some),
            Err(StreamError::Closed) => return Ok(all),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(ErrorCode::InternalError(Some(error.to_debug_string())));
            }
        }
    }
}
