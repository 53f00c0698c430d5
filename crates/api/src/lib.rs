//! The platform's own API under /_aloft, health and metrics.
