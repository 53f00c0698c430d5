//! Panics, caught where they would end a loop that others rely on. One event, one target or one bad read must not end a rule.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// Runs `work`; a panic in it is an error with what it said. Whatever the work had changed by then stays as it is, so nothing of it
/// may be used again but what every step leaves whole.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it said nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_panic_said_is_told() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(
            caught(async { panic!("plain") }).await,
            Err::<(), _>("plain".to_owned())
        );
        let three = 3;
        assert_eq!(
            caught(async { panic!("of {three}") }).await,
            Err::<(), _>("of 3".to_owned())
        );
        let odd = caught(async { std::panic::panic_any(5) }).await;
        assert_eq!(odd, Err::<(), _>("it said nothing".to_owned()));
    }
}
