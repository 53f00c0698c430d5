//! Signed requests as bytes. Every one carries a signature of the right form, which a platform on loopback reads for its region
//! and does not verify; so what is measured is what users of `aloft dev` have.

use serde_json::Value;

/// A `POST` of JSON to a service. Each of the headers ends its line.
pub(crate) fn post(service: &str, path: &str, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let signature = "0".repeat(64);
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}X-Amz-Date: 20261123T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=bench/20261123/us-east-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={signature}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
