//! What users write: aloft.toml, checked.
