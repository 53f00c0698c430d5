//! Decisions that are taken anew when others were first.

use std::time::Duration;

use aloft_base::{Backoff, Chance};

use crate::{Batch, Error, Outcome, Store};

/// How often a decision is taken anew.
pub const ATTEMPTS: u32 = 64;

/// Between two attempts.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(1),
    ceiling: Duration::from_millis(50),
};

/// Commits what was decided, in the `attempt`-th attempt from 1 on. After a conflict it waits a little and says no: read and decide again
/// with a new batch, at most [`ATTEMPTS`] times. The batch has neither fences nor tokens.
///
/// # Errors
/// The store's, and [`Error::Corrupt`] when it is refused for a fence or a token all the same.
pub async fn commit_decided(
    store: &dyn Store,
    batch: Batch,
    attempt: u32,
    chance: &dyn Chance,
) -> Result<bool, Error> {
    match store.commit(batch).await? {
        Outcome::Committed(_) => Ok(true),
        Outcome::Conflict(_) => {
            tokio::time::sleep(BACKOFF.delay(attempt, chance)).await;
            Ok(false)
        }
        refused @ (Outcome::Fenced(_) | Outcome::Lost(_)) => Err(Error::corrupt(
            "a decision",
            format!("a batch without fences and tokens got {refused:?}"),
        )),
    }
}
