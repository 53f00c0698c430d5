//! GET /hello/{name}: greets. A call that is no request, such as an event of a rule or `aloft invoke`, is a POST to /.

#[cfg(target_family = "wasm")]
mod component;

use serde_json::{Value, json};

/// Answers a request: a status and a value.
pub fn answer(method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    match (method, path.strip_prefix("/hello/")) {
        ("GET", Some(name)) => (200, json!({ "hello": name })),
        ("POST", None) if path == "/" => match serde_json::from_slice::<Value>(body) {
            Ok(event) => (200, json!({ "hello": event["name"] })),
            Err(error) => (400, json!({ "message": error.to_string() })),
        },
        _ => (404, json!({ "message": format!("there is no {path}") })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = include_bytes!("../../events/hello.json");

    #[test]
    fn it_greets_by_name() {
        let wanted = (200, json!({ "hello": "Ada" }));
        assert_eq!(answer("GET", "/hello/Ada", b""), wanted);
        assert_eq!(answer("POST", "/", EVENT), wanted);
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        assert_eq!(answer("GET", "/other", b"").0, 404);
        assert_eq!(answer("POST", "/", b"{").0, 400);
    }
}
