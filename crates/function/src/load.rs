//! What a node does to run a version that it does not know yet.

use std::sync::Arc;

use aloft_base::FunctionId;
use aloft_call::{Fault, Qualifier};
use async_trait::async_trait;

use crate::{FunctionUrl, UrlId, Version};

/// Makes of what the store says a version that this machine can run: its code unpacked, its interpreter found.
#[async_trait]
pub trait Load: Send + Sync + 'static {
    /// The version that is meant, for a call that waits for it. It has been given to the [`Catalogue`](crate::Catalogue), so that
    /// the next call finds it there.
    ///
    /// # Errors
    /// [`Fault::NoFunction`], and [`Fault::Platform`] when the store or this machine fails.
    async fn load(&self, function: &FunctionId, qualifier: &Qualifier) -> Result<Arc<Version>, Fault>;

    /// The function's address with this id; nothing if there is none. It has been given to the catalogue, too.
    ///
    /// # Errors
    /// [`Fault::Platform`] when the store fails.
    async fn url(&self, id: UrlId) -> Result<Option<Arc<FunctionUrl>>, Fault>;

    /// Whether this machine can run a runtime of this name.
    ///
    /// # Errors
    /// Why not, and which can be run.
    async fn check(&self, runtime: &str) -> Result<(), String>;
}

/// Loads nothing: where only the project's functions run.
#[derive(Debug, Clone, Copy)]
pub struct NoOthers;

#[async_trait]
impl Load for NoOthers {
    async fn load(&self, function: &FunctionId, qualifier: &Qualifier) -> Result<Arc<Version>, Fault> {
        Err(Fault::no_function(&function.name, qualifier))
    }

    async fn url(&self, _: UrlId) -> Result<Option<Arc<FunctionUrl>>, Fault> {
        Ok(None)
    }

    async fn check(&self, runtime: &str) -> Result<(), String> {
        Err(format!(
            "only the project's functions run here, and none with {runtime}"
        ))
    }
}
