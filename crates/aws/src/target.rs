//! Which operation a request of the AWS JSON protocol wants: its `X-Amz-Target` says.

use http::request::Parts;
use http::{HeaderValue, Method};

use crate::Error;

/// The operation of this service, whose targets begin with `prefix`; `example` is shown to whoever names none.
pub(crate) fn target<T: Copy>(
    head: &Parts,
    prefix: &str,
    example: T,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Error> {
    let target = head
        .headers
        .get("x-amz-target")
        .map_or("", |value| HeaderValue::to_str(value).unwrap_or("?"));
    if head.method != Method::POST {
        return Err(Error::UnknownOperation(format!(
            "operations are sent by POST, this is a {}",
            head.method
        )));
    }
    if target.is_empty() {
        return Err(Error::UnknownOperation(format!(
            "the X-Amz-Target header is missing; it names the operation: {prefix}{}",
            name(example)
        )));
    }
    let known = target
        .strip_prefix(prefix)
        .and_then(|wanted| all.iter().copied().find(|known| name(*known) == wanted));
    known.ok_or_else(|| {
        let target: String = target.chars().take(100).collect();
        Error::UnknownOperation(format!(
            "the operation \"{target}\" does not exist or is not supported yet"
        ))
    })
}
