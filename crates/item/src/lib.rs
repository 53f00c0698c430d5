//! Attribute values with exact numbers, items, and changes of rows.
/// A row that changed.
#[derive(Debug, Clone)] pub struct Change;
