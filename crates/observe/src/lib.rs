//! Metrics, and the feed of what happens.
