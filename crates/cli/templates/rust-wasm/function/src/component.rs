//! The component of the world `wasi:http/proxy` around the answer.

use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

struct Hello;

wasip2::http::proxy::export!(Hello);

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let method = match request.method() {
            Method::Get => "GET",
            Method::Post => "POST",
            _ => "",
        };
        let path = request.path_with_query().unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let body = request.consume().expect("a request has one body");
        let (status, value) = match read(&body) {
            Ok(body) => crate::answer(method, path, &body),
            Err(error) => return ResponseOutparam::set(out, Err(error)),
        };
        let headers = Fields::from_list(&[("content-type".into(), b"application/json".to_vec())]);
        let response = OutgoingResponse::new(headers.expect("a header that is valid"));
        response.set_status_code(status).expect("a status that is valid");
        let body = response.body().expect("a response has one body");
        ResponseOutparam::set(out, Ok(response));
        write(body, value.to_string().as_bytes());
    }
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
