//! What an account may have.

use aloft_base::Size;

/// What an account may have; what is none is not bounded for it, but by what the node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Functions.
    pub functions: Option<u64>,
    /// Calls that run at once.
    pub concurrency: Option<u64>,
    /// Bytes of code, rows and files together.
    pub storage: Option<Size>,
    /// Requests a second, to the services and to its functions together; for one second twice as many.
    pub requests: Option<u64>,
}

/// What is to be changed of an account's quotas: what is none stays as it is, `Some(None)` takes a bound away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// See [`Quotas::functions`].
    pub functions: Option<Option<u64>>,
    /// See [`Quotas::concurrency`].
    pub concurrency: Option<Option<u64>>,
    /// See [`Quotas::storage`].
    pub storage: Option<Option<Size>>,
    /// See [`Quotas::requests`].
    pub requests: Option<Option<u64>>,
}

impl Quotas {
    /// With this change.
    #[must_use]
    pub fn with(self, change: Change) -> Self {
        Self {
            functions: change.functions.unwrap_or(self.functions),
            concurrency: change.concurrency.unwrap_or(self.concurrency),
            storage: change.storage.unwrap_or(self.storage),
            requests: change.requests.unwrap_or(self.requests),
        }
    }
}
