//! From source to artifact: requirements installed, content hashed.
