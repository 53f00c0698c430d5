//! Ordered keys and versioned values: how things look in the store.
