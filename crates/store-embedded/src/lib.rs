//! The store's embedded engine: a directory, no server.
