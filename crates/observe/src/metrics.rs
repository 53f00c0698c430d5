//! The registry of metrics. `prometheus-client` is the Prometheus project's own library; the `prometheus` crate keeps a
//! global registry, which this house does not want.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

/// The registry that one node renders. Cheap to clone; clones are the same registry.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// An empty registry whose metrics are all called `aloft_…`.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("aloft"))))
    }

    /// Lets a crate register what it declares in its `metrics.rs`.
    pub fn register(&self, declare: impl FnOnce(&mut Registry)) {
        declare(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All metrics in OpenMetrics' text format, which Prometheus scrapes.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail; an encoder's own error would leave the text cut, which a scraper reports.
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
            tracing::error!(%error, "metrics could not be rendered");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
