//! Requests on Lambda's wire, as bytes.

use serde_json::json;

use crate::signed::post;

/// `hello.py` of the peers in a zip file, as base64.
const HELLO: &str = include_str!("hello.zip.base64");

/// `CreateFunction` of the hello in Python, for which `dev` takes whatever newer Python 3 the host has. All of these functions
/// have the same code, hence one artifact.
pub fn create_function(name: &str) -> Vec<u8> {
    let body = json!({
        "FunctionName": name,
        "Runtime": "python3.9",
        "Role": "arn:aws:iam::000000000000:role/bench",
        "Handler": "hello.handler",
        "Code": { "ZipFile": HELLO.trim() },
    });
    post("lambda", "/2015-03-31/functions", "", &body)
}

/// An asynchronous `Invoke`.
pub fn invoke_event(name: &str, number: usize) -> Vec<u8> {
    let body = json!({ "order": format!("{number:012}"), "customer": "ada", "total": "19.80" });
    post(
        "lambda",
        &format!("/2015-03-31/functions/{name}/invocations"),
        "X-Amz-Invocation-Type: Event\r\n",
        &body,
    )
}
