//! What the folder shows of itself: its own counters, read when somebody asks.

use std::sync::Arc;

use aloft_observe::Metrics;

use crate::Folder;
use crate::folder::Inner;

impl Folder {
    /// Declares the folder's metrics. Being watched keeps it not open.
    pub fn declare(&self, metrics: &Metrics) {
        let read = |of: fn(&Inner) -> u64| {
            let inner = Arc::downgrade(&self.0);
            move || Some(of(&*inner.upgrade()?) as f64)
        };
        metrics.counter_of(
            "aloft_blob_uploads",
            "Blobs that were written and made durable",
            read(|inner| inner.counters.uploads().0),
        );
        metrics.counter_of(
            "aloft_blob_uploaded_bytes",
            "Bytes of the blobs that were written",
            read(|inner| inner.counters.uploads().1),
        );
        metrics.counter_of(
            "aloft_blob_fsyncs",
            "Times that a blob, its name or a folder of names was made durable",
            read(|inner| inner.counters.syncs_made()),
        );
        metrics.counter_of(
            "aloft_blob_removals",
            "Blobs that were removed because nothing named them any more",
            read(|inner| inner.counters.removed()),
        );
    }
}
